"""Thousands of changes a second, followed on an event loop that must not stall.

Another process writes; a task here ticks once a millisecond, and how late it comes is
the stall. What the operating system takes is in it: two processes of the server and
the writer share the machine.
"""

import asyncio
import gc
from collections.abc import Iterator
from time import monotonic, sleep

import psycopg

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.gaps import ticking
from bench.statements import queries
from bench.world import PROBE, TENANT, World, world
from bench.writers import Writer, load
from qeetid_authz.authorizer import AsyncAuthorizer

RATE = 5_000.0  # changes a second
STALL = 5.0  # ms
LAG = 1_000.0  # ms
USERS = 200_000
MANY = 10  # changes in a transaction
BULK = 100_000
SECONDS = 10
PATIENCE = 60.0  # seconds
STEADY, AT_ONCE = "steady", "in one transaction"


def cases(settings: Settings) -> list[Case]:
    """For some seconds; and as many changes as there may be in one transaction."""
    bulk = BULK // 10 if settings.is_quick else BULK
    return [
        Case(
            f"{RATE:,.0f} changes/s, {STEADY}", (2 if settings.is_quick else SECONDS,)
        ),
        Case(f"{bulk:,} memberships {AT_ONCE}", (bulk,)),
    ]


def measure(case: Case, _: Settings) -> Iterator[Figure]:
    """Let somebody write, and tick meanwhile."""
    (size,) = case.sizes
    measured = _bulk if case.label.endswith(AT_ONCE) else _steady
    with world(USERS) as here:
        yield from asyncio.run(measured(here, size))


async def _steady(here: World, seconds: int) -> list[Figure]:
    """Others join and leave a group, all the time."""
    async with await AsyncAuthorizer.open(here.dsn) as authorizer:
        gc.freeze()  # as the sidecar does
        async with ticking() as idle:
            await asyncio.sleep(1)
        async with ticking() as late:
            changes = await asyncio.to_thread(_write, here.dsn, seconds)
            lag = await _caught_up(authorizer, here.dsn)
        _verify(authorizer, here.dsn)
    return [
        Figure.of(
            "changes",
            "/s",
            [changes / seconds],
            at_least=0.98 * RATE,
            headline="changes followed",
        ),
        Figure.of("lag at the end", "ms", [lag], LAG),
        Figure.of("stall of the event loop", "ms", late, STALL, by="maximum"),
        Figure.of("the same before", "ms", idle),
    ]


async def _bulk(here: World, size: int) -> list[Figure]:
    """All of them join a group in one transaction, and leave it in another."""
    statements = queries("sustained")
    given = {"number": 0, "many": size, "users": USERS}
    seen = []
    with Writer(here.dsn) as writer:
        async with await AsyncAuthorizer.open(here.dsn) as authorizer:
            gc.freeze()
            async with ticking() as late:
                for what in ("joined", "left"):
                    writer.begin(statements[what], given)
                    await asyncio.to_thread(writer.end)
                    seen.append(await _caught_up(authorizer, here.dsn))
            _verify(authorizer, here.dsn)
    return [
        Figure.of("commit to visible", "ms", seen),
        Figure.of("stall of the event loop", "ms", late, STALL, by="maximum"),
    ]


def _write(dsn: str, seconds: int) -> int:
    """Write for some seconds; how many changes were made."""
    statements = queries("sustained")
    pair = [statements["joined"], statements["left"]]
    given = {"many": MANY, "users": USERS}
    with load(dsn, pair, round(RATE / MANY), given) as written:
        sleep(seconds)
    return written[0] * MANY


async def _caught_up(authorizer: AsyncAuthorizer, dsn: str) -> float:
    """Milliseconds until what was committed so far is seen.

    Raises:
        AssertionError: that doesn't come to pass.
    """
    began = monotonic()
    committed = await asyncio.to_thread(_ask, dsn, "committed")
    while authorizer.revision.xmin < committed:
        assert monotonic() < began + PATIENCE, "changes were not applied"
        await asyncio.sleep(0.002)
    return (monotonic() - began) * 1e3


def _verify(authorizer: AsyncAuthorizer, dsn: str) -> None:
    """As many hold the key as the database says."""
    holders = sum(1 for _ in authorizer.who_can(TENANT, PROBE))
    assert holders == _ask(dsn, "holders")


def _ask(dsn: str, query: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(queries("sustained")[query]).fetchone()
    assert row is not None
    return int(row[0])


SCENARIO = Scenario(
    "sustained",
    "thousands of changes a second, and 100,000 at once: lag, and stalls of a loop",
    frozenset({"database", "targets"}),
    cases,
    measure,
    in_quick=False,
)
