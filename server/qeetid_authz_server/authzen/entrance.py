"""What every request of AuthZEN's goes through: who calls, about which tenant, what."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import hdrs, web

from qeetid_authz.ids import Id
from qeetid_authz.principal import Principal
from qeetid_authz_server.authzen.strictjson import read_object
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.questions import read_id, require_same_tenant
from qeetid_authz_server.middleware import GIVEN_ID
from qeetid_authz_server.outgoing.problems import Code, Problem

SMALL: Final = 65_536
"""Bytes that a body may have which asks one thing."""

CHALLENGE: Final = 'ApiKey realm="qeetid-authz"'
"""What a 401 says where no tokens are taken, as AuthZEN wants it to say something."""

_UNAUTHENTICATED = frozenset({Code.UNAUTHORIZED, Code.KEY_INVALID, Code.KEY_EXPIRED})
_JSON: Final = "application/json"
_CHARSETS = frozenset({None, "utf-8", "utf8"})


class Entrance:
    """Lets requests in."""

    def __init__(self, gate: Gate, bodies: Bodies) -> None:
        self._gate = gate
        self._bodies = bodies

    async def admit(self, request: web.Request) -> tuple[Principal | None, Id]:
        """The caller, if one is asked for, and the tenant that it asks about.

        Raises:
            Problem: the caller or the tenant is refused, or there is no tenant.
            UnavailableError: the caller can't be judged now.
        """
        given = request.headers.get("X-Request-Id")
        if given and given.isascii() and given.isprintable():
            request[GIVEN_ID] = given
        caller = await self._identify(request)
        tenant = _tenant(request, caller)
        require_same_tenant(caller, tenant)
        self._gate.require_may_ask(caller)
        return caller, tenant

    async def _identify(self, request: web.Request) -> Principal | None:
        try:
            return await self._gate.identify(request)
        except Problem as refusal:
            if refusal.code in _UNAUTHENTICATED and not refusal.challenge:
                refusal.challenge = CHALLENGE
            raise

    async def read(
        self, request: web.Request, limit: int | None = SMALL
    ) -> dict[str, Any]:
        """The object that a request's body is.

        Args:
            request: the one.
            limit: how many bytes it may have; None for as many as any may have.

        Raises:
            Problem: it isn't one, not said to be, too large, or doesn't come in time.
        """
        _require_json(request)
        try:
            async with self._bodies.arriving(Code.BAD_REQUEST):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Problem(Code.BODY_TOO_LARGE) from None
        if limit is not None and len(body) > limit:
            raise Problem(Code.BODY_TOO_LARGE, f"at most {limit} bytes are taken")
        with readable():
            if len(body) <= SMALL:
                return read_object(body)
            # So much keeps others waiting, whatever it turns out to be.
            return await asyncio.to_thread(read_object, body)


@contextmanager
def readable() -> Iterator[None]:
    """Within this context what can't be read is refused."""
    try:
        yield
    except ValueError as error:
        raise Problem(Code.BAD_REQUEST, str(error)) from None


def _tenant(request: web.Request, caller: Principal | None) -> Id:
    named = request.match_info.get("tenant")
    if named is not None:
        return read_id(named.encode("utf-8", "surrogateescape"), "tenant")
    if caller is None:
        detail = f"nobody is asked who calls: name the tenant, /TENANT{request.path}"
        raise Problem(Code.BAD_REQUEST, detail)
    return caller.tenant


def _require_json(request: web.Request) -> None:
    """Return when a body is said to be JSON; AuthZEN wants a 400 otherwise."""
    charset = request.charset
    if request.content_type != _JSON or (charset and charset.lower()) not in _CHARSETS:
        raise Problem(Code.BAD_REQUEST, f"the Content-Type must be {_JSON}, in UTF-8")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise Problem(Code.BAD_REQUEST, "the body must not be encoded")
