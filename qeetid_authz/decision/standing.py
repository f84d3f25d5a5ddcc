"""What keeps a principal from acting at all, whatever it asks for."""

from collections.abc import Iterator

from qeetid_authz.decision.authority import (
    acting_machine,
    has_ended,
    has_expired,
    usable_key,
)
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.model import MAY_ACT
from qeetid_authz.principal import Kind, Principal


def obstacle(index: Index, principal: Principal, now: float) -> Reason | None:
    """The widest obstacle there is, or None.

    Tenant, credential, subject, session, actor, in this order. Under mirror semantics
    the hosted server's own: an expired or revoked credential, an inactive agent.

    Args:
        index: whose facts count.
        principal: who.
        now: seconds since the Unix epoch.
    """
    return next(_obstacles(index, principal, now), None)


def _obstacles(index: Index, principal: Principal, now: float) -> Iterator[Reason]:
    if index.is_strict:
        yield from _of_tenant(index, principal.tenant)
    if has_ended(principal, now):
        yield Reason.CREDENTIAL_EXPIRED
    yield from _of_subject(index, principal, now)
    if not index.is_strict:
        return
    if principal.session in index.identities.revoked_sessions:
        yield Reason.SESSION_REVOKED
    if principal.actor is not None and any(_of_subject(index, principal.actor, now)):
        yield Reason.ACTOR_LACKS


def _of_tenant(index: Index, tenant: Id) -> Iterator[Reason]:
    entry = index.tenants.get(tenant)
    if entry is None or entry.status is None:
        yield Reason.UNKNOWN_TENANT
    elif not index.is_open(entry):
        yield Reason.TENANT_INACTIVE


def _of_subject(index: Index, who: Principal, now: float) -> Iterator[Reason]:
    kind, subject = who.kind, who.subject
    if kind is Kind.USER and index.is_strict:
        kind = index.identities.kind(subject)
    if kind is Kind.API_KEY:
        yield from _of_key(index, who, now)
    elif kind is Kind.USER:
        yield from _of_user(index, subject)
    elif acting_machine(index, kind, who.tenant, subject) is None:
        is_agent = kind is Kind.AGENT
        yield Reason.AGENT_INACTIVE if is_agent else Reason.SERVICE_INACTIVE


def _of_key(index: Index, who: Principal, now: float) -> Iterator[Reason]:
    key = usable_key(index, who.tenant, who.subject)
    if key is None:
        yield Reason.CREDENTIAL_REVOKED
    elif has_expired(key, now):
        yield Reason.CREDENTIAL_EXPIRED
    elif key.user is not None:
        user = Principal.of(Kind.USER, key.user, who.tenant)
        yield from _of_subject(index, user, now)


def _of_user(index: Index, user: Id) -> Iterator[Reason]:
    if not index.is_strict:
        return
    status = index.identities.users.get(user)
    if status is None:
        yield Reason.UNKNOWN_USER
    elif status not in MAY_ACT:
        yield Reason.USER_INACTIVE
