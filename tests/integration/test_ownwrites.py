"""Who wrote is answered from a revision that has seen it, or told that it can't be."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qeetid_authz import Engine, Principal
from qeetid_authz.authorizer import AsyncAuthorizer, Authorizer
from qeetid_authz.errors import (
    NotOpenError,
    RevisionForeignError,
    RevisionUnseenError,
)
from qeetid_authz.revision import RevisionToken
from tests.integration.following import eventually
from tests.server.town import ACME, ANN, KEY, build

QUIET = 30.0
"""Seconds between two polls: so long that nothing arrives unless somebody asks."""

TOKEN = "SELECT qeetid_authz.revision_token()"
GRANTS = "SELECT * FROM rbac.user_roles WHERE user_id = %s"
ann = Principal.user(ANN, ACME)


@pytest.fixture
def town(connection: psycopg.Connection) -> psycopg.Connection:
    """A connection to a database where Ann is a clerk and of the staff."""
    build(connection)
    return connection


@pytest.fixture
def authz(town: psycopg.Connection, database: str) -> Iterator[Authorizer]:
    """An authorizer that polls because somebody asks, and settled after its load."""
    with Authorizer.open(database, poll_interval=QUIET, max_staleness=600) as opened:
        yield opened


def change(connection: psycopg.Connection, statement: Any) -> str:
    """Make a change; the revision token of its transaction."""
    with connection.transaction():
        connection.execute(statement)
        row = connection.execute(TOKEN).fetchone()
    assert row is not None
    return str(row[0])


def revoke(connection: psycopg.Connection) -> str:
    """Take from Ann all she has; the token."""
    with connection.transaction():
        connection.execute("DELETE FROM tenant.group_members")
        return change(connection, "DELETE FROM rbac.user_roles")


@pytest.mark.parametrize(
    "ask",
    [
        lambda authz, token: authz.can(ann, KEY, at_least=token),
        lambda authz, token: bool(authz.check(ann, KEY, at_least=token)),
        lambda authz, token: authz.explain(ann, KEY, at_least=token).allowed,
        lambda authz, token: bool(authz.check_many([(ann, KEY)], at_least=token)[0]),
    ],
    ids=["can", "check", "explain", "check_many"],
)
def test_every_question_sees_what_was_written(
    authz: Authorizer,
    town: psycopg.Connection,
    ask: Callable[[Authorizer, str], bool],
) -> None:
    """An answer takes the write into account, though no poll was due for long."""
    assert authz.can(ann, KEY)

    token = revoke(town)

    assert not ask(authz, token)
    assert authz.revision.has_seen(RevisionToken.parse(token))


def test_require_sees_what_was_written(
    authz: Authorizer, town: psycopg.Connection
) -> None:
    """What was granted just now is granted."""
    revoke(town)
    token = change(
        town,
        "INSERT INTO rbac.user_roles SELECT u.id, r.tenant_id, r.id"
        " FROM \"user\".users u, rbac.roles r WHERE r.name LIKE 'Clerk%%'",
    )

    authz.require(ann, KEY, at_least=token)


def test_without_a_token_nobody_waits(
    authz: Authorizer, town: psycopg.Connection
) -> None:
    """The same question without the token is answered from what is known."""
    revoke(town)

    assert authz.can(ann, KEY)


def test_every_writer_of_many_sees_its_own(
    authz: Authorizer, town: psycopg.Connection, database: str
) -> None:
    """Each of many writers at once is answered from a revision that has seen it."""

    def write_and_ask(number: int) -> bool:
        key = f"key:{number}"
        with psycopg.connect(database) as own:
            with own.transaction():
                own.execute("INSERT INTO rbac.permissions (key) VALUES (%s)", (key,))
                own.execute(
                    "INSERT INTO rbac.role_permissions SELECT r.id, p.id FROM"
                    " rbac.roles r, rbac.permissions p"
                    " WHERE r.name LIKE 'Clerk%%' AND p.key = %s",
                    (key,),
                )
                row = own.execute(TOKEN).fetchone()
            assert row is not None
            return authz.can(ann, key, at_least=row[0])

    with ThreadPoolExecutor(8) as pool:
        assert [True] * 40 == list(pool.map(write_and_ask, range(40)))


def test_a_savepoints_write_is_the_transactions(
    authz: Authorizer, town: psycopg.Connection
) -> None:
    """The token that is made inside a savepoint names the whole transaction."""
    with town.transaction(), town.transaction():
        token = revoke(town)
        revision = authz.revision
        assert not revision.has_seen(RevisionToken.parse(token))

    assert not authz.can(ann, KEY, at_least=token)


def test_what_is_not_committed_is_not_seen(
    town: psycopg.Connection, database: str
) -> None:
    """A question that names an open transaction is refused after the bound; not soon."""
    with (
        Authorizer.open(database, at_least_timeout=0.2) as authz,
        town.transaction(force_rollback=True),
    ):
        token = revoke(town)
        began = time.monotonic()
        with pytest.raises(RevisionUnseenError, match=f"`{token}`"):
            authz.can(ann, KEY, at_least=token)

        assert time.monotonic() - began >= 0.2
        assert not authz._waiting._awaited


def test_a_transaction_that_ends_while_somebody_waits(
    town: psycopg.Connection, database: str
) -> None:
    """The answer comes when the transaction is committed, by the next poll."""
    with (
        Authorizer.open(database, at_least_timeout=20) as authz,
        ThreadPoolExecutor(1) as pool,
    ):
        with town.transaction():
            token = revoke(town)
            asked = pool.submit(authz.can, ann, KEY, at_least=token)
            eventually(lambda: bool(authz._waiting._awaited))
            assert not asked.done()

        assert asked.result(20) is False


@pytest.mark.parametrize(
    "token", ["000000000000@1", "ffffffffffff@18446744073709551615"]
)
def test_a_token_of_another_life_is_refused(authz: Authorizer, token: str) -> None:
    """It is never guessed what such a token may mean, and nobody waits in vain."""
    began = time.monotonic()
    with pytest.raises(RevisionForeignError, match=f"`{token}`"):
        authz.can(ann, KEY, at_least=token)

    assert time.monotonic() - began < authz._told.at_least_timeout


@pytest.mark.parametrize(
    "token",
    [
        "",
        "790",
        "@790",
        "000000000000@",
        "000000000000@0",
        "000000000000@-1",
        "000000000000@1 ",
        "000000000000@1\n",
        "000000000000@1@1",
        "00000000000G@1",
        "000000000000@٣",
    ],
)
def test_what_is_no_token(authz: Authorizer, token: str) -> None:
    """Text that no database writes is refused, and says where to get a token."""
    with pytest.raises(ValueError, match="revision_token"):
        authz.check(ann, KEY, at_least=token)


def test_a_token_must_be_text(authz: Authorizer) -> None:
    """Anything else is a mistake of the program."""
    with pytest.raises(TypeError, match="revision token"):
        authz.can(ann, KEY, at_least=790)  # type: ignore[arg-type]


@pytest.mark.parametrize("bound", [0.0, -1.0, float("inf"), float("nan")])
def test_a_wait_must_have_an_end(database: str, bound: float) -> None:
    """A bound that waits for nothing, or for ever, is refused by the constructor."""
    with pytest.raises(ValueError, match=f"at_least_timeout `{bound}`"):
        Authorizer(database, at_least_timeout=bound)


def test_a_document_has_no_transactions() -> None:
    """What follows no database can't have seen one's transaction."""
    with pytest.raises(RevisionForeignError, match="another database"):
        Engine.from_facts({}).can(ann, KEY, at_least="000000000000@790")


def test_waiting_ends_with_the_authorizer(
    town: psycopg.Connection, database: str
) -> None:
    """Who still waits when it is closed is told so at once."""
    authz = Authorizer.open(database, at_least_timeout=60)
    with ThreadPoolExecutor(1) as pool, town.transaction(force_rollback=True):
        asked = pool.submit(authz.wait_for, revoke(town))
        eventually(lambda: bool(authz._waiting._awaited))
        authz.close()

        with pytest.raises(NotOpenError, match="closed"):
            asked.result(20)


def test_a_hurry_is_no_reason_to_hammer_a_database_that_is_away(
    town: psycopg.Connection, database: str
) -> None:
    """While polls fail, those who wait don't shorten the pauses between them."""
    with Authorizer.open(database, at_least_timeout=1) as authz:
        town.execute("ALTER SCHEMA qeetid_authz RENAME TO away")
        try:
            eventually(lambda: authz.replica.failures > 3)
            before = authz.replica.failures
            with ThreadPoolExecutor(50) as pool:
                for asked in [
                    pool.submit(authz.wait_for, f"{authz.revision.incarnation}@{2**60}")
                    for _ in range(50)
                ]:
                    with pytest.raises(RevisionUnseenError):
                        asked.result(20)
            assert authz.replica.failures - before < 10
        finally:
            town.execute("ALTER SCHEMA away RENAME TO qeetid_authz")


