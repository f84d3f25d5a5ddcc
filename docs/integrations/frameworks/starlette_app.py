import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from qeetid_authz import AsyncAuthorizer
from qeetid_authz.frameworks.starlette import AuthzMiddleware, requires


@requires("billing:write")
async def bill(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"billed by {request.state.principal.id}")


@requires("billing:write")
async def feed(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.state.principal.id)
    await websocket.close()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with await AsyncAuthorizer.open(
        os.environ["QEETID_AUTHZ_DATABASE_URL"], jwks=os.environ["QEETID_AUTHZ_JWKS"]
    ) as app.state.authz:
        yield


app: Starlette = Starlette(
    routes=[Route("/invoices", bill, methods=["POST"]), WebSocketRoute("/feed", feed)],
    middleware=[Middleware(AuthzMiddleware, authorizer=lambda: app.state.authz)],
    lifespan=lifespan,
)
