"""Why a decision is what it is: every grant path, or what would be enough."""

from collections.abc import Iterator
from dataclasses import dataclass

from qeetid_authz.decision import SENTENCES, Reason, refusal
from qeetid_authz.ids import Id, format_id
from qeetid_authz.index import NOWHERE, Ids, Index, Profile, Role
from qeetid_authz.model import Principal
from qeetid_authz.revision import Revision


@dataclass(frozen=True, slots=True)
class GrantPath:
    """One way by which a principal holds a permission.

    Attributes:
        permission: the key that was asked for.
        role: the role's name.
        role_id: its id.
        group: the name of the group that carries the role; None when held directly.
        group_id: its id, or None.
    """

    permission: str
    role: str
    role_id: str
    group: str | None = None
    group_id: str | None = None

    @property
    def granted_by(self) -> str:
        """The role as Qeet ID writes it: `role:NAME` (fact 1.4)."""
        return f"role:{self.role}"

    @property
    def via(self) -> str:
        """How the role is held, as Qeet ID writes it: `direct` or `group:NAME`."""
        return "direct" if self.group is None else f"group:{self.group}"


@dataclass(frozen=True, slots=True)
class CarryingGroup:
    """A group of the tenant, membership in which would be enough."""

    group: str
    group_id: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A role that would be enough, and the groups that carry it."""

    role: str
    role_id: str
    groups: tuple[CarryingGroup, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its grounds; true when allowed.

    Attributes:
        allowed: whether the principal may; the same as `can` says.
        permission: the key that was asked for.
        paths: all grant paths: direct ones first, then by group name, role name, ids.
        reason: why, from the closed set.
        missing: on a `no_grant`, the tenant's roles any of which would be enough.
        revision: the snapshot it was made at.
        age: seconds since that snapshot was known to be current.
    """

    allowed: bool
    permission: str
    paths: tuple[GrantPath, ...]
    reason: Reason
    missing: tuple[Missing, ...]
    revision: Revision
    age: float

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return SENTENCES[self.reason]


def explain(
    index: Index, principal: Principal, permission: str, revision: Revision, age: float
) -> Explanation:
    """Explain one question from the same index that decides it."""
    paths = tuple(sorted(_paths(index, principal, permission), key=_order))
    reason = Reason.GRANTED if paths else refusal(index, principal, permission)
    missing = tuple(_missing(index, principal.tenant, permission, reason))
    return Explanation(bool(paths), permission, paths, reason, missing, revision, age)


def _order(path: GrantPath) -> tuple[bool, str, str, str, str]:
    return (
        path.group is not None,
        path.group or "",
        path.role,
        path.group_id or "",
        path.role_id,
    )


def _paths(index: Index, principal: Principal, permission: str) -> Iterator[GrantPath]:
    position = index.vocabulary.position(permission)
    profile = _acting_profile(index, principal)
    if position is None or profile is None:
        return
    tenant = principal.tenant
    for role_id, role in _carrying(index, tenant, profile.roles, position):
        yield GrantPath(permission, role.name, format_id(role_id))
    bound = index.tenants[tenant].group_roles
    for group_id, group in index.counted_groups(tenant, profile.groups):
        if group.tenant != tenant:
            continue  # Qeet ID's explain joins the group's tenant, its check doesn't
        roles = bound.get(group_id, ())
        for role_id, role in _carrying(index, tenant, roles, position):
            yield GrantPath(
                permission,
                role.name,
                format_id(role_id),
                group.name,
                format_id(group_id),
            )


def _carrying(
    index: Index, tenant: Id, roles: Ids, position: int
) -> Iterator[tuple[Id, Role]]:
    """Those roles that count, exist and bundle the permission."""
    for id_, role in index.counted_roles(tenant, roles):
        if role.exists and role.mask >> position & 1:
            yield id_, role


def _acting_profile(index: Index, principal: Principal) -> Profile | None:
    tenant = index.tenants.get(principal.tenant)
    if tenant is None or not index.is_open(tenant):
        return None
    return tenant.rows.get(principal.subject)


def _missing(
    index: Index, tenant_id: Id, permission: str, reason: Reason
) -> Iterator[Missing]:
    """The tenant's own roles that carry a key, by name, and who carries them."""
    position = index.vocabulary.position(permission)
    tenant = index.tenants.get(tenant_id)
    if reason is not Reason.NO_GRANT or position is None or tenant is None:
        return
    own = tuple(tenant.roles)
    groups: dict[Id, list[CarryingGroup]] = {
        role_id: [] for role_id, _ in _carrying(index, tenant_id, own, position)
    }
    for group_id, group in index.counted_groups(tenant_id, tuple(tenant.group_roles)):
        if group is NOWHERE:
            continue
        for role_id in tenant.group_roles[group_id]:
            if role_id in groups:
                groups[role_id].append(CarryingGroup(group.name, format_id(group_id)))
    for role_id in sorted(groups, key=lambda each: (index.roles[each].name, each)):
        carriers = sorted(groups[role_id], key=lambda each: (each.group, each.group_id))
        yield Missing(index.roles[role_id].name, format_id(role_id), tuple(carriers))
