"""Seeded tenants: every fact of a database, and what is true of them.

`Tenancy.held` reads the generated relations and knows nothing of the index, so it
can judge the engine's answers.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random

from bench.catalogues import Catalogue, uniform
from qeetid_authz.ids import Id
from qeetid_authz.model import (
    ACTIVE,
    Owned,
    Packed,
    Snapshot,
    pack_members,
    unpack_members,
)
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision

GENERATED = Revision("generated", 0, 0)


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of what; groups, roles and users are counted in each tenant.

    Attributes:
        permissions: how many keys there are, shared by all tenants.
        permissions_per_role: how many of them a role has.
        roles_per_group: how many roles a group carries.
        groups_per_user: how many groups a user is a member of.
        direct_share: the share of users who also hold a role directly.
        skew: 1 makes all groups of one size, more makes few of them large.
        common_role: whether every group carries the tenant's first role.
        first_groups: how many groups the first user is a member of, in place of
            `groups_per_user`; 0 when it is like the others.
    """

    tenants: int = 1
    users: int = 1_000
    groups: int = 100
    roles: int = 20
    permissions: int = 100
    permissions_per_role: int = 10
    roles_per_group: int = 2
    groups_per_user: int = 3
    direct_share: float = 0.05
    skew: float = 2.0
    common_role: bool = False
    first_groups: int = 0

    def __post_init__(self) -> None:
        for what, wanted, there in (
            ("groups_per_user", self.groups_per_user, self.groups),
            ("first_groups", self.first_groups, self.groups),
            ("roles_per_group", self.roles_per_group, self.roles),
            ("permissions_per_role", self.permissions_per_role, self.permissions),
        ):
            if wanted > there:
                raise ValueError(
                    f"{what} `{wanted}` is more than the `{there}` there are;"
                    " ask for fewer"
                )


SHAPES = {
    "small team": Shape(users=20, groups=5, roles=5, permissions=50),
    "enterprise": Shape(
        users=1_000_000, groups=10_000, roles=500, permissions=2_000, direct_share=0.02
    ),
    "many tenants": Shape(tenants=10_000, users=10, groups=3, roles=3, skew=1),
    "wide catalogue": Shape(
        users=10_000, roles=200, permissions=13_790, permissions_per_role=1_379
    ),
    "many groups": Shape(users=10_000, groups=10_000, first_groups=10_000, roles=200),
}
"""The shapes that there are names for."""


class Tenant:
    """The facts of one tenant, by number; ids are the runs of sixteen bytes.

    Attributes:
        carried: group -> roles.
        memberships: the groups of the first user, of the second and so on, each
            `groups_per_user` of them; those of the first user are in `first` where
            its number is another.
        direct: user -> the role held directly.
    """

    def __init__(self, shape: Shape, roles: int, random: Random) -> None:
        self.id = random.randbytes(16)
        self.users = _ids(random, shape.users)
        self.groups = _ids(random, shape.groups)
        self.roles = _ids(random, roles)
        self.groups_per_user = shape.groups_per_user
        self.carried = [_carry(shape, roles, random) for _ in range(shape.groups)]
        self.memberships = _join(shape, random)
        self.first = random.sample(range(shape.groups), shape.first_groups)
        self.direct = {
            user: random.randrange(roles)
            for user in range(shape.users)
            if random.random() < shape.direct_share
        }

    def groups_of(self, user: int) -> list[int]:
        """The groups of a user."""
        if user == 0 and self.first:
            return self.first
        start = user * self.groups_per_user
        return list(self.memberships[start : start + self.groups_per_user])

    def roles_of(self, user: int) -> set[int]:
        """The roles of a user, direct or through a group."""
        roles = {role for group in self.groups_of(user) for role in self.carried[group]}
        if user in self.direct:
            roles.add(self.direct[user])
        return roles

    def members(self) -> bytes:
        """All memberships, packed."""
        return pack_members(self._memberships())

    def _memberships(self) -> Iterator[tuple[Id, Id]]:
        for group in self.first:
            yield self.users[0], self.groups[group]
        others = 1 if self.first else 0
        groups = iter(self.memberships[others * self.groups_per_user :])
        for user in self.users[others:]:
            for _ in range(self.groups_per_user):
                yield user, self.groups[next(groups)]

    def role_pairs(self) -> bytes:
        """All roles held directly, packed as (user, role) pairs."""
        held = self.direct.items()
        return b"".join(self.users[user] + self.roles[role] for user, role in held)

    def carried_pairs(self) -> bytes:
        """All roles that groups carry, packed as (group, role) pairs."""
        return b"".join(
            group + self.roles[role]
            for group, roles in zip(self.groups, self.carried, strict=True)
            for role in roles
        )


