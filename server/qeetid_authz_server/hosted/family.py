"""What isn't served here: passed on where an upstream is set, else left alone."""

from aiohttp import web
from aiohttp.typedefs import Handler

from qeetid_authz_server.hosted.origins import parse_origin
from qeetid_authz_server.hosted.passing import Passing
from qeetid_authz_server.hosted.targets import is_ours
from qeetid_authz_server.parts import Family, Parts
from qeetid_authz_server.telemetry.counts import ROUTE

HOSTED_ROUTE = "hosted"
"""What all paths are called that are passed on."""


def make(parts: Parts) -> Family:
    """All of the hosted API, if it is known where that is."""
    if parts.settings.upstream is None:
        return Family([])
    passing = Passing(parse_origin(parts.settings.upstream))

    @web.middleware
    async def passed_on(request: web.Request, handler: Handler) -> web.StreamResponse:
        # A wrong method on a path of ours is no such thing: it stays a 405.
        unserved = isinstance(request.match_info.http_exception, web.HTTPNotFound)
        if not unserved or is_ours(request.path):
            return await handler(request)
        request[ROUTE] = HOSTED_ROUTE
        return await passing.pass_on(request)

    return Family([], [passing.connected], [passed_on])
