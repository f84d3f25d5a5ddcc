"""The facts as plain tables: what tests build, write to Postgres and read back.

Independent of the code under test: nothing here compiles, packs or caches.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any
from uuid import UUID, uuid5

from psycopg import Connection

from qeetid_authz.model import Changes, Owned, Snapshot
from qeetid_authz.revision import DOCUMENT_REVISION, Revision

NAMESPACE = UUID("3f1d0c9a-7c55-4a0e-9a57-1f6a52f9f0aa")


def named(kind: str, name: object) -> bytes:
    """The id that tests give to a thing by name."""
    return uuid5(NAMESPACE, f"{kind}:{name}").bytes


GHOST = named("ghost", "of something that came and went between two looks")


@dataclass
class Tables:
    """The decision tables. Relations: (tenant, user or group, role or group)."""

    permissions: dict[bytes, str] = field(default_factory=dict)
    roles: dict[bytes, Owned] = field(default_factory=dict)
    groups: dict[bytes, Owned] = field(default_factory=dict)
    tenants: dict[bytes, str] = field(default_factory=dict)
    users: dict[bytes, str] = field(default_factory=dict)
    role_permissions: set[tuple[bytes, bytes]] = field(default_factory=set)
    user_roles: set[tuple[bytes, bytes, bytes]] = field(default_factory=set)
    group_members: set[tuple[bytes, bytes, bytes]] = field(default_factory=set)
    group_roles: set[tuple[bytes, bytes, bytes]] = field(default_factory=set)

    def copy(self) -> "Tables":
        """An independent copy."""
        return deepcopy(self)

    def snapshot(self, revision: Revision = DOCUMENT_REVISION) -> Snapshot:
        """The same facts as the compiler takes them."""
        return Snapshot(
            revision,
            dict(self.permissions),
            dict(self.roles),
            dict(self.groups),
            dict(self.tenants),
            _by_status(self.users),
            _packed(self.role_permissions),
            _packed(self.user_roles),
            _packed(self.group_members),
            _packed(self.group_roles),
        )

    def changes_since(
        self, former: "Tables", random: Random, revision: Revision = DOCUMENT_REVISION
    ) -> Changes:
        """What differs from former facts, in any order, with some that doesn't."""
        changes = Changes(revision)
        noise = random.choice((0.0, 0.0, 0.2))
        for each in fields(Tables):
            old, new = getattr(former, each.name), getattr(self, each.name)
            keys = [
                key
                for key in set(old) | set(new)
                if _value(old, key) != _value(new, key) or random.random() < noise
            ]
            random.shuffle(keys)
            getattr(changes, each.name).update({k: _value(new, k) for k in keys})
        if noise:
            changes.tenants[GHOST] = changes.users[GHOST] = None
            changes.roles[GHOST] = changes.groups[GHOST] = None
            changes.permissions[GHOST] = None
            for permission in (GHOST, *self.permissions):
                changes.role_permissions[GHOST, permission] = False
            for relation in (
                changes.user_roles,
                changes.group_members,
                changes.group_roles,
            ):
                relation[GHOST, GHOST, GHOST] = False
        return changes

    def enforce_foreign_keys(self) -> None:
        """Let go of what refers to something that is gone, as cascades do."""
        self.roles = {i: r for i, r in self.roles.items() if r.tenant in self.tenants}
        self.groups = {i: g for i, g in self.groups.items() if g.tenant in self.tenants}
        self.role_permissions = {
            (r, p)
            for r, p in self.role_permissions
            if r in self.roles and p in self.permissions
        }
        self.user_roles = {
            row
            for row in self.user_roles
            if row[0] in self.tenants and row[2] in self.roles
        }
        self.group_members = {
            row
            for row in self.group_members
            if row[0] in self.tenants and row[2] in self.groups
        }
        self.group_roles = {
            row
            for row in self.group_roles
            if row[0] in self.tenants and row[1] in self.groups and row[2] in self.roles
        }


def _value(table: Any, key: Any) -> Any:
    return key in table if isinstance(table, set) else table.get(key)


