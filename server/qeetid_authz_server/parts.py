"""What every family of routes is made from."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Middleware

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.postgres.lookups import Lookups
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.settings import Settings
from qeetid_authz_server.telemetry.counts import Counts
from qeetid_authz_server.telemetry.health import Health

Resource: TypeAlias = Callable[[web.Application], AsyncIterator[None]]
"""Something that is there as long as the application runs."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sidecar has once, and whoever answers requests may use.

    Attributes:
        settings: what it was told.
        authorizer: what answers.
        gate: what tells who calls.
        bodies: what waits for bodies.
        counts: what counts.
        health: how it is.
        lookups: what looks things up in the database.
    """

    settings: Settings
    authorizer: AsyncAuthorizer
    gate: Gate
    bodies: Bodies
    counts: Counts
    health: Health
    lookups: Lookups


@dataclass(frozen=True, slots=True)
class Family:
    """Routes that belong together.

    Attributes:
        routes: they themselves.
        resources: what must run for them, started in this order.
        middlewares: what sees every request, those for no route among them.
    """

    routes: list[web.RouteDef]
    resources: list[Resource] = field(default_factory=list)
    middlewares: list[Middleware] = field(default_factory=list)
