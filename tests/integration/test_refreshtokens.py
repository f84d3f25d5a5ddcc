"""Refresh tokens found by their hash while they may be used, and not a moment longer."""

import asyncio
import os
import signal
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qeetid_authz.errors import (
    DatabaseError,
    NotOpenError,
    OverloadedError,
    UnreachableError,
)
from qeetid_authz.ids import format_id
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.lookups import CONNECTION_LIMIT, WAITING_LIMIT, Lookups
from qeetid_authz.postgres.migrate import migrate
from qeetid_authz.postgres.refreshtokens import RefreshToken, RefreshTokens
from tests.tables import Tables, named, write

Connection = psycopg.Connection[Any]

ACME, ANN = named("tenant", "acme"), named("user", "ann")
TENANT_ID, USER_ID = format_id(ACME), format_id(ANN)
ISSUED = datetime(2026, 1, 2, 3, 4, 5, 900_000, tzinfo=UTC)
ENDLESS = datetime(2200, 1, 1, tzinfo=UTC)
TOKEN = b"a refresh token \xff"


def token_hash(token: bytes) -> str:
    return urlsafe_b64encode(sha256(token).digest()).decode().rstrip("=")


def insert(connection: Connection, table: str, **values: Any) -> None:
    columns = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
    connection.execute(statement.encode(), list(values.values()))


def add_of_client(
    connection: Connection, token: bytes = TOKEN, **changes: Any
) -> RefreshToken:
    """A refresh token of an OIDC client, and how it should be found."""
    row = {
        "token_hash": token_hash(token),
        "client_id": "qci_shop",
        "user_id": UUID(bytes=ANN),
        "tenant_id": UUID(bytes=ACME),
        "scopes": ["openid", None, "billing:read"],
        "issued_at": ISSUED,
        "expires_at": ENDLESS,
    }
    insert(connection, "auth.oidc_refresh_tokens", **row | changes)
    return RefreshToken(
        "qci_shop",
        USER_ID,
        TENANT_ID,
        None,
        ["openid", "billing:read"],
        int(ISSUED.timestamp()),
        int(ENDLESS.timestamp()),
    )


def add_of_login(
    connection: Connection,
    token: bytes = TOKEN,
    *,
    tenant: bytes | None = ACME,
    revoked_at: datetime | None = None,
    **changes: Any,
) -> RefreshToken:
    """A refresh token of a session, and how it should be found."""
    session = uuid4()
    insert(
        connection,
        "auth.sessions",
        id=session,
        user_id=UUID(bytes=ANN),
        tenant_id=tenant and UUID(bytes=tenant),
        revoked_at=revoked_at,
    )
    row = {
        "session_id": session,
        "token_hash": token_hash(token),
        "issued_at": ISSUED,
        "expires_at": ENDLESS,
    }
    insert(connection, "auth.refresh_tokens", **row | changes)
    return RefreshToken(
        None,
        USER_ID,
        None if tenant is None else format_id(tenant),
        str(session),
        [],
        int(ISSUED.timestamp()),
        int(ENDLESS.timestamp()),
    )


@pytest.fixture
def town(connection: Connection) -> Connection:
    """A connection to a database with Acme and Ann."""
    write(Tables(tenants={ACME: "active"}, users={ANN: "active"}), connection)
    return connection


@asynccontextmanager
async def refresh_tokens(dsn: str) -> AsyncIterator[RefreshTokens]:
    async with Lookups(dsn) as lookups:
        yield RefreshTokens(lookups)


async def find(
    dsn: str, token: bytes = TOKEN, *, of_logins: bool = True
) -> RefreshToken | None:
    async with refresh_tokens(dsn) as tokens:
        return await tokens.find(token, of_logins=of_logins)


async def test_of_a_client(database: str, town: Connection) -> None:
    """A client's token is found by its hash, times floored to seconds, no null scope."""
    expected = add_of_client(town)

    assert expected == await find(database)
    assert expected == await find(database, of_logins=False)
    assert None is await find(database, TOKEN + b"x")
    assert None is await find(database, b"")
    assert None is await find(database, token_hash(TOKEN).encode())


async def test_of_a_login(database: str, town: Connection) -> None:
    """A session's token is found with its session, but only where it is looked for."""
    expected = add_of_login(town)

    assert expected == await find(database)
    assert None is await find(database, of_logins=False)