async def test_the_asynchronous_form_waits(
    town: psycopg.Connection, database: str
) -> None:
    """It waits without keeping the event loop from other work; questions don't wait."""
    async with await AsyncAuthorizer.open(
        database, poll_interval=QUIET, max_staleness=600
    ) as authz:
        assert authz.can(ann, KEY)
        token = revoke(town)
        with pytest.raises(RevisionUnseenError):
            authz.can(ann, KEY, at_least=token)

        await authz.wait_for(token)

        assert not authz.can(ann, KEY, at_least=token)


async def test_the_asynchronous_form_gives_up(
    town: psycopg.Connection, database: str
) -> None:
    """After its bound it says so; who is cancelled meanwhile leaves nothing behind."""
    async with await AsyncAuthorizer.open(database, at_least_timeout=0.2) as authz:
        with town.transaction(force_rollback=True):
            token = revoke(town)
            waiting = asyncio.create_task(authz.wait_for(token))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not authz._waiting._awaited
            with pytest.raises(RevisionUnseenError):
                await authz.wait_for(token)
        with pytest.raises(RevisionForeignError):
            await authz.wait_for("000000000000@1")


def test_anybody_may_name_their_transaction(
    town: psycopg.Connection, database: str
) -> None:
    """One who may do nothing in our schema gets a token, of the same incarnation."""
    town.execute("DROP ROLE IF EXISTS scribe")
    town.execute("CREATE ROLE scribe LOGIN PASSWORD 'x'")
    try:
        dsn = make_conninfo(database, user="scribe", password="x")
        with psycopg.connect(dsn, autocommit=True) as scribe:
            row = scribe.execute(TOKEN).fetchone()
            assert row is not None
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                scribe.execute("SELECT FROM qeetid_authz.meta")
        incarnation = town.execute("SELECT qeetid_authz.incarnation()").fetchone()
        assert incarnation == (RevisionToken.parse(row[0]).incarnation,)
    finally:
        town.execute("DROP ROLE scribe")
