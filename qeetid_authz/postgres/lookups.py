"""Lookups: what is asked of the database when somebody needs it, and never remembered.

Whatever the database does, they end soon, and hold few connections.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeAlias, TypeVar

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, TooManyRequests

from qeetid_authz.errors import NotOpenError, OverloadedError, UnreachableError
from qeetid_authz.postgres.connecting import Row, complete, translated

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

Found = TypeVar("Found")
Connection: TypeAlias = AsyncConnection[Row]


class Lookups:
    """Looks things up on the running event loop; a context manager.

    Connects when first asked, again after the database was away, and never more than
    `CONNECTION_LIMIT` times at once.
    """

    def __init__(self, dsn: str) -> None:
        """Prepare.

        Args:
            dsn: of the Qeet ID database, its primary.
        """
        self._dsn = dsn
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

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
            name="qeetid-authz-lookups",
            open=False,
        )
        await self._pool.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pool, self._pool = self._pool, None
        for lookup in self._under_way:
            lookup.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if pool is not None:
            await pool.close(_CLOSING)

    async def run(self, look_up: Callable[[Connection], Awaitable[Found]]) -> Found:
        """What a lookup finds, over a connection of its own.

        Raises:
            DatabaseError: the database doesn't answer in time, or refuses.
            OverloadedError: too many lookups wait already.
            NotOpenError: this isn't open.
        """
        if self._pool is None:
            raise NotOpenError("nothing can be looked up before opening")
        lookup = asyncio.create_task(_connected(self._pool, look_up))
        self._under_way.add(lookup)
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

    def _ended(self, lookup: asyncio.Task[Any]) -> None:
        self._under_way.discard(lookup)
        if not lookup.cancelled():
            lookup.exception()  # which nobody may have waited for


async def _connected(
    pool: AsyncConnectionPool[Connection],
    look_up: Callable[[Connection], Awaitable[Found]],
) -> Found:
    with translated():
        try:
            async with pool.connection() as connection:
                return await look_up(connection)
        except TooManyRequests:
            raise OverloadedError(
                "too many lookups wait for the database; try again in a second"
            ) from None
