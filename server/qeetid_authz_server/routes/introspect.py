"""`POST /oauth/introspect`: whether a token is active, and what it says."""

from aiohttp import hdrs, web

from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.clients import Clients
from qeetid_authz_server.incoming.forms import read_form
from qeetid_authz_server.introspection import Introspection
from qeetid_authz_server.outgoing.responses import json_response
from qeetid_authz_server.outgoing.wire import encode
from qeetid_authz_server.telemetry.counts import DECIDED, decided_without_reasons

_INACTIVE = encode({"active": False})


class IntrospectRoute:
    """Answers clients that were handed a token."""

    def __init__(
        self, clients: Clients, introspection: Introspection, bodies: Bodies
    ) -> None:
        self._clients = clients
        self._introspection = introspection
        self._bodies = bodies

    async def post(self, request: web.Request) -> web.Response:
        """The token's members, or that it is inactive and nothing else (fact 5).

        Raises:
            Problem: the form or the client is refused, or it can't be told now.
            UnavailableError: a credential can't be judged now.
        """
        form = await read_form(request, self._bodies)
        self._introspection.require_fresh()
        authorizations = request.headers.getall(hdrs.AUTHORIZATION, [])
        asker = await self._clients.identify(authorizations, form)
        token, hint = form.get(b"token", b""), form.get(b"token_type_hint", b"")
        body = await self._introspection.of(token, hint, asker)
        is_active = body is not None
        request[DECIDED] = decided_without_reasons(
            "introspect", allowed=is_active, denied=not is_active
        )
        return json_response(_INACTIVE if body is None else body)
