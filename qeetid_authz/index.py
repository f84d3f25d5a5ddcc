"""What a replica knows, compiled so that a question needs a lookup or two."""

from collections.abc import Callable, Iterator
from itertools import chain

from qeetid_authz.ids import Id
from qeetid_authz.model import ACTIVE, MAY_ACT, Owned, Semantics
from qeetid_authz.permissions import Grants, Vocabulary

Ids = tuple[Id, ...]


NOWHERE = Owned(b"", "")
"""Of a role or group without a row of its own, which other rows still refer to.

Foreign keys rule that out, but a session that replays changes for a replication peer
doesn't check them.
"""


class Role:
    """A role: whose it is, its name, and the permissions it bundles."""

    __slots__ = ("mask", "name", "tenant")

    def __init__(self, owned: Owned, mask: int = 0) -> None:
        self.tenant, self.name = owned
        self.mask = mask

    @property
    def exists(self) -> bool:
        """Whether it has a row of its own."""
        return bool(self.tenant)


class Profile:
    """All users of a tenant who hold the same roles and groups.

    Attributes:
        roles: ids of the roles they hold directly, sorted.
        groups: ids of their groups, sorted.
        users: how many they are.
        grants: what roles and groups together grant them; worked out when first
            asked for, so that a change to a role costs nothing to the many profiles
            that nobody asks about.
        edition: the tenant's edition that `grants` belongs to.
    """

    __slots__ = ("edition", "grants", "groups", "roles", "users")

    def __init__(self, roles: Ids, groups: Ids) -> None:
        self.roles = roles
        self.groups = groups
        self.users = 0
        self.grants: Grants | None = None
        self.edition = -1


class Tenant:
    """One tenant's users, and the roles that its groups carry.

    Attributes:
        status: `active`, `suspended` or `deleted`; None without a row of its own.
        rows: user -> profile, of those who may act.
        withheld: the same of those who may not (only under strict semantics).
        profiles: (roles, groups) -> profile.
        group_roles: group -> ids of the roles bound to it in this tenant, sorted.
        roles: ids of the roles that the tenant owns.
        edition: counts the changes to what roles and groups grant here.
    """

    __slots__ = (
        "_group_masks",
        "edition",
        "group_roles",
        "profiles",
        "roles",
        "rows",
        "status",
        "withheld",
    )

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.rows: dict[Id, Profile] = {}
        self.withheld: dict[Id, Profile] = {}
        self.profiles: dict[tuple[Ids, Ids], Profile] = {}
        self.group_roles: dict[Id, Ids] = {}
        self.roles: set[Id] = set()
        self.edition = 0
        self._group_masks: dict[Id, int] = {}

    @property
    def is_void(self) -> bool:
        """Whether it neither exists nor is referred to."""
        referred = self.profiles or self.group_roles or self.roles
        return self.status is None and not referred

    def referred_roles(self, ids: set[Id]) -> set[Id]:
        """Those of some roles that anything here refers to."""
        held = chain.from_iterable(profile.roles for profile in self.profiles.values())
        bound = chain.from_iterable(self.group_roles.values())
        return ids.intersection(chain(held, bound))

    def referred_groups(self, ids: set[Id]) -> set[Id]:
        """Those of some groups that anything here refers to."""
        joined = chain.from_iterable(
            profile.groups for profile in self.profiles.values()
        )
        return ids.intersection(chain(joined, self.group_roles))

    def revise(self) -> None:
        """What roles or groups grant has changed: no grants worked out still stand."""
        self.edition += 1
        self._group_masks.clear()

    def group_mask(self, group: Id, work_out: Callable[[Ids], int]) -> int:
        """What a group's roles grant, worked out once an edition."""
        mask = self._group_masks.get(group)
        if mask is None:
            roles = self.group_roles.get(group, ())
            mask = self._group_masks[group] = work_out(roles)
        return mask

    def place(self, user: Id, roles: Ids, groups: Ids, *, may_act: bool) -> None:
        """Give a user without a row the one of its roles and groups, if any."""
        if not roles and not groups:
            return
        profile = self.profiles.get((roles, groups))
        if profile is None:
            profile = self.profiles[roles, groups] = Profile(roles, groups)
        profile.users += 1
        rows = self.rows if may_act else self.withheld
        rows[user] = profile

    def displace(self, user: Id) -> tuple[Ids, Ids]:
        """Take a user's row away; the roles and groups it held."""
        profile = self.rows.pop(user, None) or self.withheld.pop(user, None)
        if profile is None:
            return (), ()
        profile.users -= 1
        if not profile.users:
            del self.profiles[profile.roles, profile.groups]
        return profile.roles, profile.groups


