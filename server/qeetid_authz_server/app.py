"""The sidecar, put together."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.postgres.lookups import Lookups
from qeetid_authz.postgres.refreshtokens import RefreshTokens
from qeetid_authz_server.authzen.family import make as authzen
from qeetid_authz_server.fastpath.answering import FastPath
from qeetid_authz_server.fastpath.checks import PlainChecks
from qeetid_authz_server.fastpath.introspections import PlainIntrospections
from qeetid_authz_server.hosted.family import make as hosted
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.clients import Clients
from qeetid_authz_server.introspection import INTROSPECTION_PATHS, Introspection
from qeetid_authz_server.kubernetes.family import make as kubernetes
from qeetid_authz_server.lifecycle import following, looking_up, reading_keys
from qeetid_authz_server.listening.addresses import UnixAddress
from qeetid_authz_server.middleware import make_guard
from qeetid_authz_server.parts import Parts
from qeetid_authz_server.proxies.endpoints import TEMPLATES as PROXY_PATHS
from qeetid_authz_server.proxies.family import make as proxies
from qeetid_authz_server.routes.batch import body_limit
from qeetid_authz_server.routes.families import questions, tokens, watching
from qeetid_authz_server.settings import CallerAuth, Settings
from qeetid_authz_server.telemetry.counts import COUNTS, Counts
from qeetid_authz_server.telemetry.health import Health
from qeetid_authz_server.telemetry.metrics import Instruments

AUTHORIZER: Final = web.AppKey("authorizer", AsyncAuthorizer)
BODIES: Final = web.AppKey("bodies", Bodies)
FAST_PATH: Final = web.AppKey("fast_path", FastPath)
_NEVER_STORED: Final = frozenset({*INTROSPECTION_PATHS, *PROXY_PATHS})
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
    health, bodies, lookups = Health(), Bodies(), Lookups(settings.database_url)
    parts = Parts(settings, authorizer, gate, bodies, counts, health, lookups)
    tracing = _tracing()
    guard = make_guard(health, counts, instruments.latency, _NEVER_STORED)
    app = web.Application(
        middlewares=[*filter(None, [tracing]), guard],
        client_max_size=body_limit(settings.batch_limit),
    )
    app[AUTHORIZER] = authorizer
    app[BODIES] = bodies
    app[COUNTS] = counts
    app[HEALTH] = health
    clients = Clients(authorizer, counts, trusts_all=_trusts_all(settings))
    introspection = Introspection(authorizer, RefreshTokens(lookups), settings.audience)
    app.cleanup_ctx.extend(
        [reading_keys(settings), following(authorizer), looking_up(lookups)]
    )
    for family in (
        questions(parts),
        tokens(parts, clients, introspection),
        watching(parts, instruments),
        authzen(parts),
        kubernetes(parts),
        proxies(parts, instruments),
        hosted(parts),
    ):
        app.add_routes(family.routes)
        app.cleanup_ctx.extend(family.resources)
        app.middlewares.extend(family.middlewares)
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
        from qeetid_authz_server.telemetry.tracing import make_tracing  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "opentelemetry":
            raise
        return None
    return make_tracing()


def _trusts_all(settings: Settings) -> bool:
    is_off = settings.caller_auth is CallerAuth.OFF
    return is_off and isinstance(settings.address, UnixAddress)
