"""The sidecar's own routes, by what they are about."""

from aiohttp import web
from aiohttp.typedefs import Handler

from qeetid_authz.sidecar.wire import DECISIONS, HELD, PRINCIPAL, WHO_CAN
from qeetid_authz_server.incoming.clients import Clients
from qeetid_authz_server.introspection import INTROSPECTION_PATHS, Introspection
from qeetid_authz_server.parts import Family, Parts
from qeetid_authz_server.routes.batch import BatchRoute
from qeetid_authz_server.routes.check import CheckRoute
from qeetid_authz_server.routes.decisions import DecisionsRoutes
from qeetid_authz_server.routes.discovery import (
    CONFIGURATION_PATH,
    JWKS_PATH,
    DiscoveryRoutes,
)
from qeetid_authz_server.routes.document import DOCUMENT_PATH, document
from qeetid_authz_server.routes.health import HealthRoutes
from qeetid_authz_server.routes.holders import HoldersRoute
from qeetid_authz_server.routes.introspect import IntrospectRoute
from qeetid_authz_server.routes.metrics import METRICS_PATH, MetricsRoute
from qeetid_authz_server.routes.permissions import PermissionsRoute
from qeetid_authz_server.routes.principal import PrincipalRoute
from qeetid_authz_server.routes.whoami import WhoamiRoute
from qeetid_authz_server.telemetry.metrics import Instruments, SidecarCollector


def questions(parts: Parts) -> Family:
    """Who may do what, as Qeet ID's server is asked and as its library is."""
    authorizer, gate = parts.authorizer, parts.gate
    bodies, limit = parts.bodies, parts.settings.batch_limit
    batch = BatchRoute(authorizer, gate, bodies, limit)
    decisions = DecisionsRoutes(authorizer, gate, bodies, limit)
    return Family(
        [
            _get("/v1/check", CheckRoute(authorizer, gate).get),
            web.post("/v1/check/batch", batch.post),
            _get(
                r"/v1/users/{user:[^/]+}/tenants/{tenant:[^/]+}/permissions",
                PermissionsRoute(authorizer, gate).get,
            ),
            _get("/v1/whoami", WhoamiRoute(authorizer, gate).get),
            web.post(DECISIONS, decisions.decisions),
            web.post(HELD, decisions.held),
            _get(WHO_CAN, HoldersRoute(authorizer, gate).get),
            _get(PRINCIPAL, PrincipalRoute(gate).get),
        ]
    )


def tokens(parts: Parts, clients: Clients, introspection: Introspection) -> Family:
    """What a token is worth, and by which keys it is verified."""
    discovery = DiscoveryRoutes(parts.authorizer)
    introspect = IntrospectRoute(clients, introspection, parts.bodies)
    return Family(
        [
            *(web.post(path, introspect.post) for path in INTROSPECTION_PATHS),
            _get(JWKS_PATH, discovery.jwks),
            _get(CONFIGURATION_PATH, discovery.configuration),
        ]
    )


def watching(parts: Parts, instruments: Instruments) -> Family:
    """How the sidecar is, and what it can be asked."""
    watch = HealthRoutes(parts.health, parts.authorizer)
    instruments.add(SidecarCollector(parts.authorizer, parts.counts, parts.health))
    return Family(
        [
            _get("/livez", watch.livez),
            _get("/readyz", watch.readyz),
            _get(METRICS_PATH, MetricsRoute(instruments).get),
            _get(DOCUMENT_PATH, document),
        ]
    )


def _get(path: str, handler: Handler) -> web.RouteDef:
    return web.get(path, handler, allow_head=False)
