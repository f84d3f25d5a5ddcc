"""Decisions a second that one sidecar on one processor makes when asked in batches."""

import json
from collections.abc import Iterator

from bench import cores
from bench.asked import asking
from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.httpload import Exchange, Load, fetch
from bench.sidecars import Served, loaded, sidecar

ITEMS, BATCHES = 1_000, 10
CONNECTIONS = 4
WINDOWS, SECONDS = 10, 2
DECISIONS = 1_000_000  # /s


def cases(_: Settings) -> list[Case]:
    """Batches of different questions in turn."""
    return [Case(f"{ITEMS:,} checks a request, {CONNECTIONS} connections", (ITEMS,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Ask in windows of some seconds each."""
    (items,) = case.sizes
    asked = asking(items * BATCHES, settings.seed)
    seconds = 1 if settings.is_quick else SECONDS
    with cores.clients(), asked.database() as dsn, sidecar(dsn) as served:
        load = Load(
            served.address,
            [_exchange(served, *each) for each in asked.batches(items)],
        )
        repeats = settings.repeats(WINDOWS)
        windows, worked = loaded(served, load, CONNECTIONS, seconds, repeats)
        load.verify()
    rates = [each.rate * items for each in windows]
    yield Figure.of(
        "decisions", "/s", rates, at_least=DECISIONS, headline="decisions in batches"
    )
    yield Figure.of(
        "processor time of a decision", "ns", [each / items * 1e3 for each in worked]
    )
    yield Figure.of("latency of a request", "us", [each.median for each in windows])
    yield Figure.of("client busy", "x", [each.busy for each in windows])


def _exchange(served: Served, request: bytes, answers: list[bool]) -> Exchange:
    """The request, and the body that it was seen to have, which is the right one."""
    _, body = fetch(served.address, request)
    assert [each["allowed"] for each in json.loads(body)["results"]] == answers
    return Exchange(request, body)


SCENARIO = Scenario(
    "batch",
    "decisions a second by one sidecar that is asked in batches over HTTP",
    frozenset({"http", "targets"}),
    cases,
    measure,
)
