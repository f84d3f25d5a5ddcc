"""`GET /metrics`: what Prometheus scrapes."""

from aiohttp import hdrs, web

from qeetid_authz_server.outgoing.responses import encoded_response
from qeetid_authz_server.telemetry.metrics import Instruments

METRICS_PATH = "/metrics"


class MetricsRoute:
    """Answers whoever collects figures, unauthenticated, as `/livez` does."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    async def get(self, request: web.Request) -> web.Response:
        """All metrics, in the form asked for; whatever state the sidecar is in."""
        accepted = request.headers.get(hdrs.ACCEPT, "")
        return encoded_response(*self._instruments.exposed(accepted))
