"""`GET /v1/principal`: for whom the presented credential stands, and no more."""

from aiohttp import web

from qeetid_authz.sidecar.wire import Who
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.outgoing.responses import json_response
from qeetid_authz_server.outgoing.wire import encode


class PrincipalRoute:
    """Tells an application who presented a credential to it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def get(self, request: web.Request) -> web.Response:
        """The principal, with all bounds, to be asked about.

        A credential is asked for even where other routes ask for none.

        Raises:
            Problem: the credential is refused.
            UnavailableError: it can't be judged now.
        """
        principal = await self._gate.recognise(request)
        return json_response(encode(Who.of(principal)))
