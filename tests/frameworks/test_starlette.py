"""What is Starlette's and FastAPI's own: WebSockets, classes, dependencies."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from qeetid_authz.frameworks import fastapi as dependencies
from qeetid_authz.frameworks.fastapi import CurrentPrincipal
from qeetid_authz.frameworks.starlette import AuthzMiddleware, requires
from qeetid_authz.principal import Principal
from qeetid_authz.testing import InMemoryAuthorizer
from tests.frameworks.onstarlette import fastapi_app, who
from tests.frameworks.served import WRITE, name_of


@pytest.fixture
def authz() -> InMemoryAuthorizer:
    return InMemoryAuthorizer()


async def say_who(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(name_of(websocket.state.principal))
    await websocket.close()


def starlette_sockets(authz: InMemoryAuthorizer) -> Any:
    app = Starlette(
        routes=[
            WebSocketRoute("/open", say_who),
            WebSocketRoute("/write", requires(WRITE)(say_who)),
        ]
    )
    app.add_middleware(AuthzMiddleware, authorizer=authz)
    return app


def fastapi_sockets(authz: InMemoryAuthorizer) -> Any:
    app = FastAPI()
    app.add_middleware(AuthzMiddleware, authorizer=authz)
    app.websocket("/open")(say_who)
    app.websocket("/write", dependencies=[Depends(dependencies.requires(WRITE))])(
        say_who
    )
    return app


@pytest.fixture(params=[starlette_sockets, fastapi_sockets])
def sockets(
    request: pytest.FixtureRequest, authz: InMemoryAuthorizer
) -> Iterator[TestClient]:
    with TestClient(request.param(authz)) as client:
        yield client


def heard(client: TestClient, path: str, header: str | None = None) -> str | int:
    """What a WebSocket says first, or the code that it is closed with."""
    headers = {} if header is None else {"Authorization": header}
    try:
        with client.websocket_connect(path, headers=headers) as socket:
            return socket.receive_text()
    except WebSocketDisconnect as closed:
        return closed.code


def test_a_websocket(sockets: TestClient, authz: InMemoryAuthorizer) -> None:
    """One that requires a permission isn't accepted without."""
    ann, bob = authz.user("ann", WRITE), authz.user("bob")
    header = authz.header_for(ann)

    assert ann.id == heard(sockets, "/write", header)
    for refused in (authz.header_for(bob), "Bearer nonsense", None):
        assert 1008 == heard(sockets, "/write", refused)
    assert ["nobody", "nobody", ann.id] == [
        heard(sockets, "/open", each) for each in (None, "Bearer nonsense", header)
    ]
    authz.go_stale()
    assert 1013 == heard(sockets, "/write", header)


