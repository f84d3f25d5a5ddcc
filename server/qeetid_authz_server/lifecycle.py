"""What the sidecar holds while it runs: entered in order, left in reverse."""

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz_server.callers import Gate

Context: TypeAlias = Callable[[web.Application], AsyncIterator[None]]


def following(authorizer: AsyncAuthorizer) -> Context:
    """Load the database and follow it."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        async with authorizer:
            yield

    return context


def guarding(gate: Gate) -> Context:
    """Keep the gate, and close it at the end."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        yield
        gate.close()

    return context
