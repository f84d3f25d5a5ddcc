"""What the sidecar holds while it runs: entered in order, left in reverse."""

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz_server.settings import Settings, require_readable_keys

Context: TypeAlias = Callable[[web.Application], AsyncIterator[None]]


def following(authorizer: AsyncAuthorizer) -> Context:
    """Load the database and follow it."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        async with authorizer:
            yield

    return context


def reading_keys(settings: Settings) -> Context:
    """Make sure that the issuer's keys can be read, where they aren't far away."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        require_readable_keys(settings)
        yield

    return context
