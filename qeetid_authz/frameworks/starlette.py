"""Starlette: a middleware, and `requires` as a decorator of endpoints.

    app.add_middleware(AuthzMiddleware, authorizer=authz)

    @requires("billing:write")
    async def invoices(request): ...

Who sends a request is `request.state.principal`. FastAPI's way is in
`qeetid_authz.frameworks.fastapi`.
"""

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from qeetid_authz.frameworks.asking import Source, find, run_async
from qeetid_authz.frameworks.guarding import guard
from qeetid_authz.frameworks.visits import (
    DENIED,
    Refusal,
    Visit,
    arrive,
    permit,
    read_keys,
)
from qeetid_authz.principal import Principal

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_VISIT = "qeetid_authz"  # in the scope
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013  # RFC 6455, section 7.4; IANA


class AuthzMiddleware:
    """Tells who sends each request and opens each WebSocket.

    It refuses nothing: `request.state.principal` is None for whoever presents no
    credential or one that is refused.
    """

    def __init__(self, app: ASGIApp, authorizer: Source) -> None:
        """Wrap an application.

        Args:
            app: the application.
            authorizer: whom to ask, or a function that gives it, for one that is
                opened later.
        """
        self.app = app
        self._authorizer = authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell who it is, and pass the request on."""
        if scope["type"] in ("http", "websocket"):
            presented = HTTPConnection(scope).headers.getlist("authorization")
            steps = arrive(find(self._authorizer), presented)
            visit = await run_async(steps, run_in_threadpool)
            # A state of its own: some servers have one for all requests.
            scope["state"] = {**scope.get("state", {}), "principal": visit.principal}
            scope[_VISIT] = visit
        await self.app(scope, receive, send)


def requires(*keys: str) -> Callable[[Endpoint], Endpoint]:
    """Serve an endpoint to those only who hold all permissions, in their own tenant.

    For functions and methods that are given the request or WebSocket, `async` or not.
    Without any key it is enough to be somebody.

    Raises:
        TypeError, ValueError: a key is no string, or empty.
    """
    wanted = read_keys(keys)

    def decorate(endpoint: Endpoint) -> Endpoint:
        is_async = iscoroutinefunction(endpoint)

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            await admit(_connection(endpoint, args, kwargs), wanted)
            if is_async:
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)

        return cast("Endpoint", guard(endpoint, guarded))

    return decorate


async def admit(connection: HTTPConnection, keys: tuple[str, ...]) -> Principal:
    """Who sends a request, if it holds all of some permissions.

    Raises:
        HTTPException: it doesn't, isn't known, or can't be judged.
        WebSocketException: the same of a WebSocket.
        RuntimeError: the application has no `AuthzMiddleware`.
    """
    visit: Visit | None = connection.scope.get(_VISIT)
    if visit is None:
        raise RuntimeError(
            "nobody tells who sends requests;"
            " `app.add_middleware(AuthzMiddleware, authorizer=...)`"
        )
    found = await run_async(permit(visit, keys), run_in_threadpool)
    if not isinstance(found, Refusal):
        return found
    if connection.scope["type"] == "websocket":
        is_final = found.status <= DENIED.status
        code = _POLICY_VIOLATION if is_final else _TRY_AGAIN_LATER
        raise WebSocketException(code, found.text)
    raise HTTPException(found.status, found.text, dict(found.headers))


def _connection(
    endpoint: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> HTTPConnection:
    for each in (*args, *kwargs.values()):
        if isinstance(each, HTTPConnection):
            return each
    raise TypeError(f"`{endpoint!r}` isn't given the request; let it take `request`")
