"""What compiling every fact costs, and what the index weighs."""

import gc
import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from time import perf_counter, thread_time

from bench.cases import Case, Scenario, Settings, by_users
from bench.catalogues import choose
from bench.figures import Figure, Point
from bench.questions import of_many
from bench.runner import resident_mib
from bench.synthesis import SHAPES, Shape, Tenancy, facts, synthesise
from qeetid_authz.engine.engine import Engine

CATALOGUE, TENANTS = "catalogue, 100,000 users", "tenants of 10 users"
ROLES = "roles, 1,000 users"
WEIGHED = 1_000
"""Users from which on the index weighs more than the noise of a process."""


def cases(settings: Settings) -> list[Case]:
    """A tenant with ever more users, ever more tenants, and many roles."""
    usual = by_users(settings)
    if settings.is_quick:
        return usual
    tenants = [
        Case(f"{count:,} {TENANTS}", (10, count))
        for count in (1, 10, 100, 1_000, 10_000)
    ]
    roles = [
        Case(f"{count:,} {ROLES}", (1_000, 1, count))
        for count in (1, 10, 100, 1_000, 10_000)
    ]
    return [*usual, *tenants, *roles, Case(CATALOGUE, (100_000,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Publish the snapshot into new engines, which must then answer right."""
    users = case.sizes[0]
    tenancy = _tenancy(case, settings)
    questions = of_many(tenancy, settings.seed)
    count = facts(tenancy.snapshot)
    seconds, processor, growth = [], [], []
    for _ in range(3 if users >= 1_000_000 else 5):
        snapshot = tenancy.snapshot
        gc.collect()
        resident = resident_mib()
        engine = Engine()
        before, worked = perf_counter(), thread_time()
        engine.publish(snapshot, 0.0)
        seconds.append((perf_counter() - before) * 1e3)
        processor.append((thread_time() - worked) * 1e3)
        growth.append(resident_mib() - resident)
        questions.verify(engine)
    rate = count / median(processor)
    axis, size = _axis(case)
    spot = Point(f"compile, {axis}", size) if axis else None
    yield Figure.of("compile", "ms", seconds)
    yield Figure.of(
        "processor time",
        "ms",
        processor,
        point=spot,
    )
    yield Figure.of("facts per second of it", "k/s", [rate])
    weighed = axis and math.prod(case.sizes) >= WEIGHED
    yield Figure.of(
        "memory of the index",
        "MiB",
        [max(0.0, growth[0])],
        point=Point(f"memory of the index, {axis}", size) if weighed else None,
        headline="index of 1,000,000 users" if users == 1_000_000 else None,
    )


def _axis(case: Case) -> tuple[str | None, int]:
    if case.label == CATALOGUE:
        return None, 0
    axes = ("by users", "by tenants", "by roles")
    return axes[len(case.sizes) - 1], case.sizes[-1]


def _tenancy(case: Case, settings: Settings) -> Tenancy:
    users = case.sizes[0]
    if case.label == CATALOGUE:
        shape = Shape(users=users, groups=1_000)
        catalogue = choose(settings.catalogue, settings.seed)
        return synthesise(shape, settings.seed, catalogue)
    shape = Shape(users=users, groups=1_000, roles=100)
    axis, size = _axis(case)
    if axis == "by tenants":
        shape = replace(SHAPES["many tenants"], tenants=size)
    elif axis == "by roles":
        shape = replace(shape, roles=size, roles_per_group=min(size, 2))
    return synthesise(shape, settings.seed)


SCENARIO = Scenario(
    "compile",
    "all facts of a snapshot to an index, with its memory",
    frozenset({"index", "growth"}),
    cases,
    measure,
)
