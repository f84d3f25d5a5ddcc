"""`/livez` and `/readyz`: whether the process runs, and whether it can answer."""

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz_server.outgoing.responses import json_response
from qeetid_authz_server.outgoing.wire import encode
from qeetid_authz_server.telemetry.health import Health

_ALIVE = encode({"status": "alive"})


class HealthRoutes:
    """Answer whoever watches over the sidecar, unauthenticated."""

    def __init__(self, health: Health, authorizer: AsyncAuthorizer) -> None:
        self._health = health
        self._authorizer = authorizer

    async def livez(self, _request: web.Request) -> web.Response:
        """That the process runs."""
        return json_response(_ALIVE)

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether it can answer: loaded, fresh enough and not about to stop."""
        report = self._health.report(self._authorizer)
        return json_response(encode(report), 503 if "cause" in report else 200)
