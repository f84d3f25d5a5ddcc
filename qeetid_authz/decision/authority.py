"""What a principal holds: its authority, narrowed by its credential and its actor.

    authority(user)             what roles and groups grant
    authority(api_key)          that of its user, or its scopes if it is bound to none
    authority(service, agent)   the scopes it is registered with, and what roles grant
    effective                   authority & limit & authority(actor)

Under mirror semantics neither limits nor actors narrow anything, as the hosted server
looks at none (Qeet ID facts 0.7 and 6).
"""

from collections.abc import Iterable, Iterator

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.permissions import Grants
from qeetid_authz.model import ACTIVE, ApiKey, Machine
from qeetid_authz.principal import Kind, Principal


def effective(index: Index, principal: Principal, now: float) -> Grants | None:
    """What a principal may do at present; None when it may not act.

    `standing` says why it may not.

    Args:
        index: whose facts count.
        principal: who.
        now: seconds since the Unix epoch.
    """
    held = authority(index, principal.kind, principal.tenant, principal.subject, now)
    if held is None or not principal.is_bounded:
        return held
    if has_ended(principal, now):
        return None
    if not index.is_strict:
        return held
    if principal.session in index.identities.revoked_sessions:
        return None
    mask = held.mask
    for scopes in limits(index, principal):
        mask &= index.vocabulary.mask(scopes)
    if principal.actor is not None:
        lent = actor_authority(index, principal.actor, now)
        mask &= 0 if lent is None else lent.mask
    return held if mask == held.mask else index.vocabulary.grants(mask)


def authority(
    index: Index, kind: Kind, tenant: Id, subject: Id, now: float
) -> Grants | None:
    """What somebody holds by itself; None when it holds nothing or may not act."""
    if kind is Kind.USER and index.is_strict:
        kind = index.identities.kind(subject)
    if kind is Kind.USER:
        return index.grants(tenant, subject)
    if kind is Kind.API_KEY:
        return _key_authority(index, tenant, subject, now)
    return _machine_authority(index, kind, tenant, subject)


def actor_authority(index: Index, actor: Principal, now: float) -> Grants | None:
    """What an actor lends: all that it holds by itself (RFC 8693, section 4.1)."""
    return authority(index, actor.kind, actor.tenant, actor.subject, now)


def _key_authority(index: Index, tenant: Id, subject: Id, now: float) -> Grants | None:
    key = usable_key(index, tenant, subject)
    if key is None or has_expired(key, now) or not _is_open(index, tenant):
        return None
    if key.user is not None:
        return authority(index, Kind.USER, tenant, key.user, now)
    return index.vocabulary.grants(index.vocabulary.mask(key.scopes))


def _machine_authority(
    index: Index, kind: Kind, tenant: Id, subject: Id
) -> Grants | None:
    machine = acting_machine(index, kind, tenant, subject)
    if machine is None or not _is_open(index, tenant):
        return None
    mask = index.vocabulary.mask(machine.scopes)
    by_roles = index.grants(tenant, subject)
    return index.vocabulary.grants(mask | (by_roles.mask if by_roles else 0))


def _is_open(index: Index, tenant: Id) -> bool:
    entry = index.tenants.get(tenant)
    return not index.is_strict or (entry is not None and index.is_open(entry))


def has_ended(principal: Principal, now: float) -> bool:
    """Whether a principal's credential is over: from its end on (RFC 7519, 4.1.4)."""
    return principal.expires_at is not None and now >= principal.expires_at


def usable_key(index: Index, tenant: Id, subject: Id) -> ApiKey | None:
    """The row of an API key of a tenant that wasn't revoked."""
    key = index.identities.api_keys.get(subject)
    return None if key is None or key.revoked or key.tenant != tenant else key


def has_expired(key: ApiKey, now: float) -> bool:
    """Whether an API key's time is over: from after its last instant on (fact 6)."""
    return key.expires_at is not None and now > key.expires_at


def acting_machine(index: Index, kind: Kind, tenant: Id, subject: Id) -> Machine | None:
    """The agent or service principal of a tenant, if it may act.

    The hosted server looks at the status of agents only (facts 1.2 and 6).
    """
    machine = index.identities.machine(kind, subject)
    if machine is None or machine.tenant != tenant:
        return None
    heeded = index.is_strict or kind is Kind.AGENT
    return machine if machine.status == ACTIVE or not heeded else None


def limits(index: Index, principal: Principal) -> Iterator[Iterable[str]]:
    """The sets of scopes beyond any of which a credential grants nothing."""
    if principal.limit is not None:
        yield principal.limit
    if principal.kind is Kind.API_KEY:
        key = index.identities.api_keys.get(principal.subject)
        if key is not None and key.scopes:
            yield key.scopes


def grounds(index: Index, principal: Principal) -> Iterator[bytes]:
    """What the answers to a principal rest on, besides its tenant's roles and groups.

    A tenant's id and that of a user, a machine or a key, one after the other, or the
    id of a session.
    """
    yield principal.tenant + principal.subject
    if principal.kind is Kind.API_KEY:
        key = index.identities.api_keys.get(principal.subject)
        if key is not None and key.user is not None:
            yield principal.tenant + key.user
    if principal.session is not None:
        yield principal.session
    if principal.actor is not None:
        yield from grounds(index, principal.actor)


def deadline(index: Index, principal: Principal) -> float | None:
    """Until when, in seconds since the Unix epoch, its credentials last."""
    ends = [] if principal.expires_at is None else [principal.expires_at]
    for each in (principal, principal.actor):
        if each is not None and each.kind is Kind.API_KEY:
            key = index.identities.api_keys.get(each.subject)
            if key is not None and key.expires_at is not None:
                ends.append(key.expires_at)
    return min(ends, default=None)
