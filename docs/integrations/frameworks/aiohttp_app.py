import os
from collections.abc import AsyncIterator

from aiohttp import web

from qeetid_authz import AsyncAuthorizer
from qeetid_authz.frameworks.aiohttp import PRINCIPAL, authz_middleware, requires

AUTHZ = web.AppKey("AUTHZ", AsyncAuthorizer)
routes = web.RouteTableDef()


@routes.post("/invoices")
@requires("billing:write")
async def bill(request: web.Request) -> web.Response:
    return web.Response(text=f"billed by {request[PRINCIPAL].id}")


async def follow(app: web.Application) -> AsyncIterator[None]:
    async with await AsyncAuthorizer.open(
        os.environ["QEETID_AUTHZ_DATABASE_URL"], jwks=os.environ["QEETID_AUTHZ_JWKS"]
    ) as app[AUTHZ]:
        yield


def make_app() -> web.Application:
    app = web.Application(middlewares=[authz_middleware(lambda: app[AUTHZ])])
    app.cleanup_ctx.append(follow)
    app.add_routes(routes)
    return app