async def test_of_a_login_without_a_tenant(database: str, town: Connection) -> None:
    """A session may be bound to no tenant."""
    expected = add_of_login(town, tenant=None)

    assert None is expected.tenant_id
    assert expected == await find(database)


PAST = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"used_at": PAST},
        {"used_at": ENDLESS},
        {"revoked_at": PAST},
        {"revoked_at": ENDLESS},
        {"expires_at": PAST},
        {"expires_at": "infinity"},
        {"expires_at": "-infinity"},
        {"issued_at": "-infinity"},
    ],
    ids=str,
)
async def test_what_may_not_be_used(
    database: str, town: Connection, changes: dict[str, Any]
) -> None:
    """Used, revoked, expired, or of a time that nobody could be told: not found."""
    add_of_client(town, b"client", **changes)
    add_of_login(town, b"login", **changes)

    assert None is await find(database, b"client")
    assert None is await find(database, b"login")


async def test_nothing_is_remembered(database: str, town: Connection) -> None:
    """What was found a moment ago isn't once it is used, revoked or over."""
    add_of_client(town, b"client")
    add_of_login(town, b"login")
    add_of_login(town, b"other login")
    async with refresh_tokens(database) as tokens:
        for token, statement in (
            (b"client", "UPDATE auth.oidc_refresh_tokens SET revoked_at = now()"),
            (b"login", "UPDATE auth.refresh_tokens SET used_at = now()"),
            (b"other login", "UPDATE auth.sessions SET revoked_at = now()"),
        ):
            if token == b"other login":
                town.execute("UPDATE auth.refresh_tokens SET used_at = NULL")
            assert None is not await tokens.find(token, of_logins=True)
            town.execute(statement)
            assert None is await tokens.find(token, of_logins=True)


async def test_a_reader_may_look_up(database: str, town: Connection) -> None:
    """The reader's rights are enough, for both kinds."""
    town.execute("DROP ROLE IF EXISTS looker")
    town.execute("CREATE ROLE looker LOGIN PASSWORD 'x' IN ROLE qeetid_authz_reader")
    try:
        of_client, of_login = add_of_client(town), add_of_login(town, b"login")
        dsn = make_conninfo(database, user="looker", password="x")

        assert of_client == await find(dsn)
        assert of_login == await find(dsn, b"login")
    finally:
        town.execute("DROP ROLE looker")


async def test_many_at_once(database: str, town: Connection) -> None:
    """Far more lookups than connections all come through."""
    expected = add_of_client(town)
    async with refresh_tokens(database) as tokens:
        lookups = [tokens.find(TOKEN, of_logins=True) for _ in range(150)]

        assert [expected] * 150 == await asyncio.gather(*lookups)


async def test_too_many_at_once(database: str, town: Connection) -> None:
    """Behind a lock few wait, over fewer connections, and the rest fails at once."""
    expected = add_of_client(town)
    limit = CONNECTION_LIMIT + WAITING_LIMIT
    dsn = make_conninfo(database, application_name="too many")
    async with refresh_tokens(dsn) as tokens:
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE auth.oidc_refresh_tokens")
            lookups = [tokens.find(TOKEN, of_logins=True) for _ in range(limit + 10)]
            found = await asyncio.gather(*lookups, return_exceptions=True)
            connected = connections(town, "too many")

        assert {UnreachableError, OverloadedError} == set(map(type, found))
        sent_away = [each for each in found if isinstance(each, OverloadedError)]
        assert 10 <= len(sent_away) < WAITING_LIMIT
        assert str(sent_away[0]).startswith("too many lookups wait")
        assert 1 <= connected <= CONNECTION_LIMIT
        await _comes_back(tokens, expected)


