"""Bodies in JSON, as routes of our own take them."""

from typing import TypeVar

import msgspec
from aiohttp import hdrs, web

from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.outgoing.problems import Code, Problem

Read = TypeVar("Read")


async def read_json(
    request: web.Request, bodies: Bodies, decoder: msgspec.json.Decoder[Read]
) -> Read:
    """The body of a request.

    Raises:
        Problem: it is of another type or encoded, doesn't come in time, or is none that
            the decoder takes.
    """
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if request.content_type != "application/json" or encoding != "identity":
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE)
    async with bodies.arriving(Code.BAD_REQUEST):
        body = await request.read()
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(Code.BAD_REQUEST, f"invalid body: {error}") from None
