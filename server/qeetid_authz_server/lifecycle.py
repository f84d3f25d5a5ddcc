"""What the sidecar holds while it runs: entered in order, left in reverse."""

import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.keyendpoint import KeyEndpoint
from qeetid_authz.credentials.keysources import source_of
from qeetid_authz.postgres.lookups import Lookups
from qeetid_authz_server.listening.addresses import TcpAddress
from qeetid_authz_server.loading import require_readable_keys
from qeetid_authz_server.parts import Resource
from qeetid_authz_server.settings import Settings

_log = logging.getLogger(__name__)


def following(authorizer: AsyncAuthorizer) -> Resource:
    """Load the database and follow it."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        async with authorizer:
            yield

    return context


def looking_up(lookups: Lookups) -> Resource:
    """Let things be looked up in the database."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        async with lookups:
            yield

    return context


def reading_keys(settings: Settings) -> Resource:
    """Make sure that the issuer's keys can be read, where they aren't far away."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        require_readable_keys(settings)
        host = _host_in_the_open(settings)
        if host is not None:
            why = "keys over plain http can be replaced on the way; use https"
            _log.warning("keys_unprotected", extra={"host": host, "detail": why})
        yield

    return context


def _host_in_the_open(settings: Settings) -> str | None:
    """Whence the issuer's keys come over a network in plain HTTP, if they do."""
    if settings.jwks is None:
        return None
    if not isinstance(source_of(settings.jwks), KeyEndpoint):
        return None
    parts = urlsplit(settings.jwks)
    host = parts.hostname or ""
    is_exposed = parts.scheme == "http" and not TcpAddress(host, 0).is_loopback
    return host if is_exposed else None
