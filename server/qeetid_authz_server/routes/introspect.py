"""`POST /oauth/introspect`: whether a token is active, and what it says."""

from typing import Final

from aiohttp import hdrs, web

from qeetid_authz_server.bodies import Bodies
from qeetid_authz_server.clients import Clients
from qeetid_authz_server.counts import DECIDED, decided_without_reasons
from qeetid_authz_server.forms import read_form
from qeetid_authz_server.introspection import Introspection
from qeetid_authz_server.responses import json_response
from qeetid_authz_server.routes.discovery import INTROSPECTION_PATH
from qeetid_authz_server.wire import encode

INTROSPECTION_PATHS: Final = (INTROSPECTION_PATH, f"/v1{INTROSPECTION_PATH}")

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