class Tenancy:
    """All tenants, the catalogue that they share, and the snapshot of both."""

    def __init__(self, shape: Shape, seed: int, catalogue: Catalogue | None) -> None:
        random = Random(seed)
        self.catalogue = catalogue or uniform(
            random, shape.permissions, shape.roles, shape.permissions_per_role
        )
        self.permissions = _ids(random, len(self.catalogue.permissions))
        roles = len(self.catalogue.roles)
        self.tenants = [Tenant(shape, roles, random) for _ in range(shape.tenants)]

    @cached_property
    def snapshot(self) -> Snapshot:
        """Every fact, packed as it comes from a database."""
        users = b"".join(b"".join(tenant.users) for tenant in self.tenants)
        return Snapshot(
            GENERATED,
            permissions=dict(
                zip(self.permissions, self.catalogue.permissions, strict=True)
            ),
            roles=dict(self._roles()),
            groups=dict(self._groups()),
            tenants={tenant.id: ACTIVE for tenant in self.tenants},
            statuses=[(ACTIVE, users)],
            role_permissions=list(self._role_permissions()),
            user_roles=[(each.id, each.role_pairs()) for each in self.tenants],
            group_members=[(each.id, each.members()) for each in self.tenants],
            group_roles=[(each.id, each.carried_pairs()) for each in self.tenants],
        )

    def principal(self, user: int, tenant: int = 0) -> Principal:
        """A user by number, as who asks."""
        owner = self.tenants[tenant]
        return Principal.of(Kind.USER, owner.users[user], owner.id)

    def held(self, user: int, tenant: int = 0) -> set[str]:
        """The keys that a user holds, from the relations."""
        return self.keys(self.tenants[tenant].roles_of(user))

    def keys(self, roles: set[int]) -> set[str]:
        """The keys that roles have together."""
        permissions = list(self.catalogue.roles.values())
        held = {at for role in roles for at in permissions[role]}
        return {self.catalogue.permissions[at] for at in held}

    def _roles(self) -> Iterator[tuple[Id, Owned]]:
        for tenant in self.tenants:
            for id_, name in zip(tenant.roles, self.catalogue.roles, strict=True):
                yield id_, Owned(tenant.id, name)

    def _groups(self) -> Iterator[tuple[Id, Owned]]:
        for tenant in self.tenants:
            for at, id_ in enumerate(tenant.groups):
                yield id_, Owned(tenant.id, f"group {at}")

    def _role_permissions(self) -> Iterator[tuple[Id, bytes]]:
        granted = [
            b"".join(self.permissions[at] for at in held)
            for held in self.catalogue.roles.values()
        ]
        for tenant in self.tenants:
            yield from zip(tenant.roles, granted, strict=True)


def synthesise(shape: Shape, seed: int, catalogue: Catalogue | None = None) -> Tenancy:
    """Generate tenants; equal arguments give equal ones.

    Args:
        shape: how many of what.
        seed: of all that is drawn.
        catalogue: permissions and roles to use in place of the shape's.
    """
    return Tenancy(shape, seed, catalogue)


def facts(snapshot: Snapshot) -> int:
    """How many facts a snapshot has: entities and pairs."""
    entities = len(snapshot.permissions) + len(snapshot.roles)
    entities += len(snapshot.groups) + len(snapshot.tenants)
    pairs = (snapshot.user_roles, snapshot.group_roles)
    members = sum(
        len(users) // 16
        for _, run in snapshot.group_members
        for _, users in unpack_members(run)
    )
    return (
        entities
        + members
        + sum(len(users) for _, users in snapshot.statuses) // 16
        + _length(snapshot.role_permissions) // 16
        + sum(map(_length, pairs)) // 32
    )


def _length(relation: Packed) -> int:
    return sum(len(run) for _, run in relation)


def _ids(random: Random, count: int) -> list[Id]:
    run = random.randbytes(16 * count)
    return [run[at : at + 16] for at in range(0, len(run), 16)]


def _carry(shape: Shape, roles: int, random: Random) -> list[int]:
    if not shape.common_role:
        return random.sample(range(roles), shape.roles_per_group)
    others = random.sample(range(1, roles), shape.roles_per_group - 1)
    return [0, *others]


def _join(shape: Shape, random: Random) -> "array[int]":
    memberships = array("I")
    draw, groups, skew = random.random, shape.groups, shape.skew
    for _ in range(shape.users):
        joined: dict[int, None] = {}
        while len(joined) < shape.groups_per_user:
            joined[int(groups * draw() ** skew)] = None
        memberships.extend(joined)
    return memberships
