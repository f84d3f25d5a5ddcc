"""What is aiohttp's own: where decorators stand, classes, WebSockets, applications."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer

from qeetid_authz.frameworks.aiohttp import PRINCIPAL, authz_middleware, requires
from qeetid_authz.testing import AsyncInMemoryAuthorizer
from tests.frameworks.onaiohttp import another, who
from tests.frameworks.served import WRITE

Client = TestClient[Any, Any]


@pytest.fixture
def authz() -> AsyncInMemoryAuthorizer:
    return AsyncInMemoryAuthorizer()


@pytest.fixture
def app(authz: AsyncInMemoryAuthorizer) -> web.Application:
    return web.Application(middlewares=[authz_middleware(authz)])


@asynccontextmanager
async def asked(app: web.Application) -> AsyncIterator[Client]:
    async with TestClient(TestServer(app)) as client:
        yield client


async def status(client: Client, path: str = "/", header: str | None = None) -> int:
    headers = {} if header is None else {"Authorization": header}
    async with client.get(path, headers=headers) as response:
        return response.status


async def test_a_decorator_in_the_wrong_place(
    app: web.Application, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that is registered without its requirement isn't served."""
    routes = web.RouteTableDef()

    @requires(WRITE)
    @routes.get("/")
    async def bill(request: web.Request) -> web.Response:
        return web.Response(text="billed")

    app.add_routes(routes)
    async with asked(app) as client:
        assert 500 == await status(client)
    assert "is served without its `requires`" in caplog.text


class Invoices:
    """Handlers that share something."""

    @requires(WRITE)
    async def guarded(self, request: web.Request) -> web.Response:
        return await who(request)

    async def bare(self, request: web.Request) -> web.Response:
        return await who(request)


async def test_methods(app: web.Application, authz: AsyncInMemoryAuthorizer) -> None:
    """A method can be wrapped as well, and be in the wrong place."""
    invoices = Invoices()
    app.router.add_get("/", invoices.guarded)
    app.router.add_get("/bare", invoices.bare)
    header = authz.header_for(authz.user("ann", WRITE))

    async with asked(app) as client:
        assert 200 == await status(client, header=header)
        assert 401 == await status(client)
        assert 200 == await status(client, "/bare")
        requires(WRITE)(invoices.bare)
        assert 500 == await status(client, "/bare")


async def test_a_view(app: web.Application, authz: AsyncInMemoryAuthorizer) -> None:
    """Each method of one may require permissions of its own."""

    class View(web.View):
        @requires(WRITE)
        async def get(self) -> web.Response:
            return await who(self.request)

        async def post(self) -> web.Response:
            return await who(self.request)

    app.router.add_view("/", View)
    header = authz.header_for(authz.user("ann", WRITE))
    async with asked(app) as client:
        assert 200 == await status(client, header=header)
        assert 401 == await status(client)
        async with client.post("/") as response:
            assert (200, "nobody") == (response.status, await response.text())


async def test_a_websocket(
    app: web.Application, authz: AsyncInMemoryAuthorizer
) -> None:
    """One that requires a permission isn't accepted without."""

    async def feed(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        who = request.get(PRINCIPAL)
        await socket.send_str("nobody" if who is None else who.id)
        await socket.close()
        return socket

    @requires(WRITE)
    async def guarded(request: web.Request) -> web.StreamResponse:
        return await feed(request)

    app.router.add_get("/write", guarded)
    app.router.add_get("/open", feed)
    ann, bob = authz.user("ann", WRITE), authz.user("bob")

    async def heard(path: str, header: str) -> str | int:
        headers = {"Authorization": header}
        try:
            async with client.ws_connect(path, headers=headers) as socket:
                return await socket.receive_str()
        except WSServerHandshakeError as refused:
            return refused.status

    async with asked(app) as client:
        assert ann.id == await heard("/write", authz.header_for(ann))
        assert 403 == await heard("/write", authz.header_for(bob))
        assert 401 == await heard("/write", "Bearer nonsense")
        assert "nobody" == await heard("/open", "Bearer nonsense")
        authz.go_stale()
        assert 503 == await heard("/write", authz.header_for(ann))


async def test_an_application_inside(
    app: web.Application, authz: AsyncInMemoryAuthorizer
) -> None:
    """One with an authorizer of its own goes by that, not by the one around it."""
    inner = web.Application(middlewares=[authz_middleware(AsyncInMemoryAuthorizer())])
    inner.router.add_get("/who", who)
    inner.router.add_get("/me", requires()(another()))
    app.add_subapp("/inner", inner)
    header = authz.header_for(authz.user("ann"))

    async with asked(app) as client:
        async with client.get("/inner/who", headers={"Authorization": header}) as told:
            assert "nobody" == await told.text()
        assert 401 == await status(client, "/inner/me", header)


async def test_without_the_middleware(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is served then, and the mistake is told."""
    app = web.Application()
    app.router.add_get("/", requires()(another()))

    async with asked(app) as client:
        assert 500 == await status(client)
    assert "`web.Application(middlewares=[authz_middleware(...)])`" in caplog.text


async def test_a_handler_without_the_request() -> None:
    """What isn't given the request can't be guarded."""
    handler: Callable[..., Awaitable[web.StreamResponse]] = requires()(another())

    with pytest.raises(
        TypeError, match=r"`<function .*another_who.*>` isn't given the request"
    ):
        await handler("no request")
