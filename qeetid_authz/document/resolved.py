"""The rows that a document stands for, with ids in place of names."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from qeetid_authz.ids import Id
from qeetid_authz.model import (
    ACTIVE,
    Owned,
    Packed,
    Pair,
    Snapshot,
    Triple,
    pack_members,
)
from qeetid_authz.revision import DOCUMENT_REVISION


class PermissionRow(NamedTuple):
    """A permission that an entry or a role names."""

    id: Id
    key: str
    description: str | None = None


class UserRow(NamedTuple):
    """A user; `given` says that the document gave the id."""

    id: Id
    given: bool
    email: str
    display_name: str | None
    status: str | None


class TenantRow(NamedTuple):
    """A tenant; `given` says that the document gave the id."""

    id: Id
    given: bool
    slug: str
    name: str | None
    status: str | None


class RoleRow(NamedTuple):
    """A role; `given` says that the document gave the id."""

    id: Id
    given: bool
    tenant: Id
    name: str
    description: str | None


class GroupRow(NamedTuple):
    """A group; `given` says that the document gave the id."""

    id: Id
    given: bool
    tenant: Id
    name: str


@dataclass(slots=True)
class Resolved:
    """A document as rows and pairs of ids, free of contradictions in itself.

    Attributes:
        assignments: (tenant, user), each with exactly the roles in `user_roles`.
        role_permissions: (role, permission).
        user_roles: (tenant, user, role).
        group_members: (tenant, user, group).
        group_roles: (tenant, group, role).
    """

    permissions: list[PermissionRow] = field(default_factory=list)
    users: list[UserRow] = field(default_factory=list)
    tenants: list[TenantRow] = field(default_factory=list)
    roles: list[RoleRow] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)
    assignments: list[Pair] = field(default_factory=list)
    role_permissions: list[Pair] = field(default_factory=list)
    user_roles: list[Triple] = field(default_factory=list)
    group_members: list[Triple] = field(default_factory=list)
    group_roles: list[Triple] = field(default_factory=list)

    def snapshot(self) -> Snapshot:
        """The same as facts, an absent status being `active`."""
        return Snapshot(
            DOCUMENT_REVISION,
            permissions={row.id: row.key for row in self.permissions},
            roles={row.id: Owned(row.tenant, row.name) for row in self.roles},
            groups={row.id: Owned(row.tenant, row.name) for row in self.groups},
            tenants={row.id: row.status or ACTIVE for row in self.tenants},
            statuses=_pack((row.status or ACTIVE, row.id) for row in self.users),
            role_permissions=_pack(self.role_permissions),
            user_roles=_pack_triples(self.user_roles),
            group_members=_pack_members(self.group_members),
            group_roles=_pack_triples(self.group_roles),
        )


_Owner = TypeVar("_Owner", Id, str)


def _pack(pairs: Iterable[tuple[_Owner, bytes]]) -> list[tuple[_Owner, bytes]]:
    runs: dict[_Owner, bytearray] = {}
    for owner, member in pairs:
        runs.setdefault(owner, bytearray()).extend(member)
    return [(owner, bytes(run)) for owner, run in runs.items()]


def _pack_members(triples: Iterable[Triple]) -> Packed:
    pairs: dict[Id, list[tuple[Id, Id]]] = {}
    for tenant, user, group in triples:
        pairs.setdefault(tenant, []).append((user, group))
    return [(tenant, pack_members(each)) for tenant, each in pairs.items()]


def _pack_triples(triples: Iterable[Triple]) -> Packed:
    return _pack((tenant, left + right) for tenant, left, right in triples)
