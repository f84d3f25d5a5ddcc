"""Bodies of requests, which are waited for only so long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qeetid_authz_server.outgoing.problems import Code, Problem

PATIENCE = 10.0
"""Seconds in which a body must have come."""

LAST_PATIENCE = 2.0
"""Seconds in which those must have come that are under way when the sidecar stops."""


class Bodies:
    """Sets a deadline to every body that is being read."""

    def __init__(self) -> None:
        self._deadlines: set[asyncio.Timeout] = set()
        self._is_hurried = False

    @asynccontextmanager
    async def arriving(self, code: Code) -> AsyncIterator[None]:
        """Read a body within this context.

        Args:
            code: what a body is refused as that doesn't come in time.

        Raises:
            Problem: it doesn't come in time; the connection is closed then.
        """
        patience = LAST_PATIENCE if self._is_hurried else PATIENCE
        deadline = asyncio.timeout(patience)
        self._deadlines.add(deadline)
        try:
            async with deadline:
                yield
        except TimeoutError:
            raise Problem(code, "the body takes too long", is_last=True) from None
        finally:
            self._deadlines.discard(deadline)

    def hurry(self) -> None:
        """Wait for no body much longer, be it under way or still to come."""
        self._is_hurried = True
        latest = asyncio.get_running_loop().time() + LAST_PATIENCE
        for deadline in self._deadlines:
            when = deadline.when()
            if when is None or when > latest:
                deadline.reschedule(latest)
