"""What opening an authorizer on a database costs, against reading the same rows.

The rows are read with COPY and thrown away: by psql where it is installed, which writes
them to the null device, else by psycopg.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from time import perf_counter

import psycopg

from bench.cases import Case, Scale, Scenario, Settings
from bench.figures import Figure, Point
from bench.runner import apart, peak_mib, resident_mib
from bench.statements import statements
from bench.tenancies import Database, Size, tenancies
from qeetid_authz.authorizer import Authorizer

RATIO = 3.0
MEMORY = 200.0  # MiB
REPEATS = 3
SIZES = {
    users: Size(max(1, users // 1_000), users, max(3, users // 100), 10)
    for users in (100, 1_000, 10_000, 100_000, 1_000_000)
}


def cases(settings: Settings) -> list[Case]:
    """A tenant for each 1,000 users, three memberships each, ten groups a tenant."""
    sizes = {
        Scale.QUICK: [1_000],
        Scale.USUAL: [100, 1_000, 10_000, 100_000],
        Scale.FULL: list(SIZES),
    }[settings.scale]
    return [
        Case(f"{users:,} users, {3 * users:,} memberships", (users,)) for users in sizes
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Drain and open by turns, each in a process of its own."""
    users = case.sizes[0]
    with tenancies(SIZES[users]) as database:
        drains, opens, memory, peaks = [], [], [], []
        for _ in range(settings.repeats(REPEATS)):
            drains.append(_drain(database.dsn))
            millis, resident, peak = apart(_open, database)
            opens.append(millis)
            memory.append(resident)
            peaks.append(peak)
    is_largest = users == 1_000_000
    target = MEMORY if is_largest else None
    label = f"{users:,} users"
    ratios = [mine / theirs for mine, theirs in zip(opens, drains, strict=True)]
    yield Figure.of("open", "ms", opens, point=Point("load, by users", users))
    yield Figure.of(f"COPY of the same rows, by {_drainer()}", "ms", drains)
    yield Figure.of("ratio", "x", ratios, RATIO if is_largest else None)
    yield Figure.of(
        "memory after load",
        "MiB",
        memory,
        target,
        point=Point("memory of the process, by users", users),
        headline=f"process after load, {label}" if is_largest else None,
    )
    yield Figure.of(
        "peak memory while loading",
        "MiB",
        peaks,
        target,
        headline=f"peak while loading, {label}" if is_largest else None,
    )


def _drainer() -> str:
    return "psql" if shutil.which("psql") else "psycopg"


def _drain(dsn: str) -> float:
    program = shutil.which("psql")
    before = perf_counter()
    if program:
        commands = [_flag(each) for each in statements("drain")]
        subprocess.run(
            [
                program,
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                *commands,
                dsn,
            ],
            check=True,
        )
    else:
        _drain_ourselves(dsn)
    return (perf_counter() - before) * 1_000


def _flag(statement: bytes) -> str:
    """A statement as psql's own `\\copy`, which it reads into nothing."""
    _, _, text = statement.decode().partition("COPY ")
    query = text.rpartition(" TO STDOUT")[0]
    return f"--command=\\copy {query} TO {os.devnull}"


def _drain_ourselves(dsn: str) -> None:
    read = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements("drain"):
            with connection.cursor().copy(statement) as copy:
                read += sum(map(len, copy))
    assert read > 0


def _open(database: Database) -> tuple[float, float, float]:
    """Milliseconds until it answers, and MiB of the process: after that, at most."""
    before = perf_counter()
    with Authorizer.open(database.dsn) as authorizer:
        elapsed = perf_counter() - before
        database.verify(authorizer)
        return elapsed * 1_000, resident_mib(), peak_mib()


SCENARIO = Scenario(
    "load",
    "opening an authorizer on a database, against COPY of the same rows",
    frozenset({"database", "growth", "targets"}),
    cases,
    measure,
)