class Index:
    """Every tenant of a database, compiled under one semantics.

    Attributes:
        permissions: permission id -> key, of those that exist.
        keys: their keys.
        users: user id -> status, of those that exist.
        foreign_roles: role id -> tenants that refer to it without owning it.
        foreign_groups: the same of groups.
        orphans: permission id that doesn't exist -> roles that bundle it.
    """

    __slots__ = (
        "foreign_groups",
        "foreign_roles",
        "groups",
        "keys",
        "orphans",
        "permissions",
        "roles",
        "semantics",
        "tenants",
        "users",
        "vocabulary",
    )

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics
        self.vocabulary = Vocabulary()
        self.permissions: dict[Id, str] = {}
        self.keys: set[str] = set()
        self.roles: dict[Id, Role] = {}
        self.groups: dict[Id, Owned] = {}
        self.users: dict[Id, str] = {}
        self.tenants: dict[Id, Tenant] = {}
        self.foreign_roles: dict[Id, set[Id]] = {}
        self.foreign_groups: dict[Id, set[Id]] = {}
        self.orphans: dict[Id, set[Id]] = {}

    @property
    def is_strict(self) -> bool:
        """Whether tenants are isolated and the inactive refused."""
        return self.semantics is Semantics.STRICT

    def tenant(self, id_: Id) -> Tenant:
        """A tenant's entry, made if something refers to it before it exists."""
        entry = self.tenants.get(id_)
        if entry is None:
            entry = self.tenants[id_] = Tenant(None)
        return entry

    def may_act(self, user: Id) -> bool:
        """Whether a user's own status lets it act."""
        return not self.is_strict or self.users.get(user) in MAY_ACT

    def is_open(self, tenant: Tenant) -> bool:
        """Whether a tenant's status lets anybody in it act."""
        return not self.is_strict or tenant.status == ACTIVE

    def grants(self, tenant: Id, user: Id) -> Grants | None:
        """What a user who may act holds in a tenant; None without a row there."""
        entry = self.tenants.get(tenant)
        if entry is None or not self.is_open(entry):
            return None
        profile = entry.rows.get(user)
        return None if profile is None else self.profile_grants(tenant, profile)

    def profile_grants(self, tenant: Id, profile: Profile) -> Grants:
        """What a profile of a tenant grants at present."""
        edition = self.tenants[tenant].edition
        if profile.grants is None or profile.edition != edition:
            profile.grants = self.vocabulary.grants(self._mask(tenant, profile))
            profile.edition = edition
        return profile.grants

    def _mask(self, tenant: Id, profile: Profile) -> int:
        """All that roles held directly and groups grant together."""

        def role_mask(roles: Ids) -> int:
            mask = 0
            for _, role in self.counted_roles(tenant, roles):
                mask |= role.mask
            return mask

        mask = role_mask(profile.roles)
        entry = self.tenants[tenant]
        for group, _ in self.counted_groups(tenant, profile.groups):
            mask |= entry.group_mask(group, role_mask)
        return mask

    def holders(self, tenant: Id, key: str) -> Iterator[Profile]:
        """The profiles of a tenant that grant a key, from the roles that carry it."""
        position = self.vocabulary.position(key)
        entry = self.tenants[tenant]
        if position is None:
            return

        def carries(roles: Ids) -> bool:
            counted = self.counted_roles(tenant, roles)
            return any(role.mask >> position & 1 for _, role in counted)

        groups = {
            group
            for group, _ in self.counted_groups(tenant, tuple(entry.group_roles))
            if carries(entry.group_roles[group])
        }
        for profile in entry.profiles.values():
            if carries(profile.roles) or not groups.isdisjoint(profile.groups):
                yield profile

    def counted_roles(self, tenant: Id, ids: Ids) -> Iterator[tuple[Id, Role]]:
        """Those roles whose grants count in a tenant: in strict, its own."""
        for id_ in ids:
            role = self.roles.get(id_)
            if role and (role.tenant == tenant or not self.is_strict):
                yield id_, role

    def counted_groups(self, tenant: Id, ids: Ids) -> Iterator[tuple[Id, Owned]]:
        """Those groups whose grants count in a tenant: in strict, its own."""
        for id_ in ids:
            group = self.groups.get(id_, NOWHERE)
            if group.tenant == tenant or not self.is_strict:
                yield id_, group
