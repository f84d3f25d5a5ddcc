"""The relations of one tenant as texts, for products that are told them so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench.synthesis import Tenancy
from qeetid_authz.ids import format_id

Relation: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Relations:
    """Who and what a tenant has; all but keys by their ids.

    Attributes:
        groups: user -> groups.
        direct: user -> roles held directly; all users are in it.
        carried: group -> roles.
        granted: role -> keys.
    """

    tenant: str
    permissions: Sequence[str]
    groups: Relation
    direct: Relation
    carried: Relation
    granted: Relation

    def roles(self, user: str) -> list[str]:
        """All roles of a user, as a caller has to find them who is asked for them."""
        through = (role for each in self.groups[user] for role in self.carried[each])
        return sorted({*self.direct[user], *through})


def relations(tenancy: Tenancy) -> Relations:
    """Write out the first tenant."""
    tenant, keys = tenancy.tenants[0], tenancy.catalogue.permissions
    users, groups, roles = (
        [format_id(each) for each in ids]
        for ids in (tenant.users, tenant.groups, tenant.roles)
    )
    held = tenancy.catalogue.roles.values()
    return Relations(
        format_id(tenant.id),
        keys,
        {
            user: [groups[group] for group in tenant.groups_of(at)]
            for at, user in enumerate(users)
        },
        {
            user: [roles[tenant.direct[at]]] if at in tenant.direct else []
            for at, user in enumerate(users)
        },
        {
            group: [roles[role] for role in carried]
            for group, carried in zip(groups, tenant.carried, strict=True)
        },
        {
            role: [keys[at] for at in positions]
            for role, positions in zip(roles, held, strict=True)
        },
    )