def connections(connection: Connection, name: str) -> int:
    """How many there are of an application."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    row = connection.execute(count, [name]).fetchone()
    assert row is not None
    return int(row[0])


async def _comes_back(tokens: RefreshTokens, expected: RefreshToken) -> None:
    """Ask until the database answers again."""
    async with asyncio.timeout(20):
        while True:
            try:
                found = await tokens.find(TOKEN, of_logins=True)
            except DatabaseError:
                continue
            assert expected == found
            return


async def test_closed(database: str, town: Connection) -> None:
    """Nothing is looked up before opening or after closing, nor a connection kept."""
    lookups = Lookups(make_conninfo(database, application_name="closed"))
    tokens = RefreshTokens(lookups)
    with pytest.raises(NotOpenError):
        await tokens.find(TOKEN, of_logins=True)
    async with lookups:
        assert None is await tokens.find(TOKEN, of_logins=True)
    with pytest.raises(NotOpenError):
        await tokens.find(TOKEN, of_logins=True)

    assert {asyncio.current_task()} == asyncio.all_tasks()
    async with asyncio.timeout(20):
        while connections(town, "closed"):
            await asyncio.sleep(0.01)


async def test_closing_ends_what_is_under_way(database: str, town: Connection) -> None:
    """Who waits for the database when it is closed doesn't wait on."""
    async with Lookups(database) as lookups:
        tokens = RefreshTokens(lookups)
        assert None is await tokens.find(TOKEN, of_logins=True)
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE auth.oidc_refresh_tokens")
            waiting = asyncio.create_task(tokens.find(TOKEN, of_logins=True))
            await asyncio.sleep(0)
            await lookups.__aexit__()
            with pytest.raises((asyncio.CancelledError, DatabaseError)):
                await waiting


async def test_a_missing_table(database: str, town: Connection) -> None:
    """A database that can't be asked is an error, not a token that isn't there."""
    town.execute("DROP TABLE auth.oidc_refresh_tokens")

    with pytest.raises(DatabaseError):
        await find(database)


async def test_an_unreachable_database(database: str) -> None:
    """A server that refuses is told as such, without its password."""
    dsn = make_conninfo(database, user="nobody", password="hush-hush")

    with pytest.raises(UnreachableError) as caught:
        await find(dsn)

    assert "hush-hush" not in str(caught.value)


@contextmanager
def own_server() -> Iterator[tuple[Cluster, str, RefreshToken]]:
    """A server of the test's own, and a DSN that stays good when it starts again."""
    with Cluster() as cluster:
        cluster.create_database("town")
        dsn = cluster.dsn("town")
        migrate(dsn, bootstrap=True)
        with psycopg.connect(dsn, autocommit=True) as connection:
            write(Tables(tenants={ACME: "active"}, users={ANN: "active"}), connection)
            expected = add_of_client(connection)
        yield cluster, dsn, expected


def postmaster(cluster: Cluster) -> int:
    return int((cluster.directory / "data" / "postmaster.pid").read_text().split()[0])


def backends(connection: Connection, dsn: str) -> list[int]:
    """The processes that serve others in a database."""
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid()",
        [conninfo_to_dict(dsn)["dbname"]],
    ).fetchall()
    return [pid for (pid,) in rows]


async def test_connections_that_were_cut() -> None:
    """After all connections were cut, as by a restart, the next lookup comes through."""
    with own_server() as (cluster, dsn, expected):
        async with refresh_tokens(dsn) as tokens:
            assert expected == await tokens.find(TOKEN, of_logins=True)
            with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
                cut = backends(admin, dsn)
                assert cut
                for pid in cut:
                    admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

            assert expected == await tokens.find(TOKEN, of_logins=True)


async def test_a_server_that_stops_answering() -> None:
    """A frozen server fails each lookup in bounded time, and serves when it goes on."""
    with own_server() as (cluster, dsn, expected):
        async with refresh_tokens(dsn) as tokens:
            assert expected == await tokens.find(TOKEN, of_logins=True)
            with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
                frozen = [postmaster(cluster), *backends(admin, dsn)]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            try:
                lookups = (tokens.find(TOKEN, of_logins=True) for _ in range(8))
                found = await asyncio.gather(*lookups, return_exceptions=True)
            finally:
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)

            assert {UnreachableError} == set(map(type, found))
            await _comes_back(tokens, expected)


async def test_a_server_that_is_gone() -> None:
    """A server that was stopped is an error, and closing doesn't wait for it."""
    with own_server() as (cluster, dsn, expected):
        async with refresh_tokens(dsn) as tokens:
            assert expected == await tokens.find(TOKEN, of_logins=True)
            cluster.stop()

            with pytest.raises(UnreachableError):
                await tokens.find(TOKEN, of_logins=True)
