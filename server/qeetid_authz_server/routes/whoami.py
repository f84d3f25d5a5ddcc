"""`GET /v1/whoami`: for whom the presented credential stands, and what it may do."""

from math import floor, isfinite
from typing import Any

from aiohttp import web

from qeetid_authz.decision.account import Account, Grant
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.query import parse_query
from qeetid_authz_server.incoming.questions import read_address
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import encode, ip_rule_body


class WhoamiRoute:
    """Tells callers how the sidecar sees them."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate

    async def get(self, request: web.Request) -> web.Response:
        """The caller, its effective permissions and how it holds them.

        A credential is asked for even where other routes ask for none.

        Raises:
            Problem: the credential is refused, or its standing can't be told from a
                replica so old.
        """
        principal = await self._gate.recognise(request)
        address = read_address(parse_query(request.raw_path).get(b"client_ip"))
        account, revision, age = self._engine.account(principal, address)
        if self._engine.is_stale:
            raise Problem(Code.UNAVAILABLE, SENTENCES[Reason.STALE])
        body = {
            **self._who(principal, account.kind),
            "permissions": account.permissions,
            "grants": list(map(_grant, account.grants)),
            **_lent(account),
            **_obstacle(account),
            "revision": str(revision),
            "age_s": round(age, 3),
        }
        return decision_response(encode(body), revision, age)

    def _who(self, principal: Principal, kind: Kind) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": kind,
            "id": principal.id,
            "tenant_id": principal.tenant_id,
        }
        scopes, expires_at = principal.limit, principal.expires_at
        if principal.kind is Kind.API_KEY:
            key = self._engine.api_key(principal.subject)
            if key is not None:
                scopes, expires_at = frozenset(key.scopes) or None, key.expires_at
        if principal.session_id is not None:
            body["session_id"] = principal.session_id
        if scopes is not None:
            body["scopes"] = sorted(scopes)
        if principal.actor is not None:
            body["actor"] = {"id": principal.actor.id}
        if expires_at is not None and isfinite(expires_at):
            body["expires_at"] = floor(expires_at)
        return body


def _grant(grant: Grant) -> dict[str, Any]:
    body: dict[str, Any] = {"granted_by": grant.granted_by, "via": grant.via}
    if grant.group_id is not None:
        body["group_id"] = grant.group_id
    if grant.role_id is not None:
        body["role_id"] = grant.role_id
    body["permissions"] = grant.permissions
    return body


def _lent(account: Account) -> dict[str, Any]:
    grants = list(map(_grant, account.actor_grants))
    return {"actor_grants": grants} if grants else {}


def _obstacle(account: Account) -> dict[str, Any]:
    """Why the caller may nothing at all, as an explanation would say it."""
    if account.reason is None:
        return {}
    if account.reason is not Reason.IP_DENIED:
        return {"code": account.reason}
    return {"code": account.reason, "ip_rule": ip_rule_body(account.ip_rule)}
