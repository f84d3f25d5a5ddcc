"""One question after the other through a sidecar's client, beside the bare exchange.

The bare exchange is that of the load's own client, which makes no request and reads no
answer: it sends bytes that are ready and compares bytes. Another is httpx, as many
applications would ask. All take turns; server and clients have a processor each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

from bench import cores
from bench.asked import ALLOWED, Asking, asking
from bench.cases import Absent, Case, Scenario, Settings
from bench.figures import Figure
from bench.httpload import Load, ask
from bench.sidecars import Served, sidecar
from bench.world import API_KEY
from qeetid_authz import AsyncSidecarClient, Principal, SidecarClient

QUESTIONS = 1_000
WINDOWS, BARE_SECONDS = 10, 0.5
BARE = "the bare exchange"
TIMES_BARE = 3

_OPTIONS: dict[str, Any] = {"timeout": 10.0}
_KEY = API_KEY.removeprefix("ApiKey ")


class Round(NamedTuple):
    """What a pass over all questions took, in microseconds for one."""

    median: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Round":
        """Summarise latencies."""
        ordered = sorted(seconds)
        p99 = ordered[ceil(0.99 * len(ordered)) - 1]
        return cls(median(ordered) * 1e6, p99 * 1e6)


class Way:
    """One way to ask, which answers yes or no."""

    def __init__(self, can: Callable[..., Any], runner: asyncio.Runner | None) -> None:
        self._can = can
        self._runner = runner

    def go(self, asked: Asking, *, limited: bool) -> Round:
        """Ask every question once.

        Raises:
            AssertionError: an answer is wrong.
        """
        questions = list(_questions(asked, limited=limited))
        if self._runner is None:
            return Round.of([_timed(self._can, *each) for each in questions])
        return Round.of(self._runner.run(_awaited(self._can, questions)))


def _timed(can: Callable[..., bool], who: Principal, key: str, right: bool) -> float:  # noqa: FBT001
    began = perf_counter()
    said = can(who, key)
    took = perf_counter() - began
    assert said is right, (who, key, said)
    return took


async def _awaited(
    can: Callable[..., Awaitable[bool]],
    questions: Iterable[tuple[Principal, str, bool]],
) -> list[float]:
    latencies = []
    for who, key, right in questions:
        began = perf_counter()
        said = await can(who, key)
        latencies.append(perf_counter() - began)
        assert said is right, (who, key, said)
    return latencies


def _questions(
    asked: Asking, *, limited: bool
) -> Iterator[tuple[Principal, str, bool]]:
    """With a limit that limits nothing, if the sidecar is to be told of one."""
    limit = asked.told.permissions[:8] if limited else None
    for user, key, right in asked.questions:
        scopes = None if limit is None else [*limit, key]
        yield Principal.user(user, asked.told.tenant, limit=scopes), key, right


def cases(_: Settings) -> list[Case]:
    """Over TCP and a Unix socket."""
    return [Case("TCP", (0,)), Case("Unix socket", (1,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Go over all questions in each way, by turns."""
    (via,) = case.sizes
    asked = asking(QUESTIONS, settings.seed)
    seen: dict[str, list[Round]] = {}
    with TemporaryDirectory(prefix="bench-") as made, ExitStack() as stack:
        stack.enter_context(cores.clients())
        dsn = stack.enter_context(asked.database())
        listen = f"unix:{made}/socket" if via else "127.0.0.1:0"
        served = stack.enter_context(sidecar(dsn, listen=listen))
        load = Load(served.address, asked.checks())
        load.verify()
        ways = _ways(served, stack)
        for _ in range(1 + settings.repeats(WINDOWS)):
            window = ask(load, 1, BARE_SECONDS)
            seen.setdefault(BARE, []).append(Round(window.median, window.p99))
            for name, (way, limited) in ways.items():
                seen.setdefault(name, []).append(way.go(asked, limited=limited))
    yield from _figures(seen, {name: rounds[1:] for name, rounds in seen.items()})


def _figures(
    seen: dict[str, list[Round]], warm: dict[str, list[Round]]
) -> Iterator[Figure]:
    bare = [each.median for each in warm[BARE]]
    for name in seen:
        medians = [each.median for each in warm[name]]
        yield Figure.of(f"{name}, median", "us", medians)
        yield Figure.of(
            f"{name}, 99th percentile", "us", [each.p99 for each in warm[name]]
        )
        if name == BARE:
            continue
        times = [mine / its for mine, its in zip(medians, bare, strict=True)]
        target = TIMES_BARE if name == "SidecarClient.can" else None
        yield Figure.of(f"{name}, times the bare exchange", "x", times, target)


def _ways(served: Served, stack: ExitStack) -> dict[str, tuple[Way, bool]]:
    """Each way to ask by its name, and whether about principals with a limit."""
    at = served.address
    url = f"unix:{at}" if isinstance(at, Path) else f"http://127.0.0.1:{at}"
    runner = stack.enter_context(asyncio.Runner())
    client = stack.enter_context(SidecarClient.open(url, api_key=_KEY, **_OPTIONS))
    opening = AsyncSidecarClient.open(url, api_key=_KEY, **_OPTIONS)
    tasks = runner.run(opening)
    stack.callback(lambda: runner.run(tasks.aclose()))
    return {
        "SidecarClient.can": (Way(client.can, None), False),
        "SidecarClient.can, with a limit": (Way(client.can, None), True),
        "AsyncSidecarClient.can": (Way(tasks.can, runner), False),
        "httpx.Client": (Way(_httpx(at, stack), None), False),
        "httpx.AsyncClient": (Way(_async_httpx(at, stack, runner), runner), False),
    }


def _common(transport: Any) -> dict[str, Any]:
    return {
        "transport": transport,
        "headers": {"Authorization": API_KEY},
        "timeout": 10.0,
        "trust_env": False,
    }


def _target(at: int | Path, who: Principal, key: str) -> tuple[str, dict[str, str]]:
    host = "localhost" if isinstance(at, Path) else f"127.0.0.1:{at}"
    return f"http://{host}/v1/check", {
        "user_id": who.id,
        "tenant_id": who.tenant_id,
        "permission": key,
    }


def _httpx(at: int | Path, stack: ExitStack) -> Callable[[Principal, str], bool]:
    httpx = _library()
    transport = httpx.HTTPTransport(uds=str(at) if isinstance(at, Path) else None)
    client = stack.enter_context(httpx.Client(**_common(transport)))

    def can(who: Principal, key: str) -> bool:
        url, parameters = _target(at, who, key)
        return bool(client.get(url, params=parameters).content == ALLOWED)

    return can


def _async_httpx(
    at: int | Path, stack: ExitStack, runner: asyncio.Runner
) -> Callable[[Principal, str], Awaitable[bool]]:
    httpx = _library()
    transport = httpx.AsyncHTTPTransport(uds=str(at) if isinstance(at, Path) else None)
    client = httpx.AsyncClient(**_common(transport))
    stack.callback(lambda: runner.run(client.aclose()))

    async def can(who: Principal, key: str) -> bool:
        url, parameters = _target(at, who, key)
        return bool((await client.get(url, params=parameters)).content == ALLOWED)

    return can


def _library() -> Any:
    try:
        import httpx  # noqa: PLC0415
    except ModuleNotFoundError:
        raise Absent("`pip install httpx`") from None
    return httpx


SCENARIO = Scenario(
    "client",
    "a question through SidecarClient, beside the bare exchange of bytes and httpx",
    frozenset({"http", "targets"}),
    cases,
    measure,
    in_quick=False,
)
