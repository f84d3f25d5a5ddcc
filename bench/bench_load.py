"""What opening an authorizer on a database costs, against reading the same rows.

The rows are read with COPY TO STDOUT and thrown away, as `psql` would at best.
"""

from collections.abc import Iterator
from time import perf_counter

import psycopg

from bench.cases import Case, Scale, Scenario, Settings
from bench.figures import Figure
from bench.runner import peak_mib
from bench.statements import run, statements
from qeetid_authz.authorizer import Authorizer
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.migrate import migrate
from qeetid_authz.principal import Principal

GROUPS_PER_USER = 3
REPEATS = 5
_USERS = {Scale.QUICK: 2_000, Scale.USUAL: 100_000, Scale.FULL: 1_000_000}


def cases(settings: Settings) -> list[Case]:
    """One database; users in three groups each."""
    users = _USERS[settings.scale]
    label = f"{users:,} users, {users * GROUPS_PER_USER:,} memberships"
    return [Case(label, (users,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Drain and open by turns."""
    (users,) = case.sizes
    with Cluster() as cluster:
        dsn = cluster.dsn()
        migrate(dsn, bootstrap=True)
        _fill(dsn, users)
        unopened = peak_mib()
        drains, opens = [], []
        for _ in range(settings.repeats(REPEATS)):
            drains.append(_drain(dsn))
            opens.append(_open(dsn))
    ratios = [mine / theirs for mine, theirs in zip(opens, drains, strict=True)]
    yield Figure.of("open", "ms", opens)
    yield Figure.of("COPY of the same rows", "ms", drains)
    yield Figure.of("ratio", "x", ratios)
    yield Figure.of("peak memory before opening", "MiB", [unopened])


def _fill(dsn: str, users: int) -> None:
    options = f"-c bench.users={users}"
    with psycopg.connect(dsn, options=options, autocommit=True) as connection:
        run(connection, "fill")


def _drain(dsn: str) -> float:
    before = perf_counter()
    read = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements("drain"):
            with connection.cursor().copy(statement) as copy:
                read += sum(map(len, copy))
    assert read > 0
    return (perf_counter() - before) * 1_000


def _open(dsn: str) -> float:
    before = perf_counter()
    with Authorizer.open(dsn) as authorizer:
        elapsed = perf_counter() - before
        _verify(dsn, authorizer)
    return elapsed * 1_000


def _verify(dsn: str, authorizer: Authorizer) -> None:
    """Ask what the database was asked in SQL."""
    (question,) = statements("questions")
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(question).fetchall()
    assert {granted for *_, granted in rows} == {True, False}
    for user, tenant, key, granted in rows:
        principal = Principal.user(str(user), str(tenant))
        assert authorizer.can(principal, key) is granted, (user, key)


SCENARIO = Scenario(
    "load",
    "opening an authorizer on a database, against COPY of the same rows",
    frozenset({"database"}),
    cases,
    measure,
)
