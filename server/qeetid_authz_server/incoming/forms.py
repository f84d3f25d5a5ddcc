"""Forms as Go reads them: the body's fields, then those of the query string."""

import re

from aiohttp import hdrs, web

from qeetid_authz.credentials.tokens import TOKEN_SIZE_LIMIT
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.query import parse_pairs
from qeetid_authz_server.outgoing.problems import Code, Problem

FORM_SIZE_LIMIT = 4 * TOKEN_SIZE_LIMIT
"""Bytes that a body may have: the longest token, all of it escaped, and what goes with
it."""

FORM_TYPE = "application/x-www-form-urlencoded"

FIELD_LIMIT = 100
"""Fields that body and query string may have, each."""

_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")


async def read_form(request: web.Request, bodies: Bodies) -> dict[bytes, bytes]:
    """The first value of each field; the body's come before the query string's.

    Raises:
        Problem: it can't be read, is too large or takes too long.
    """
    async with bodies.arriving(Code.FORM_INVALID):
        body = await _read_body(request)
    query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
    return parse_form(query, "query string") | parse_form(body)


def parse_form(raw: bytes, what: str = "body") -> dict[bytes, bytes]:
    """The first value of each field of one part of a form.

    Unlike a query string, a form isn't read in part: one broken pair spoils it (fact
    5).

    Raises:
        Problem: it is spoilt, or has too many fields.
    """
    if raw.count(b"&") >= FIELD_LIMIT:
        raise Problem(
            Code.FORM_INVALID, f"the {what} has more than {FIELD_LIMIT} fields"
        )
    if b";" in raw or (b"%" in raw and _BROKEN.search(raw)):
        raise Problem(
            Code.FORM_INVALID, f"the {what} has a `;` or a broken %-escape in it"
        )
    return parse_pairs(raw)


async def _read_body(request: web.Request) -> bytes:
    if (request.content_length or 0) > FORM_SIZE_LIMIT:
        raise _too_large()
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > FORM_SIZE_LIMIT:
            raise _too_large()
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if body and (request.content_type != FORM_TYPE or encoding != "identity"):
        raise Problem(Code.FORM_INVALID, f"send the body as {FORM_TYPE}, unencoded")
    return bytes(body)


def _too_large() -> Problem:
    return Problem(Code.FORM_TOO_LARGE, f"at most {FORM_SIZE_LIMIT} bytes are taken")
