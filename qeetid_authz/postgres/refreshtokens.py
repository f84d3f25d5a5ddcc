"""Refresh tokens, looked up in the database each time that somebody asks.

Nothing of them is remembered: what was good a moment ago may have been used since.
"""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import LiteralString, NamedTuple, Self

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, TooManyRequests

from qeetid_authz.errors import NotOpenError, OverloadedError, UnreachableError
from qeetid_authz.postgres.connecting import Row, complete, translated
from qeetid_authz.postgres.queries import load

CONNECTION_LIMIT = 4
"""Lookups under way at once; each has a connection of its own."""

WAITING_LIMIT = 1000
"""Lookups that may wait for a connection; further ones fail at once.

How long each waits is bounded by `PATIENCE`.
"""

PATIENCE = 2.0
"""Seconds after which a lookup fails, whatever the database is doing."""

_IDLE_LIMIT = 60.0  # seconds until an unused connection is closed
_RECONNECTING = 1.0  # seconds; after that the next lookup tries again
_CLOSING = 1.0  # seconds

_QUERIES = load("refreshtokens")
_OF_CLIENTS = (_QUERIES["issued_to_clients"],)
_OF_CLIENTS_AND_LOGINS = (*_OF_CLIENTS, _QUERIES["issued_at_login"])


class RefreshToken(NamedTuple):
    """A refresh token that may be used now.

    Attributes:
        client_id: the OIDC client it was issued to; None for one of a login.
        user_id: whose it is, canonical.
        tenant_id: where, canonical; None for a login that is bound to no tenant.
        session_id: the session of the login, canonical.
        scopes: what it was issued for.
        issued_at: when, in whole seconds since the Unix epoch.
        expires_at: when it ends, likewise.
    """

    client_id: str | None
    user_id: str
    tenant_id: str | None
    session_id: str | None
    scopes: list[str]
    issued_at: int
    expires_at: int


class RefreshTokens:
    """Looks refresh tokens up on the running event loop; a context manager.

    Connects when first asked, again after the database was away, and never more than
    `CONNECTION_LIMIT` times at once.
    """

    def __init__(self, dsn: str) -> None:
        """Prepare.

        Args:
            dsn: of the Qeet ID database, its primary.
        """
        self._dsn = dsn
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] | None = None
        self._lookups: set[asyncio.Task[RefreshToken | None]] = set()

    async def __aenter__(self) -> Self:
        self._pool = AsyncConnectionPool(
            complete(self._dsn),
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=0,
            max_size=CONNECTION_LIMIT,
            max_waiting=WAITING_LIMIT,
            timeout=PATIENCE,
            max_idle=_IDLE_LIMIT,
            reconnect_timeout=_RECONNECTING,
            check=AsyncConnectionPool.check_connection,
            name="qeetid-authz-refresh-tokens",
            open=False,
        )
        await self._pool.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pool, self._pool = self._pool, None
        for lookup in self._lookups:
            lookup.cancel()
        await asyncio.gather(*self._lookups, return_exceptions=True)
        if pool is not None:
            await pool.close(_CLOSING)

    async def find(self, token: bytes, *, of_logins: bool) -> RefreshToken | None:
        """The refresh token of that text if it may be used now (fact 5).

        Args:
            token: as it was presented.
            of_logins: look among those of Qeet ID's own sessions as well, not only
                among those of OIDC clients.

        Raises:
            DatabaseError: the database doesn't answer in time, or refuses.
            OverloadedError: too many lookups wait already.
            NotOpenError: this isn't open.
        """
        if self._pool is None:
            raise NotOpenError("refresh tokens can't be looked up before opening")
        queries = _OF_CLIENTS_AND_LOGINS if of_logins else _OF_CLIENTS
        lookup = asyncio.create_task(_look_up(self._pool, _digest(token), queries))
        self._lookups.add(lookup)
        lookup.add_done_callback(self._ended)
        try:
            # One that takes longer may also take long to be stopped.
            await asyncio.wait({lookup}, timeout=PATIENCE)
            if lookup.done():
                return lookup.result()
        finally:
            lookup.cancel()
        raise UnreachableError(
            f"the database doesn't answer within {PATIENCE:g} s; check that it runs"
        )

    def _ended(self, lookup: asyncio.Task[RefreshToken | None]) -> None:
        self._lookups.discard(lookup)
        if not lookup.cancelled():
            lookup.exception()  # which nobody may have waited for


async def _look_up(
    pool: AsyncConnectionPool[AsyncConnection[Row]],
    digest: str,
    queries: Sequence[LiteralString],
) -> RefreshToken | None:
    with translated():
        try:
            async with pool.connection() as connection:
                for query in queries:
                    cursor = await connection.execute(query, [digest])
                    row = await cursor.fetchone()
                    if row is not None:
                        return RefreshToken(*row)
        except TooManyRequests:
            raise OverloadedError(
                "too many refresh tokens wait to be looked up; try again in a second"
            ) from None
    return None


def _digest(token: bytes) -> str:
    """What the database knows a refresh token by (fact 5)."""
    return urlsafe_b64encode(sha256(token).digest()).rstrip(b"=").decode()
