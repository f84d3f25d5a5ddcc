"""Forms as Go reads them: the body's fields, then those of the query string."""

import re

from aiohttp import hdrs, web

from qeetid_authz.credentials.tokens import TOKEN_SIZE_LIMIT
from qeetid_authz_server.bodies import Bodies
from qeetid_authz_server.problems import Code, Problem
from qeetid_authz_server.query import parse_query

FORM_SIZE_LIMIT = 4 * TOKEN_SIZE_LIMIT
"""Bytes that a body may have: the longest token, all of it escaped, and what goes with
it."""

FIELD_LIMIT = 100
"""Fields that body and query string may have, each."""

_FORM_TYPE = "application/x-www-form-urlencoded"
_BROKEN = re.compile(rb";|%(?![0-9A-Fa-f]{2})")


async def read_form(request: web.Request, bodies: Bodies) -> dict[bytes, bytes]:
    """The first value of each field; the body's come before the query string's.

    Unlike a query string, a form isn't read in part: one broken pair spoils it (fact
    5).

    Raises:
        Problem: it can't be read, is too large or takes too long.
    """
    async with bodies.arriving(Code.FORM_INVALID):
        body = await _read_body(request)
    target = request.raw_path
    _check(target.partition("?")[2].encode("utf-8", "surrogateescape"), "query string")
    _check(body, "body")
    given = parse_query("?" + body.decode("utf-8", "surrogateescape"))
    return parse_query(target) | given


def _check(raw: bytes, what: str) -> None:
    if raw.count(b"&") >= FIELD_LIMIT:
        raise Problem(
            Code.FORM_INVALID, f"the {what} has more than {FIELD_LIMIT} fields"
        )
    if _BROKEN.search(raw):
        raise Problem(
            Code.FORM_INVALID, f"the {what} has a `;` or a broken %-escape in it"
        )


async def _read_body(request: web.Request) -> bytes:
    if (request.content_length or 0) > FORM_SIZE_LIMIT:
        raise _too_large()
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > FORM_SIZE_LIMIT:
            raise _too_large()
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if body and (request.content_type != _FORM_TYPE or encoding != "identity"):
        raise Problem(Code.FORM_INVALID, f"send the body as {_FORM_TYPE}, unencoded")
    return bytes(body)


def _too_large() -> Problem:
    return Problem(Code.FORM_TOO_LARGE, f"at most {FORM_SIZE_LIMIT} bytes are taken")
