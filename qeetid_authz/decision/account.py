"""All that a principal may do, and why."""

from typing import NamedTuple

from qeetid_authz.decision.authority import effective
from qeetid_authz.decision.decision import Question, ip_verdict
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.decision.sources import Source, sources
from qeetid_authz.decision.standing import obstacle
from qeetid_authz.ids import format_id
from qeetid_authz.index.index import Index
from qeetid_authz.model import IpRule
from qeetid_authz.principal import Kind, Principal


class Grant(NamedTuple):
    """Permissions that are held in one and the same way.

    Attributes:
        granted_by: `role:NAME`, or `scope` for scopes of the principal's own.
        via: `direct` or `group:NAME`.
        group_id: the group's id, or None.
        role_id: the role's id, or None.
        permissions: those of them that are effective, sorted.
    """

    granted_by: str
    via: str
    group_id: str | None
    role_id: str | None
    permissions: tuple[str, ...]


class Account(NamedTuple):
    """What a principal may.

    Attributes:
        kind: as what it is judged; strict semantics see through a user-looking token.
        permissions: its effective permissions, sorted.
        grants: how it holds them, direct ones first, then by group and role.
        actor_grants: how who acts on its behalf holds them.
        reason: why it may nothing at all, whatever it holds; None when it may act.
        ip_rule: on an `ip_denied`, the rule that denies the address; None when none
            of those that allow lets it in.
    """

    kind: Kind
    permissions: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    actor_grants: tuple[Grant, ...] = ()
    reason: Reason | None = None
    ip_rule: IpRule | None = None


def account(index: Index, question: Question) -> Account:
    """Account for all that a principal may do; the permission asked for is ignored."""
    principal = question.principal
    kind = _judged_kind(index, principal)
    reason = obstacle(index, principal, question.now)
    if reason is not None:
        return Account(kind, reason=reason)
    verdict = ip_verdict(index, principal, question.address)
    if not verdict.lets_in:
        return Account(kind, reason=Reason.IP_DENIED, ip_rule=verdict.rule)
    held = effective(index, principal, question.now)
    if held is None:
        return Account(kind)
    lent = principal.actor if index.is_strict else None
    return Account(
        kind,
        tuple(index.vocabulary.keys(held.mask)),
        _grants(index, principal, held.mask),
        () if lent is None else _grants(index, lent, held.mask),
    )


def _judged_kind(index: Index, principal: Principal) -> Kind:
    if principal.kind is Kind.USER and index.is_strict:
        return index.identities.kind(principal.subject)
    return principal.kind


def _grants(index: Index, principal: Principal, held: int) -> tuple[Grant, ...]:
    found = sources(index, principal.kind, principal.key, held)
    return tuple(sorted((_grant(index, each, held) for each in found), key=_order))


def _grant(index: Index, source: Source, held: int) -> Grant:
    is_of_group, group, role, group_id, role_id, mask = source
    return Grant(
        f"role:{role}" if role_id else "scope",
        f"group:{group}" if is_of_group else "direct",
        format_id(group_id) if is_of_group else None,
        format_id(role_id) if role_id else None,
        tuple(index.vocabulary.keys(mask & held)),
    )


def _order(grant: Grant) -> tuple[bool, str, str, str, str]:
    is_of_group = grant.group_id is not None
    ids = (grant.group_id or "", grant.role_id or "")
    return (is_of_group, grant.via, grant.granted_by, *ids)