def test_methods_of_a_class(authz: InMemoryAuthorizer) -> None:
    """Each may require permissions of its own."""

    class Invoices(HTTPEndpoint):
        @requires(WRITE)
        async def get(self, request: Request) -> PlainTextResponse:
            return await who(request)

        @requires(WRITE)
        def post(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse(name_of(request.state.principal))

    app = Starlette(routes=[Route("/", Invoices)])
    app.add_middleware(AuthzMiddleware, authorizer=authz)
    ann = authz.user("ann", WRITE)
    headers = {"Authorization": authz.header_for(ann)}

    with TestClient(app) as client:
        assert [ann.id] * 2 == [
            client.request(method, "/", headers=headers).text
            for method in ("GET", "POST")
        ]
        assert [401] * 2 == [
            client.request(method, "/").status_code for method in ("GET", "POST")
        ]


def test_a_mounted_application(authz: InMemoryAuthorizer) -> None:
    """It knows who sends a request from the one that it is mounted in."""
    inner = Starlette(routes=[Route("/", requires(WRITE)(who))])
    app = Starlette(routes=[Mount("/inner", inner)])
    app.add_middleware(AuthzMiddleware, authorizer=authz)
    header = authz.header_for(authz.user("ann", WRITE))

    with TestClient(app) as client:
        assert (
            200 == client.get("/inner/", headers={"Authorization": header}).status_code
        )
        assert 401 == client.get("/inner/").status_code


def test_without_the_middleware() -> None:
    """Nobody is served then, and the mistake is told."""
    app = Starlette(routes=[Route("/", requires(WRITE)(who))])

    with (
        TestClient(app) as client,
        pytest.raises(
            RuntimeError, match=r"`app.add_middleware\(AuthzMiddleware, auth"
        ),
    ):
        client.get("/")


def test_an_endpoint_without_the_request(authz: InMemoryAuthorizer) -> None:
    """FastAPI gives endpoints what they ask for; this decorator needs the request."""
    app = FastAPI()
    app.add_middleware(AuthzMiddleware, authorizer=authz)

    @app.get("/")
    @requires(WRITE)
    async def bare() -> str:
        return "served"

    with (
        TestClient(app) as client,
        pytest.raises(
            TypeError, match=r"`<function .*bare.*>` isn't given the request"
        ),
    ):
        client.get("/")


def test_starlettes_decorator_in_fastapi(authz: InMemoryAuthorizer) -> None:
    """An endpoint that takes the request can be decorated there as well."""
    app = FastAPI()
    app.add_middleware(AuthzMiddleware, authorizer=authz)

    @app.get("/{number}")
    @requires(WRITE)
    async def view(number: int, request: Request) -> str:
        return f"{number} {name_of(request.state.principal)}"

    ann = authz.user("ann", WRITE)
    with TestClient(app) as client:
        response = client.get("/7", headers={"Authorization": authz.header_for(ann)})
        assert f"7 {ann.id}" == response.json()
        assert 401 == client.get("/7").status_code


async def test_requests_that_share_a_state(authz: InMemoryAuthorizer) -> None:
    """A server that gives all requests one state doesn't mix up who sends them."""
    seen: list[Principal | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(HTTPConnection(scope).state.principal)
        assert "kept" == HTTPConnection(scope).state.of_lifespan

    ann = authz.user("ann")
    shared = {"of_lifespan": "kept"}
    header = (b"authorization", authz.header_for(ann).encode())
    for headers in ([header], []):
        scope = {"type": "http", "headers": headers, "state": shared}
        await AuthzMiddleware(app, authz)(scope, None, None)  # type: ignore[arg-type]

    assert [ann, None] == seen
    assert {"of_lifespan": "kept"} == shared


def test_dependencies_of_a_router(authz: InMemoryAuthorizer) -> None:
    """A requirement may stand once for many routes, and the principal be injected."""
    router = APIRouter(dependencies=[Depends(dependencies.requires(WRITE))])

    @router.get("/who")
    def view(principal: CurrentPrincipal) -> str:
        return principal.id

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(AuthzMiddleware, authorizer=authz)
    ann = authz.user("ann", WRITE)
    with TestClient(app) as client:
        response = client.get("/who", headers={"Authorization": authz.header_for(ann)})
        assert ann.id == response.json()
        bob = authz.header_for(authz.user("bob"))
        response = client.get("/who", headers={"Authorization": bob})
        assert {"detail": "permission denied"} == response.json()


def test_openapi_shows_the_credential(authz: InMemoryAuthorizer) -> None:
    """The document has one scheme, which those routes need that require anything."""
    document = fastapi_app(authz, is_async=True).openapi()

    (scheme,) = document["components"]["securitySchemes"].items()
    assert ("QeetID", "http", "bearer") == (
        scheme[0],
        scheme[1]["type"],
        scheme[1]["scheme"],
    )
    needed = {path: at["get"].get("security") for path, at in document["paths"].items()}
    assert needed.pop("/open") is None
    assert [[{"QeetID": []}]] * 4 == list(needed.values())


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_dependency_is_no_decorator() -> None:
    """FastAPI refuses the application, when it is written so."""
    app = FastAPI()

    async def view() -> str:
        return "served"

    mistaken: Any = dependencies.requires(WRITE)
    with pytest.raises((AssertionError, TypeError)):
        app.get("/")(mistaken(view))
    assert "/" not in {getattr(route, "path", None) for route in app.routes}


def test_a_dependency_can_be_overridden(authz: InMemoryAuthorizer) -> None:
    """As any other, in tests of the application."""
    app, requirement = FastAPI(), dependencies.requires(WRITE)

    @app.get("/")
    def view(principal: Annotated[Principal, Depends(requirement)]) -> str:
        return principal.id

    ann = authz.user("ann")
    app.dependency_overrides[requirement] = lambda: ann
    with TestClient(app) as client:
        assert ann.id == client.get("/").json()
