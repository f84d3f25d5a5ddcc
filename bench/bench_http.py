"""`GET /v1/check` of one sidecar, authenticated, against the least a server can do.

Connections stay open, and each asks its next question when it has its answer. Server and
clients have a processor each.
"""

from collections.abc import Iterator, Sequence
from tempfile import TemporaryDirectory

from bench import cores
from bench.asked import asking
from bench.cases import Case, Scenario, Settings
from bench.figures import Figure, Result
from bench.httpload import Load
from bench.servers import CERBOS, FLOOR, OURS, ROUTE, SERVERS, UNIX_TOO
from bench.sidecars import loaded

QUESTIONS = 10_000
CONNECTIONS = (1, 16, 128)
TARGET_CONNECTIONS = 16
WINDOWS, SECONDS = 5, 2
RATE, P99 = 100_000, 1_000  # /s, us
OF_FLOOR, OF_ROUTE, OF_CERBOS = 0.6, 3, 30

TCP, UNIX = "TCP", "Unix socket"
REQUESTS, SPENT = "requests", "processor time of a request"


def cases(settings: Settings) -> list[Case]:
    """Who answers, over what, on how many connections."""
    counts = (TARGET_CONNECTIONS,) if settings.is_quick else CONNECTIONS
    return [
        Case(_label(name, over, connections), (at, via, connections))
        for via, over in enumerate((TCP, UNIX))
        for connections in counts
        for at, name in enumerate(SERVERS)
        if over == TCP or name in UNIX_TOO
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Ask in windows of some seconds each."""
    at, via, connections = case.sizes
    name = list(SERVERS)[at]
    is_shown = (via, connections) == (0, TARGET_CONNECTIONS)
    is_target = is_shown and name == OURS
    seconds = 1 if settings.is_quick else SECONDS
    asked = asking(QUESTIONS, settings.seed)
    with TemporaryDirectory(prefix="bench-") as made, cores.clients():
        listen = f"unix:{made}/socket" if via else "127.0.0.1:0"
        with SERVERS[name](asked, listen) as (served, exchanges):
            load = Load(served.address, exchanges)
            load.verify()
            repeats = settings.repeats(WINDOWS)
            windows, worked = loaded(served, load, connections, seconds, repeats)
            load.verify()
    yield Figure.of(
        REQUESTS,
        "/s",
        [each.rate for each in windows],
        at_least=RATE if is_target else None,
        headline=f"checks over HTTP, {name}" if is_shown else None,
    )
    yield Figure.of("latency, median", "us", [each.median for each in windows])
    yield Figure.of(
        "latency, 99th percentile",
        "us",
        [each.p99 for each in windows],
        P99 if is_target else None,
    )
    yield Figure.of(SPENT, "us", worked)
    yield Figure.of("client busy", "x", [each.busy for each in windows])


def conclude(results: Sequence[Result]) -> Iterator[Figure]:
    """Ours as a share of the floor, and as a multiple of the others.

    Of each the best window counts, as what neighbours of the machine take is nobody's
    doing; processor time beside it, as the client may be slower than the floor.
    """
    seen = {each.case: each for each in results}
    for over in (TCP, UNIX):
        for connections in CONNECTIONS:
            ours = seen.get(_label(OURS, over, connections))
            for other, words, target in (
                (FLOOR, "of the floor", OF_FLOOR),
                (ROUTE, "times its aiohttp route", OF_ROUTE),
                (CERBOS, "times Cerbos", OF_CERBOS),
            ):
                theirs = seen.get(_label(other, over, connections))
                if ours is None or theirs is None:
                    continue
                label = f"{over}, {connections}: {words}"
                is_target = (over, connections) == (TCP, TARGET_CONNECTIONS)
                yield Figure.of(
                    label,
                    "x",
                    [_rate(ours) / _rate(theirs)],
                    at_least=target if is_target else None,
                )
                yield Figure.of(
                    f"{label}, by processor time", "x", [_spent(theirs) / _spent(ours)]
                )


def _rate(result: Result) -> float:
    return _figure(result, REQUESTS).maximum


def _spent(result: Result) -> float:
    return _figure(result, SPENT).minimum


def _figure(result: Result, name: str) -> Figure:
    figure = result.find(name)
    assert figure is not None
    return figure


def _label(name: str, over: str, connections: int) -> str:
    return f"{name}, {over}, {connections} connections"


SCENARIO = Scenario(
    "http",
    "checks a second by one sidecar on one processor, beside the least a server can do",
    frozenset({"http", "targets"}),
    cases,
    measure,
    conclude,
    in_quick=False,
)
