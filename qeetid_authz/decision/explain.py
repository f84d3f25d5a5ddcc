"""Why a decision is what it is: every grant path, or what would be enough."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from qeetid_authz.decision.decision import Question, ip_verdict, refusal
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.decision.sources import sources
from qeetid_authz.ids import Id, format_id
from qeetid_authz.index.index import Index
from qeetid_authz.index.tenant import NOWHERE
from qeetid_authz.model import IpRule
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision

_HELPED_BY_ROLES = frozenset({Reason.NO_GRANT, Reason.ACTOR_LACKS})


class GrantPath(NamedTuple):
    """One way by which a principal holds a permission.

    Attributes:
        permission: the key that was asked for.
        role: the role's name; None when a scope of its own grants it.
        role_id: its id, or None.
        group: the name of the group that carries the role; None when held directly.
        group_id: its id, or None.
    """

    permission: str
    role: str | None
    role_id: str | None
    group: str | None = None
    group_id: str | None = None

    @property
    def granted_by(self) -> str:
        """What grants it: `role:NAME` as Qeet ID writes it (fact 1.4), or `scope:KEY`."""
        if self.role is None:
            return f"scope:{self.permission}"
        return f"role:{self.role}"

    @property
    def via(self) -> str:
        """How it is held, as Qeet ID writes it: `direct` or `group:NAME`."""
        return "direct" if self.group is None else f"group:{self.group}"


class CarryingGroup(NamedTuple):
    """A group of the tenant, membership in which would be enough."""

    group: str
    group_id: str


class Missing(NamedTuple):
    """A role that would be enough, and the groups that carry it."""

    role: str
    role_id: str
    groups: tuple[CarryingGroup, ...]


class Explanation(NamedTuple):
    """A decision with its grounds; true when allowed.

    Attributes:
        allowed: whether the principal may; the same as `can` says.
        permission: the key that was asked for.
        paths: all grant paths: direct ones first, then by group name, role name, ids.
        reason: why, from the closed set.
        missing: the tenant's roles any of which would be enough: for the principal on
            a `no_grant`, for its actor on an `actor_lacks`.
        revision: the snapshot it was made at.
        age: seconds since that snapshot was known to be current.
        actor_paths: the grant paths of who acts on the principal's behalf, when
            allowed.
        ip_rule: on an `ip_denied`, the rule that denies the address; None when none
            of those that allow lets it in.
    """

    allowed: bool
    permission: str
    paths: tuple[GrantPath, ...]
    reason: Reason
    missing: tuple[Missing, ...]
    revision: Revision
    age: float
    actor_paths: tuple[GrantPath, ...] = ()
    ip_rule: IpRule | None = None

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return SENTENCES[self.reason]


def explain(
    index: Index, question: Question, reason: Reason, revision: Revision, age: float
) -> Explanation:
    """Explain one question from the same index that decided it.

    Args:
        index: whose facts count.
        question: what was asked.
        reason: what `decide` says of it.
        revision: of the index.
        age: seconds since that was known to be current.
    """
    principal, permission = question.principal, question.permission
    paths: tuple[GrantPath, ...] = ()
    actor_paths: tuple[GrantPath, ...] = ()
    if reason is Reason.GRANTED:
        paths = _sorted_paths(index, principal, permission)
        if principal.actor is not None and index.is_strict:
            actor_paths = _sorted_paths(index, principal.actor, permission)
        if not paths:
            reason = refusal(index, question)
    return Explanation(
        bool(paths),
        permission,
        paths,
        reason,
        tuple(_missing(index, principal.tenant, permission, reason)),
        revision,
        age,
        actor_paths,
        ip_verdict(index, principal, question.address).rule,
    )


def _sorted_paths(
    index: Index, principal: Principal, permission: str
) -> tuple[GrantPath, ...]:
    bit = 1 << index.vocabulary.add(permission)
    found = sources(index, principal.kind, principal.key, bit)
    return tuple(
        [
            _path(permission, group, role, group_id, role_id)
            for _, group, role, group_id, role_id, _ in found
        ]
    )


@lru_cache(4_096)
def _path(
    permission: str, group: str, role: str, group_id: Id, role_id: Id
) -> GrantPath:
    """The path of a source; many principals have the same ones."""
    return GrantPath(
        permission,
        role if role_id else None,
        format_id(role_id) if role_id else None,
        group if group_id else None,
        format_id(group_id) if group_id else None,
    )


def _missing(
    index: Index, tenant_id: Id, permission: str, reason: Reason
) -> Iterator[Missing]:
    """The tenant's own roles that carry a key, by name, and who carries them."""
    tenant = index.tenants.get(tenant_id)
    if reason not in _HELPED_BY_ROLES or tenant is None:
        return
    roles = index.carriers(tenant.roles, permission)
    groups: dict[Id, list[CarryingGroup]] = {role_id: [] for role_id in roles}
    for group_id, group in index.carrying_groups(tenant_id, roles):
        if group is NOWHERE:
            continue
        carrying = CarryingGroup(group.name, format_id(group_id))
        for role_id in roles.intersection(tenant.group_roles[group_id]):
            groups[role_id].append(carrying)
    for role_id in sorted(groups, key=lambda each: (index.roles[each].name, each)):
        carriers = tuple(sorted(groups[role_id]))
        yield Missing(index.roles[role_id].name, format_id(role_id), carriers)
