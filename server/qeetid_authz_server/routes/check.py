"""`GET /v1/check`, plain and explained."""

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.ownwrites import own_writes
from qeetid_authz_server.incoming.query import parse_query
from qeetid_authz_server.incoming.questions import (
    read_address,
    read_id,
    read_permission,
    require_same_tenant,
)
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import ALLOWED, DENIED, encode, explanation_body
from qeetid_authz_server.telemetry.counts import DECIDED, Decided


class CheckRoute:
    """Answers one question."""

    def __init__(self, engine: AsyncAuthorizer, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate

    async def get(self, request: web.Request) -> web.Response:
        """The answer (facts 1.1 to 1.4), as from `client_ip` where that is given.

        Raises:
            Problem: the caller or the question is refused.
        """
        caller = await self._gate.identify(request)
        self._gate.require_may_ask(caller)
        query = parse_query(request.raw_path)
        principal, permission = _question(query, caller)
        address = read_address(query.get(b"client_ip"))
        await own_writes(request, self._engine)
        if query.get(b"explain") == b"true":
            return self._explain(request, principal, permission, address)
        decision = self._engine.check(principal, permission, address)
        told = Decided("check", {decision.reason: 1}, decision.revision)
        request[DECIDED] = told
        body = ALLOWED if decision.allowed else DENIED
        return decision_response(body, decision.revision, decision.age)

    def _explain(
        self,
        request: web.Request,
        principal: Principal,
        permission: str,
        address: str | None,
    ) -> web.Response:
        explanation = self._engine.explain(principal, permission, address)
        told = Decided("explain", {explanation.reason: 1}, explanation.revision)
        request[DECIDED] = told
        body = encode(explanation_body(explanation, self._engine.semantics))
        return decision_response(body, explanation.revision, explanation.age)


def _question(
    query: dict[bytes, bytes], caller: Principal | None
) -> tuple[Principal, str]:
    """Read in Qeet ID's order, which decides what is refused first (fact 1.2)."""
    user = read_id(query.get(b"user_id", b""), "user_id")
    tenant = read_id(query.get(b"tenant_id", b""), "tenant_id")
    require_same_tenant(caller, tenant)
    permission = read_permission(query.get(b"permission", b""))
    return Principal.of(Kind.USER, user, tenant), permission
