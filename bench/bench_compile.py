"""What compiling every fact costs, and what the index weighs."""

import gc
from collections.abc import Iterator
from statistics import median
from time import perf_counter, thread_time

import psutil

from bench.cases import Case, Scenario, Settings, by_users
from bench.catalogues import choose
from bench.figures import Figure
from bench.questions import of_many
from bench.synthesis import Shape, Tenancy, facts, synthesise
from qeetid_authz.engine.engine import Engine

CATALOGUE = "catalogue, 100,000 users"
MIB = 1 << 20


def cases(settings: Settings) -> list[Case]:
    """A tenant with ever more users, and one with many roles and permissions."""
    usual = by_users(settings)
    return usual if settings.is_quick else [*usual, Case(CATALOGUE, (100_000,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Publish the snapshot into new engines, which must then answer right."""
    (users,) = case.sizes
    tenancy = _tenancy(case, settings)
    snapshot = tenancy.snapshot
    questions = of_many(tenancy, settings.seed)
    process = psutil.Process()
    seconds, processor, growth = [], [], []
    for _ in range(3 if users >= 1_000_000 else 5):
        gc.collect()
        resident = process.memory_info().rss
        engine = Engine()
        before, worked = perf_counter(), thread_time()
        engine.publish(snapshot, 0.0)
        seconds.append(perf_counter() - before)
        processor.append(thread_time() - worked)
        growth.append((process.memory_info().rss - resident) / MIB)
        questions.verify(engine)
    rate = facts(snapshot) / median(processor) / 1_000
    yield Figure.of("compile", "ms", [each * 1_000 for each in seconds])
    yield Figure.of("processor time", "ms", [each * 1_000 for each in processor])
    yield Figure.of("facts per second of it", "k/s", [rate])
    yield Figure.of("memory of the index", "MiB", growth[:1])


def _tenancy(case: Case, settings: Settings) -> Tenancy:
    (users,) = case.sizes
    if case.label == CATALOGUE:
        shape = Shape(users=users, groups=1_000)
        catalogue = choose(settings.catalogue, settings.seed)
        return synthesise(shape, settings.seed, catalogue)
    return synthesise(Shape(users=users, groups=1_000, roles=100), settings.seed)


SCENARIO = Scenario(
    "compile",
    "all facts of a snapshot to an index, with its memory",
    frozenset({"index"}),
    cases,
    measure,
)
