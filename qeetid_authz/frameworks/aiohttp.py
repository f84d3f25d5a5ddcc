"""aiohttp: a middleware, and `requires` as a decorator of handlers.

    app = web.Application(middlewares=[authz_middleware(authz)])

    @routes.get("/invoices")
    @requires("billing:write")
    async def invoices(request): ...

Who sends a request is `request[PRINCIPAL]`, of one that may be sent by nobody
`request.get(PRINCIPAL)`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from qeetid_authz.frameworks.asking import Source, find, run_async
from qeetid_authz.frameworks.guarding import guard, require_guarded
from qeetid_authz.frameworks.visits import Refusal, Visit, arrive, permit, read_keys
from qeetid_authz.principal import Principal

View = TypeVar("View", bound=Callable[..., Awaitable[web.StreamResponse]])

PRINCIPAL = web.RequestKey("PRINCIPAL", Principal)
"""Where a request has who sends it, if that is known."""

_VISIT = web.RequestKey("_VISIT", Visit)
_REFUSALS: dict[int, type[web.HTTPError]] = {
    401: web.HTTPUnauthorized,
    403: web.HTTPForbidden,
    503: web.HTTPServiceUnavailable,
}


def authz_middleware(authorizer: Source) -> Middleware:
    """A middleware that tells who sends each request; it refuses nothing.

    Args:
        authorizer: whom to ask, or a function that gives it, for one that is opened
            later.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        require_guarded(request.match_info.handler)
        presented = request.headers.getall("Authorization", [])
        steps = arrive(find(authorizer), presented)
        visit = await run_async(steps, asyncio.to_thread)
        request[_VISIT] = visit
        request.pop(PRINCIPAL, None)  # of an application around this one
        if visit.principal is not None:
            request[PRINCIPAL] = visit.principal
        return await handler(request)

    return middleware


def requires(*keys: str) -> Callable[[View], View]:
    """Serve a handler to those only who hold all permissions, in their own tenant.

    For functions and methods that are given the request, and methods of a `web.View`.
    Without any key it is enough to be somebody.

    Raises:
        TypeError, ValueError: a key is no string, or empty.
    """
    wanted = read_keys(keys)

    def decorate(view: View) -> View:
        async def guarded(*args: Any) -> web.StreamResponse:
            await _admit(_request(view, args), wanted)
            return await view(*args)

        return cast("View", guard(view, guarded))

    return decorate


async def _admit(request: web.Request, keys: tuple[str, ...]) -> None:
    visit = request.get(_VISIT)
    if visit is None:
        raise RuntimeError(
            "nobody tells who sends requests;"
            " `web.Application(middlewares=[authz_middleware(...)])`"
        )
    found = await run_async(permit(visit, keys), asyncio.to_thread)
    if isinstance(found, Refusal):
        raise _REFUSALS[found.status](text=found.text, headers=found.headers)


def _request(view: Callable[..., Any], args: tuple[Any, ...]) -> web.Request:
    for each in args:
        if isinstance(each, web.Request):
            return each
        if isinstance(each, web.View):
            return each.request
    raise TypeError(f"`{view!r}` isn't given the request; let it take `request`")
