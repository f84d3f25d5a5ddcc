"""What a replica knows, compiled so that a question needs a lookup or two."""

from collections.abc import Iterable, Sequence

from qeetid_authz.ids import Id
from qeetid_authz.index.identities import Identities
from qeetid_authz.index.iprules import IpPolicy
from qeetid_authz.index.permissions import Grants, Vocabulary
from qeetid_authz.index.tenant import NOWHERE, Profile, Role, Tenant
from qeetid_authz.model import ACTIVE, IpRule, Owned, Semantics

_MANY = 32  # groups, of which it takes long to find out what they carry


class Index:
    """Every tenant of a database, compiled under one semantics.

    Attributes:
        is_strict: whether tenants are isolated and the inactive refused.
        permissions: permission id -> key, of those that exist.
        keys: their keys.
        identities: who there is to act.
        ip_policies: tenant id -> from where one may act in it, where laid down.
        ip_rule_tenants: IP rule id -> its tenant.
        foreign_roles: role id -> tenants that refer to it without owning it.
        foreign_groups: the same of groups.
        orphans: permission id that doesn't exist -> roles that bundle it.
    """

    __slots__ = (
        "foreign_groups",
        "foreign_roles",
        "groups",
        "identities",
        "ip_policies",
        "ip_rule_tenants",
        "is_strict",
        "keys",
        "orphans",
        "permissions",
        "roles",
        "semantics",
        "tenants",
        "vocabulary",
    )

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics
        self.is_strict = semantics is Semantics.STRICT
        self.vocabulary = Vocabulary()
        self.permissions: dict[Id, str] = {}
        self.keys: set[str] = set()
        self.roles: dict[Id, Role] = {}
        self.groups: dict[Id, Owned] = {}
        self.identities = Identities()
        self.ip_policies: dict[Id, IpPolicy] = {}
        self.ip_rule_tenants: dict[Id, Id] = {}
        self.tenants: dict[Id, Tenant] = {}
        self.foreign_roles: dict[Id, set[Id]] = {}
        self.foreign_groups: dict[Id, set[Id]] = {}
        self.orphans: dict[Id, set[Id]] = {}

    def tenant(self, id_: Id) -> Tenant:
        """A tenant's entry, made if something refers to it before it exists."""
        entry = self.tenants.get(id_)
        if entry is None:
            entry = self.tenants[id_] = Tenant(None)
        return entry

    def ip_policy(self, tenant: Id) -> IpPolicy:
        """A tenant's IP rules, made if something is laid down first."""
        policy = self.ip_policies.get(tenant)
        if policy is None:
            policy = self.ip_policies[tenant] = IpPolicy()
        return policy

    def put_ip_rule(self, id_: Id, rule: IpRule) -> None:
        """Lay down a rule that isn't."""
        self.ip_policy(rule.tenant).put(id_, rule)
        self.ip_rule_tenants[id_] = rule.tenant

    def sizes(self) -> dict[str, int]:
        """How many there are of each kind that is counted anyway."""
        who = self.identities
        return {
            "tenants": len(self.tenants),
            "users": len(who.users),
            "roles": len(self.roles),
            "groups": len(self.groups),
            "permissions": len(self.permissions),
            "services": len(who.services.rows),
            "agents": len(who.agents.rows),
            "api_keys": len(who.api_keys.rows),
            "clients": len(who.clients.rows),
            "revoked_sessions": len(who.revoked_sessions),
            "ip_rules": len(self.ip_rule_tenants),
        }

    def may_act(self, tenant: Id, subject: Id) -> bool:
        """Whether its own status lets a user or a machine act in a tenant."""
        return not self.is_strict or self.identities.may_act(tenant, subject)

    def is_open(self, tenant: Tenant) -> bool:
        """Whether a tenant's status lets anybody in it act."""
        return not self.is_strict or tenant.status == ACTIVE

    def grants(self, tenant: Id, subject: Id) -> Grants | None:
        """What roles and groups grant to one who may act; None without a row."""
        profile = self.profile(tenant, subject)
        return None if profile is None else self.profile_grants(tenant, profile)

    def profile(self, tenant: Id, subject: Id) -> Profile | None:
        """The roles and groups of one who may act in a tenant; None without a row."""
        entry = self.tenants.get(tenant)
        if entry is None or not self.is_open(entry):
            return None
        profile = entry.profile(subject)
        return profile if profile and self.may_act(tenant, subject) else None

    def profile_grants(self, tenant: Id, profile: Profile) -> Grants:
        """What a profile of a tenant grants at present."""
        edition = self.tenants[tenant].edition
        if profile.grants is None or profile.edition != edition:
            profile.grants = self.vocabulary.grants(self._mask(tenant, profile))
            profile.edition = edition
        return profile.grants

    def _mask(self, tenant: Id, profile: Profile) -> int:
        """All that roles held directly and groups grant together."""
        mask = 0
        for roles in (profile.roles, self._united(tenant, profile)):
            for _, role in self.counted_roles(tenant, roles):
                mask |= role.mask
        return mask

    def _united(self, tenant: Id, profile: Profile) -> Iterable[Id]:
        """The roles that those groups of a profile carry that count."""
        entry = self.tenants[tenant]
        if profile.united is not None and profile.united[0] == entry.bindings:
            return profile.united[1]
        bound = entry.group_roles.get
        groups = self.counted_groups(tenant, profile.groups)
        roles = set[Id]().union(*(bound(group, ()) for group, _ in groups))
        if len(groups) > _MANY:
            profile.united = entry.bindings, tuple(roles)
        return roles

    def carriers(self, roles: set[Id], key: str) -> set[Id]:
        """Those of some roles that carry a key."""
        position, known = self.vocabulary.position(key), self.roles
        if position is None:
            return set()
        return {
            id_
            for id_ in roles
            if (role := known.get(id_)) and role.mask >> position & 1
        }

    def carrying_groups(self, tenant: Id, roles: set[Id]) -> list[tuple[Id, Owned]]:
        """The groups that carry any of some roles and count in a tenant."""
        bound_to = self.tenants[tenant].group_roles
        return self.counted_groups(
            tenant,
            [group for group, bound in bound_to.items() if not roles.isdisjoint(bound)],
        )

    def counted_roles(self, tenant: Id, ids: Iterable[Id]) -> list[tuple[Id, Role]]:
        """Those roles whose grants count in a tenant: in strict, its own."""
        known, strict = self.roles, self.is_strict
        return [
            (id_, role)
            for id_ in ids
            if (role := known.get(id_)) and (role.tenant == tenant or not strict)
        ]

    def counted_groups(self, tenant: Id, ids: Sequence[Id]) -> list[tuple[Id, Owned]]:
        """Those groups whose grants count in a tenant: in strict, its own."""
        known, strict = self.groups, self.is_strict
        return [
            (id_, group)
            for id_ in ids
            if (group := known.get(id_, NOWHERE)).tenant == tenant or not strict
        ]
