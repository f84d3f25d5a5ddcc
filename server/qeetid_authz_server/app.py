"""The sidecar, put together."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.postgres.refreshtokens import RefreshTokens
from qeetid_authz_server.addresses import UnixAddress
from qeetid_authz_server.bodies import Bodies
from qeetid_authz_server.callers import Gate
from qeetid_authz_server.clients import Clients
from qeetid_authz_server.counts import COUNTS, Counts
from qeetid_authz_server.fastpath.answering import FastPath
from qeetid_authz_server.fastpath.checks import PlainChecks
from qeetid_authz_server.fastpath.introspections import PlainIntrospections
from qeetid_authz_server.health import Health
from qeetid_authz_server.introspection import Introspection, looking_up
from qeetid_authz_server.lifecycle import following, reading_keys
from qeetid_authz_server.metrics import Instruments, SidecarCollector
from qeetid_authz_server.middleware import make_guard
from qeetid_authz_server.routes.batch import BatchRoute, body_limit
from qeetid_authz_server.routes.check import CheckRoute
from qeetid_authz_server.routes.discovery import (
    CONFIGURATION_PATH,
    JWKS_PATH,
    DiscoveryRoutes,
)
from qeetid_authz_server.routes.document import DOCUMENT_PATH, document
from qeetid_authz_server.routes.health import HealthRoutes
from qeetid_authz_server.routes.introspect import INTROSPECTION_PATHS, IntrospectRoute
from qeetid_authz_server.routes.metrics import METRICS_PATH, MetricsRoute
from qeetid_authz_server.routes.permissions import PermissionsRoute
from qeetid_authz_server.routes.whoami import WhoamiRoute
from qeetid_authz_server.settings import CallerAuth, Settings

AUTHORIZER: Final = web.AppKey("authorizer", AsyncAuthorizer)
BODIES: Final = web.AppKey("bodies", Bodies)
FAST_PATH: Final = web.AppKey("fast_path", FastPath)
_TRACED: Final = frozenset({b"traceparent"})
HEALTH: Final = web.AppKey("health", Health)


def make_app(settings: Settings) -> web.Application:
    """An application that loads on startup; until then it does no I/O.

    Its startup raises what `AsyncAuthorizer.open` raises, and SettingsError where the
    issuer's keys are in a file that can't be read.
    """
    authorizer = AsyncAuthorizer(
        settings.database_url,
        semantics=settings.semantics,
        max_staleness=settings.max_staleness,
        poll_interval=settings.poll_interval,
        jwks=settings.jwks,
        issuer=settings.issuer,
        audience=settings.audience,
        leeway=settings.leeway,
        max_token_life=settings.max_token_life,
        at_least_timeout=settings.at_least_timeout,
        snapshot_dir=settings.snapshot_dir,
        snapshot_key=settings.snapshot_key,
    )
    counts, instruments = Counts(), Instruments()
    gate = Gate(authorizer, counts, is_open=settings.caller_auth is CallerAuth.OFF)
    refresh_tokens = RefreshTokens(settings.database_url)
    health, bodies = Health(), Bodies()
    tracing = _tracing()
    guard = make_guard(health, counts, instruments.latency, INTROSPECTION_PATHS)
    app = web.Application(
        middlewares=[*filter(None, [tracing]), guard],
        client_max_size=body_limit(settings.batch_limit),
    )
    app[AUTHORIZER] = authorizer
    app[BODIES] = bodies
    app[COUNTS] = counts
    app[HEALTH] = health
    app.cleanup_ctx.extend(
        [reading_keys(settings), following(authorizer), looking_up(refresh_tokens)]
    )
    batch = BatchRoute(authorizer, gate, bodies, settings.batch_limit)
    app.add_routes(_routes(authorizer, gate, batch, health))
    clients = Clients(authorizer, counts, trusts_all=_trusts_all(settings))
    introspection = Introspection(authorizer, refresh_tokens, settings.audience)
    introspect = IntrospectRoute(clients, introspection, bodies)
    app.add_routes(_token_routes(authorizer, introspect))
    instruments.add(SidecarCollector(authorizer, counts, health))
    metrics = MetricsRoute(instruments)
    app.add_routes([web.get(METRICS_PATH, metrics.get, allow_head=False)])
    if settings.fast_path:
        left_out = _TRACED if tracing is not None else frozenset()
        app[FAST_PATH] = FastPath(
            PlainChecks(authorizer, gate, health, counts.checks),
            PlainIntrospections(authorizer, clients, introspection, health, counts),
            left_out,
        )
    return app


def _tracing() -> Middleware | None:
    """What traces requests; nothing where OpenTelemetry isn't installed or set up."""
    try:
        from qeetid_authz_server.tracing import make_tracing  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "opentelemetry":
            raise
        return None
    return make_tracing()


def _routes(
    authorizer: AsyncAuthorizer, gate: Gate, batch: BatchRoute, health: Health
) -> list[web.RouteDef]:
    watch = HealthRoutes(health, authorizer)
    permissions = PermissionsRoute(authorizer, gate)
    return [
        web.get("/v1/check", CheckRoute(authorizer, gate).get, allow_head=False),
        web.post("/v1/check/batch", batch.post),
        web.get(
            r"/v1/users/{user:[^/]+}/tenants/{tenant:[^/]+}/permissions",
            permissions.get,
            allow_head=False,
        ),
        web.get("/v1/whoami", WhoamiRoute(authorizer, gate).get, allow_head=False),
        web.get("/livez", watch.livez, allow_head=False),
        web.get("/readyz", watch.readyz, allow_head=False),
        web.get(DOCUMENT_PATH, document, allow_head=False),
    ]


def _token_routes(
    authorizer: AsyncAuthorizer, introspect: IntrospectRoute
) -> list[web.RouteDef]:
    discovery = DiscoveryRoutes(authorizer)
    return [
        *(web.post(path, introspect.post) for path in INTROSPECTION_PATHS),
        web.get(JWKS_PATH, discovery.jwks, allow_head=False),
        web.get(CONFIGURATION_PATH, discovery.configuration, allow_head=False),
    ]


def _trusts_all(settings: Settings) -> bool:
    is_off = settings.caller_auth is CallerAuth.OFF
    return is_off and isinstance(settings.address, UnixAddress)
