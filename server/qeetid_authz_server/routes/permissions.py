"""`GET /v1/users/{user}/tenants/{tenant}/permissions`: all that a user holds."""

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.ownwrites import own_writes
from qeetid_authz_server.incoming.questions import read_id, require_same_tenant
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import encode


class PermissionsRoute:
    """Lists effective permissions."""

    def __init__(self, engine: AsyncAuthorizer, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate

    async def get(self, request: web.Request) -> web.Response:
        """The keys, sorted; the tenant is looked at before the user (fact 1.6).

        Raises:
            Problem: the caller or an id is refused.
        """
        caller = await self._gate.identify(request)
        tenant = read_id(_segment(request, "tenant"), "tenantID")
        require_same_tenant(caller, tenant)
        self._gate.require_may_ask(caller)
        user = read_id(_segment(request, "user"), "userID")
        principal = Principal.of(Kind.USER, user, tenant)
        await own_writes(request, self._engine)
        keys, revision, age = self._engine.holdings(principal)
        return decision_response(encode({"permissions": keys}), revision, age)


def _segment(request: web.Request, name: str) -> bytes:
    return request.match_info[name].encode("utf-8", "surrogateescape")
