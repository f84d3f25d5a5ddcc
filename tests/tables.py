"""The facts as plain tables: what tests build, write to Postgres and read back.

Independent of the code under test: nothing here compiles, packs or caches.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any, TypeVar
from uuid import UUID, uuid5

from psycopg import Connection

from qeetid_authz.model import (
    ApiKey,
    Changes,
    IpRule,
    Machine,
    OidcClient,
    Owned,
    Snapshot,
)
from qeetid_authz.revision import DOCUMENT_REVISION, Revision

NAMESPACE = UUID("3f1d0c9a-7c55-4a0e-9a57-1f6a52f9f0aa")


def named(kind: str, name: object) -> bytes:
    """The id that tests give to a thing by name."""
    return uuid5(NAMESPACE, f"{kind}:{name}").bytes


class Seeded(Random):
    """A source of chance that says how to have it again."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seed = seed

    def __repr__(self) -> str:
        return f"Seeded({self._seed})"


GHOST = named("ghost", "of something that came and went between two looks")

Tenanted = TypeVar("Tenanted", ApiKey, Machine, OidcClient, IpRule)


@dataclass
class Tables:
    """The tables that decide. Relations: (tenant, user or group, role or group).

    Sessions are of no user in particular: their rows go with whoever is there.

    Attributes:
        revoked_sessions: when each was revoked, in seconds since the Unix epoch.
        ip_enforced: the tenants that heed their IP rules.
    """

    permissions: dict[bytes, str] = field(default_factory=dict)
    roles: dict[bytes, Owned] = field(default_factory=dict)
    groups: dict[bytes, Owned] = field(default_factory=dict)
    tenants: dict[bytes, str] = field(default_factory=dict)
    users: dict[bytes, str] = field(default_factory=dict)
    role_permissions: set[tuple[bytes, bytes]] = field(default_factory=set)
    user_roles: set[tuple[bytes, bytes, bytes]] = field(default_factory=set)
    group_members: set[tuple[bytes, bytes, bytes]] = field(default_factory=set)
    group_roles: set[tuple[bytes, bytes, bytes]] = field(default_factory=set)
    api_keys: dict[bytes, ApiKey] = field(default_factory=dict)
    services: dict[bytes, Machine] = field(default_factory=dict)
    agents: dict[bytes, Machine] = field(default_factory=dict)
    revoked_sessions: dict[bytes, float] = field(default_factory=dict)
    clients: dict[bytes, OidcClient] = field(default_factory=dict)
    ip_rules: dict[bytes, IpRule] = field(default_factory=dict)
    ip_enforced: set[bytes] = field(default_factory=set)

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
            _blocks(self.group_members),
            _packed(self.group_roles),
            api_keys=dict(self.api_keys),
            services=dict(self.services),
            agents=dict(self.agents),
            revoked_sessions=_by_time(self.revoked_sessions),
            clients=dict(self.clients),
            ip_rules=dict(self.ip_rules),
            ip_enforced=set(self.ip_enforced),
        )

    def changes_since(
        self, former: "Tables", random: Random, revision: Revision = DOCUMENT_REVISION
    ) -> Changes:
        """What differs from former facts, in any order, with some that doesn't.

        A session that is no longer among the revoked ones isn't told of, as the
        database doesn't tell either.
        """
        changes = Changes(revision)
        noise = random.choice((0.0, 0.0, 0.2))
        for each in fields(Tables):
            old, new = getattr(former, each.name), getattr(self, each.name)
            keys = [
                key
                for key in set(old) | set(new)
                if _value(old, key) != _value(new, key) or random.random() < noise
            ]
            if each.name == "revoked_sessions":
                keys = [key for key in keys if key in new]
            random.shuffle(keys)
            getattr(changes, each.name).update({k: _value(new, k) for k in keys})
        if noise:
            changes.tenants[GHOST] = changes.users[GHOST] = None
            changes.roles[GHOST] = changes.groups[GHOST] = None
            changes.permissions[GHOST] = changes.api_keys[GHOST] = None
            changes.services[GHOST] = changes.agents[GHOST] = None
            changes.clients[GHOST] = changes.ip_rules[GHOST] = None
            changes.revoked_sessions[GHOST] = None
            changes.ip_enforced[GHOST] = False
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
        self.api_keys = {
            i: key if key.user in self.users else key._replace(user=None)
            for i, key in self._housed(self.api_keys).items()
        }
        self.services = self._housed(self.services)
        self.agents = self._housed(self.agents)
        self.clients = self._housed(self.clients)
        self.ip_rules = self._housed(self.ip_rules)
        self.ip_enforced &= self.tenants.keys()

    def _housed(self, things: dict[bytes, Tenanted]) -> dict[bytes, Tenanted]:
        return {i: thing for i, thing in things.items() if thing.tenant in self.tenants}


def _value(table: Any, key: Any) -> Any:
    return key in table if isinstance(table, set) else table.get(key)


def _by_status(users: dict[bytes, str]) -> list[tuple[str, bytes]]:
    runs: dict[str, bytes] = {}
    for user, status in users.items():
        runs[status] = runs.get(status, b"") + user
    return list(runs.items())


def _by_time(sessions: dict[bytes, float]) -> dict[bytes, float]:
    return dict(sorted(sessions.items(), key=lambda session: session[1]))


def _packed(rows: Iterable[tuple[bytes, ...]]) -> list[tuple[bytes, bytes]]:
    runs: dict[bytes, bytes] = {}
    for owner, *rest in rows:
        runs[owner] = runs.get(owner, b"") + b"".join(rest)
    return list(runs.items())