def _by_status(users: dict[bytes, str]) -> list[tuple[str, bytes]]:
    runs: dict[str, bytes] = {}
    for user, status in users.items():
        runs[status] = runs.get(status, b"") + user
    return list(runs.items())


def _packed(rows: Iterable[tuple[bytes, ...]]) -> list[tuple[bytes, bytes]]:
    runs: dict[bytes, bytes] = {}
    for owner, *rest in rows:
        runs[owner] = runs.get(owner, b"") + b"".join(rest)
    return list(runs.items())


def write(tables: Tables, connection: Connection[Any]) -> None:
    """Insert everything."""
    rows: dict[str, list[tuple[Any, ...]]] = {
        "INSERT INTO tenant.tenants (id, slug, name, status) VALUES (%s, %s, %s, %s)": [
            (UUID(bytes=i), i.hex(), i.hex(), status)
            for i, status in tables.tenants.items()
        ],
        'INSERT INTO "user".users (id, email, status) VALUES (%s, %s, %s)': [
            (UUID(bytes=i), f"{i.hex()}@x.test", s) for i, s in tables.users.items()
        ],
        "INSERT INTO rbac.permissions (id, key) VALUES (%s, %s)": [
            (UUID(bytes=i), key) for i, key in tables.permissions.items()
        ],
        "INSERT INTO rbac.roles (id, tenant_id, name) VALUES (%s, %s, %s)": [
            (UUID(bytes=i), UUID(bytes=r.tenant), r.name)
            for i, r in tables.roles.items()
        ],
        "INSERT INTO tenant.groups (id, tenant_id, name) VALUES (%s, %s, %s)": [
            (UUID(bytes=i), UUID(bytes=g.tenant), g.name)
            for i, g in tables.groups.items()
        ],
        "INSERT INTO rbac.role_permissions (role_id, permission_id) VALUES (%s, %s)": (
            _uuids(tables.role_permissions)
        ),
        "INSERT INTO rbac.user_roles (tenant_id, user_id, role_id) VALUES (%s, %s, %s)": (
            _uuids(tables.user_roles)
        ),
        "INSERT INTO tenant.group_members (tenant_id, user_id, group_id)"
        " VALUES (%s, %s, %s)": _uuids(tables.group_members),
        "INSERT INTO rbac.group_roles (tenant_id, group_id, role_id)"
        " VALUES (%s, %s, %s)": _uuids(tables.group_roles),
    }
    with connection.transaction(), connection.cursor() as cursor:
        for statement, values in rows.items():
            cursor.executemany(statement, values)


def _uuids(rows: Iterable[tuple[bytes, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(UUID(bytes=id_) for id_ in row) for row in rows]


def read(connection: Connection[Any]) -> Tables:
    """Read everything, in whatever transaction the connection is in."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        found = connection.execute(query).fetchall()
        return [
            tuple(each.bytes if isinstance(each, UUID) else each for each in row)
            for row in found
        ]

    return Tables(
        permissions=dict(rows("SELECT id, key FROM rbac.permissions")),
        roles={
            i: Owned(t, n)
            for i, t, n in rows("SELECT id, tenant_id, name FROM rbac.roles")
        },
        groups={
            i: Owned(t, n)
            for i, t, n in rows("SELECT id, tenant_id, name FROM tenant.groups")
        },
        tenants=dict(
            rows(
                "SELECT id, CASE WHEN deleted_at IS NOT NULL THEN 'deleted'"
                " ELSE status END FROM tenant.tenants"
            )
        ),
        users=dict(
            rows(
                "SELECT id, CASE WHEN deleted_at IS NOT NULL THEN 'deleted'"
                ' ELSE status END FROM "user".users'
            )
        ),
        role_permissions=set(
            rows("SELECT role_id, permission_id FROM rbac.role_permissions")
        ),
        user_roles=set(rows("SELECT tenant_id, user_id, role_id FROM rbac.user_roles")),
        group_members=set(
            rows("SELECT tenant_id, user_id, group_id FROM tenant.group_members")
        ),
        group_roles=set(
            rows("SELECT tenant_id, group_id, role_id FROM rbac.group_roles")
        ),
    )
