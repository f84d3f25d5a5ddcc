"""A sidecar and an authorizer under everything at once, for as long as is asked for.

Mixed questions, writes, connections that are cut every few seconds and now and then a
load of everything anew. At the end of each period the writes stop, and both must say what
the database says. What a process holds and how quickly it answers must be the same in
the last third as in the first, after a fifth to warm up.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from math import ceil
from multiprocessing import get_context
from random import Random
from statistics import median
from time import monotonic
from typing import NamedTuple

import psutil
import psycopg

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.httpload import Load, Window, ask
from bench.runner import MIB
from bench.sidecars import Served, sidecar
from bench.soaking import ask_once, exchanges, mismatches
from bench.statements import queries
from bench.world import World, uuid, world
from bench.writers import load
from qeetid_authz.authorizer import Authorizer

USERS = 10_000
SAMPLE = 300  # users that are asked about
PERIODS = 30
WRITES = 40  # transactions a second
MANY = 10  # memberships in a transaction
WRITTEN = ("joined", "left", "suspended", "granted", "withdrawn")
CONNECTIONS = 4
CUT_EVERY = 3.0  # seconds
RESYNC_EVERY = 3  # periods

MEMORY = 1.1  # times
DESCRIPTORS, THREADS = 2, 1  # more
MEDIAN, TAIL = 1.5, 2.0  # times


class Period(NamedTuple):
    """What was seen of one process in a period.

    Attributes:
        memory: MiB resident.
        median, p99: latencies in microseconds.
    """

    memory: float
    descriptors: int
    threads: int
    median: float
    p99: float


class Periods(NamedTuple):
    """Those of both processes, in order, and what else there was."""

    sidecar: list[Period]
    here: list[Period]
    wrong: list[int]
    requests: list[int]
    written: list[int]
    cuts: list[int]


def cases(settings: Settings) -> list[Case]:
    """All of it, for some minutes."""
    minutes = settings.minutes
    return [Case(f"{minutes:g} minutes", (round(minutes * 60),))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Let it soak; a wrong answer at the end of a period fails it."""
    (seconds,) = case.sizes
    random = Random(settings.seed)
    for name in ("qeetid_authz", "psycopg"):  # cuts are meant
        logging.getLogger(name).setLevel(logging.ERROR)
    seen = Periods([], [], [], [], [], [])
    with (
        world(USERS) as here,
        sidecar(here.dsn, here.pem) as served,
        here.open() as authorizer,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as client,
    ):
        soak = _Soak(here, served, authorizer, client, random)
        for number in range(PERIODS):
            soak.run(seen, seconds / PERIODS, resyncs=number % RESYNC_EVERY == 0)
            assert seen.wrong[-1] == 0, f"wrong in period {number + 1}: {seen.wrong}"
        resyncs = authorizer.replica.resyncs.get("tables", 0)
    yield from _figures(seen, resyncs)


class _Soak:
    """What is soaked, and who asks it."""

    def __init__(
        self,
        here: World,
        served: Served,
        authorizer: Authorizer,
        client: ProcessPoolExecutor,
        random: Random,
    ) -> None:
        self._here = here
        self._served = served
        self._authorizer = authorizer
        self._client = client
        self._random = random
        numbers = random.sample(range(1, USERS + 1), SAMPLE)
        self._users = [uuid(f"user{number}") for number in numbers]
        self._process = psutil.Process()

    def run(self, seen: Periods, seconds: float, *, resyncs: bool) -> None:
        """One period, and what was seen in it."""
        asked = exchanges(self._here, self._users, self._random)
        asking = Load(self._served.address, asked)
        statements = [queries("soak")[name] for name in WRITTEN]
        given = {"users": USERS, "many": MANY}
        future = self._client.submit(ask, asking, CONNECTIONS, seconds)
        with load(self._here.dsn, statements, WRITES, given) as written:
            latencies, cuts = self._ask(monotonic() + seconds, resyncs=resyncs)
        window: Window = future.result()
        seen.wrong.append(
            mismatches(
                self._here.dsn, self._authorizer, self._served.address, self._users
            )
        )
        seen.requests.append(window.requests)
        seen.written.extend(written)
        seen.cuts.append(cuts)
        seen.sidecar.append(_seen(self._served.process, window.median, window.p99))
        latencies.sort()
        p99 = latencies[ceil(0.99 * len(latencies)) - 1]
        seen.here.append(_seen(self._process, median(latencies), p99))

    def _ask(self, until: float, *, resyncs: bool) -> tuple[list[float], int]:
        """Ask the authorizer; the latencies, and how many connections were cut."""
        latencies, cuts = [], 0
        with psycopg.connect(self._here.dsn, autocommit=True) as connection:
            if resyncs:
                connection.execute(queries("soak")["rewrite"])
            next_cut = monotonic() + CUT_EVERY / 2
            while (now := monotonic()) < until:
                if now >= next_cut:
                    row = connection.execute(queries("soak")["disconnect"]).fetchone()
                    cuts += row[0] if row else 0
                    next_cut += CUT_EVERY
                latencies.append(ask_once(self._authorizer, self._users, self._random))
        return latencies, cuts


def _seen(process: psutil.Process, middle: float, p99: float) -> Period:
    with process.oneshot():
        memory = process.memory_info().rss / MIB
        threads = process.num_threads()
    return Period(memory, process.num_fds(), threads, middle, p99)


def _figures(seen: Periods, resyncs: int) -> Iterator[Figure]:
    yield Figure.of("wrong at the end of a period", "", seen.wrong, 0, by="maximum")
    yield Figure.of("requests in a period", "", seen.requests)
    yield Figure.of("transactions in a period", "", seen.written)
    yield Figure.of("connections cut in a period", "", seen.cuts, at_least=1)
    yield Figure.of("loads of everything anew, here", "", [resyncs], at_least=1)
    for who, periods in (("sidecar", seen.sidecar), ("in process", seen.here)):
        yield from _flatness(who, periods)


def _flatness(who: str, periods: Sequence[Period]) -> Iterator[Figure]:
    """What each period showed, and the last third against the first."""
    for what, unit, of in _KINDS:
        yield Figure.of(f"{who}: {what}", unit, [of(each) for each in periods])
    warm = periods[len(periods) // 5 :]
    third = len(warm) // 3
    first, last = warm[:third], warm[-third:]
    for (what, _, of), bound in zip(_KINDS, _BOUNDS, strict=True):
        before, after = (median(map(of, part)) for part in (first, last))
        if what in ("descriptors", "threads"):
            yield Figure.of(f"{who}: {what}, gained", "", [after - before], bound)
        else:
            yield Figure.of(
                f"{who}: {what}, last / first", "x", [after / before], bound
            )


_KINDS: tuple[tuple[str, str, Callable[[Period], float]], ...] = (
    ("memory", "MiB", lambda period: period.memory),
    ("descriptors", "", lambda period: period.descriptors),
    ("threads", "", lambda period: period.threads),
    ("latency, median", "us", lambda period: period.median),
    ("latency, 99th percentile", "us", lambda period: period.p99),
)
_BOUNDS = (MEMORY, DESCRIPTORS, THREADS, MEDIAN, TAIL)

SCENARIO = Scenario(
    "soak",
    "everything at once for --minutes: are memory, descriptors and latency flat?",
    frozenset({"long"}),
    cases,
    measure,
    in_quick=False,
    only_by_name=True,
)