def _blocks(members: set[tuple[bytes, bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """By tenant, for each group its id, how many members it has, and who they are."""
    runs: dict[bytes, bytes] = {}
    for tenant, group in {(tenant, group) for tenant, _, group in members}:
        users = [user for t, user, g in members if (t, g) == (tenant, group)]
        block = b"".join([group, bytes([0, 0, *divmod(len(users), 256)]), *users])
        runs[tenant] = runs.get(tenant, b"") + block
    return list(runs.items())


def write(tables: Tables, connection: Connection[Any]) -> None:
    """Insert everything; where sessions were revoked, there must be a user."""
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
        for statement, values in (rows | _identity_rows(tables)).items():
            cursor.executemany(statement, values)


def _identity_rows(tables: Tables) -> dict[str, list[tuple[Any, ...]]]:
    return {
        "INSERT INTO auth.api_keys (id, tenant_id, user_id, name, prefix, key_hash,"
        " scopes, expires_at, revoked_at) VALUES (%s, %s, %s, '', %s, %s, %s,"
        " to_timestamp(%s), CASE WHEN %s THEN now() END)": [
            (
                UUID(bytes=i),
                UUID(bytes=k.tenant),
                k.user and UUID(bytes=k.user),
                k.prefix,
                k.secret_hash,
                list(k.scopes),
                k.expires_at,
                k.revoked,
            )
            for i, k in tables.api_keys.items()
        ],
        "INSERT INTO auth.service_principals (id, tenant_id, name, secret_hash, scopes,"
        " disabled_at) VALUES (%s, %s, %s, 'x', %s, CASE WHEN %s THEN now() END)": [
            (
                UUID(bytes=i),
                UUID(bytes=m.tenant),
                i.hex(),
                list(m.scopes),
                m.status == "disabled",
            )
            for i, m in tables.services.items()
        ],
        "INSERT INTO auth.agents (id, tenant_id, name, secret_hash, scopes, status,"
        " disabled_at) VALUES (%s, %s, %s, 'x', %s, %s, CASE WHEN %s THEN now() END)": [
            (
                UUID(bytes=i),
                UUID(bytes=m.tenant),
                i.hex(),
                list(m.scopes),
                "active" if m.status == "disabled" else m.status,
                m.status == "disabled",
            )
            for i, m in tables.agents.items()
        ],
        "INSERT INTO auth.sessions (id, user_id, revoked_at)"
        " VALUES (%s, %s, to_timestamp(%s))": [
            (UUID(bytes=i), UUID(bytes=min(tables.users)), revoked_at)
            for i, revoked_at in tables.revoked_sessions.items()
        ],
        "INSERT INTO auth.oidc_clients (id, tenant_id, client_id, client_secret_hash,"
        " type, name) VALUES (%s, %s, %s, %s, %s, '')": [
            (
                UUID(bytes=i),
                UUID(bytes=c.tenant),
                c.client_id,
                c.secret_hash,
                "public" if c.is_public else "confidential",
            )
            for i, c in tables.clients.items()
        ],
        "INSERT INTO tenant.ip_rules (id, tenant_id, cidr, action, label)"
        " VALUES (%s, %s, %s, %s, %s)": [
            (UUID(bytes=i), UUID(bytes=tenant), *rest)
            for i, (tenant, *rest) in tables.ip_rules.items()
        ],
        "INSERT INTO tenant.ip_rules_config (tenant_id, enabled) VALUES (%s, true)": [
            (UUID(bytes=tenant),) for tenant in tables.ip_enforced
        ],
    }


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
        api_keys={
            i: ApiKey(tenant, user, prefix, key_hash, tuple(scopes), *times)
            for i, tenant, user, prefix, key_hash, scopes, *times in rows(
                "SELECT id, tenant_id, user_id, prefix, key_hash, scopes,"
                " extract(epoch FROM expires_at)::float8, revoked_at IS NOT NULL"
                " FROM auth.api_keys"
            )
        },
        services={
            i: Machine(tenant, tuple(scopes), "disabled" if disabled else "active")
            for i, tenant, scopes, disabled in rows(
                "SELECT id, tenant_id, scopes, disabled_at IS NOT NULL"
                " FROM auth.service_principals"
            )
        },
        agents={
            i: Machine(tenant, tuple(scopes), "disabled" if disabled else status)
            for i, tenant, scopes, status, disabled in rows(
                "SELECT id, tenant_id, scopes, status, disabled_at IS NOT NULL"
                " FROM auth.agents"
            )
        },
        revoked_sessions=dict(
            rows(
                "SELECT id, extract(epoch FROM revoked_at)::float8 FROM auth.sessions"
                " WHERE revoked_at IS NOT NULL"
            )
        ),
        clients={
            i: OidcClient(tenant, client_id, secret_hash, type_ == "public")
            for i, tenant, client_id, secret_hash, type_ in rows(
                "SELECT id, tenant_id, client_id, client_secret_hash, type"
                " FROM auth.oidc_clients"
            )
        },
        ip_rules={
            i: IpRule(*rest)
            for i, *rest in rows(
                "SELECT id, tenant_id, cidr, action, label FROM tenant.ip_rules"
            )
        },
        ip_enforced={
            tenant
            for (tenant,) in rows(
                "SELECT tenant_id FROM tenant.ip_rules_config WHERE enabled"
            )
        },
    )
