"""The sidecar, put together."""

from typing import Final

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz_server.callers import Gate, KeyGate, OpenGate
from qeetid_authz_server.health import Health
from qeetid_authz_server.lifecycle import following, guarding
from qeetid_authz_server.middleware import make_guard
from qeetid_authz_server.routes.batch import BatchRoute, body_limit
from qeetid_authz_server.routes.check import CheckRoute
from qeetid_authz_server.routes.health import HealthRoutes
from qeetid_authz_server.routes.permissions import PermissionsRoute
from qeetid_authz_server.settings import CallerAuth, Settings

AUTHORIZER: Final = web.AppKey("authorizer", AsyncAuthorizer)
HEALTH: Final = web.AppKey("health", Health)


def make_app(settings: Settings) -> web.Application:
    """An application that loads on startup; until then it does no I/O.

    Its startup raises what `AsyncAuthorizer.open` raises.
    """
    authorizer = AsyncAuthorizer(
        settings.database_url,
        semantics=settings.semantics,
        max_staleness=settings.max_staleness,
        poll_interval=settings.poll_interval,
    )
    required = settings.caller_auth is CallerAuth.REQUIRED
    gate: Gate = KeyGate(authorizer.api_keys) if required else OpenGate()
    health = Health()
    app = web.Application(
        middlewares=[make_guard(health)],
        client_max_size=body_limit(settings.batch_limit),
    )
    app[AUTHORIZER] = authorizer
    app[HEALTH] = health
    app.cleanup_ctx.extend([following(authorizer), guarding(gate)])
    app.add_routes(_routes(authorizer, gate, health, settings))
    return app


def _routes(
    authorizer: AsyncAuthorizer, gate: Gate, health: Health, settings: Settings
) -> list[web.RouteDef]:
    watch = HealthRoutes(health, authorizer)
    permissions = PermissionsRoute(authorizer, gate)
    batch = BatchRoute(authorizer, gate, settings.batch_limit)
    return [
        web.get("/v1/check", CheckRoute(authorizer, gate).get, allow_head=False),
        web.post("/v1/check/batch", batch.post),
        web.get(
            r"/v1/users/{user:[^/]+}/tenants/{tenant:[^/]+}/permissions",
            permissions.get,
            allow_head=False,
        ),
        web.get("/livez", watch.livez, allow_head=False),
        web.get("/readyz", watch.readyz, allow_head=False),
    ]
