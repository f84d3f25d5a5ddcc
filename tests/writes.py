"""Random writes to the tables that decide, cascades included."""

import time
from random import Random
from typing import Any

from qeetid_authz.model import ApiKey, IpRule, Machine, OidcClient, Owned
from tests.tables import Tables, named

# Few of each, so that writes meet.
TENANTS = [named("tenant", n) for n in range(3)]
USERS = [named("user", n) for n in range(3)]
ROLES = [named("role", n) for n in range(3)]
GROUPS = [named("group", n) for n in range(2)]
PERMISSIONS = [named("permission", n) for n in range(3)]
KEYS = [f"thing{n}:do" for n in range(4)]
SERVICES = [named("service", n) for n in range(2)]
AGENTS = [named("agent", n) for n in range(2)]
MACHINES = [*SERVICES, *AGENTS]
HOLDERS = [*USERS, SERVICES[0], AGENTS[0]]
"""Who holds roles and is in groups: users, and a machine of each kind."""
API_KEYS = [named("api key", n) for n in range(3)]
SESSIONS = [named("session", n) for n in range(4)]
CLIENTS = [named("client", n) for n in range(2)]
IP_RULES = [named("ip rule", n) for n in range(3)]
SCOPES = [*KEYS, "no:permission"]
PAST, FUTURE = 1_000_000_000.0, 4_000_000_000.0
JUST_NOW = float(int(time.time()) - 60)
"""When sessions were revoked, give or take some seconds: not long before the tests."""
USER_STATUSES = ("active", "active", "active", "invited", "suspended", "deleted")
TENANT_STATUSES = ("active", "active", "active", "active", "suspended", "deleted")
SERVICE_STATUSES = ("active", "active", "active", "disabled")
AGENT_STATUSES = (
    "active",
    "active",
    "active",
    "disabled",
    "suspended",
    "decommissioned",
)


def random_tables(random: Random, *, foreign_keys: bool = True) -> Tables:
    """Small tables that hold every quirk now and then."""
    tables = Tables(
        permissions=dict(zip(PERMISSIONS, KEYS, strict=False)),
        tenants=dict.fromkeys(TENANTS[:2], "active"),
        users=dict.fromkeys(USERS, "active"),
    )
    for role in ROLES:
        tables.roles[role] = Owned(TENANTS[0], f"role {ROLES.index(role)}")
    for group in GROUPS:
        tables.groups[group] = Owned(TENANTS[0], "group 0")
    for _ in range(30):
        random_write(tables, random, foreign_keys=foreign_keys)
    return tables


def random_write(t: Tables, random: Random, *, foreign_keys: bool = True) -> None:
    """One write that the database's constraints allow, or all but the foreign keys."""
    usual = (flip_role_permission, flip_user_role, flip_group_member, flip_group_role)
    rare = (set_tenant, set_user, set_role, set_group, set_permission, delete_something)
    identity = (
        set_service,
        set_agent,
        set_api_key,
        revoke_session,
        set_client,
        set_ip_rule,
        flip_ip_enforced,
    )
    (writes,) = random.choices((usual, rare, identity), (5, 2, 3))
    random.choice(writes)(t, random)
    if foreign_keys:
        t.enforce_foreign_keys()


def set_tenant(t: Tables, random: Random) -> None:
    t.tenants[random.choice(TENANTS)] = random.choice(TENANT_STATUSES)


def set_user(t: Tables, random: Random) -> None:
    t.users[random.choice(USERS)] = random.choice(USER_STATUSES)


def set_role(t: Tables, random: Random) -> None:
    if t.tenants:
        owner = random.choice(sorted(t.tenants))
        role = random.choice(ROLES)
        t.roles[role] = Owned(owner, f"role {ROLES.index(role)}.{random.randrange(2)}")


def set_group(t: Tables, random: Random) -> None:
    if t.tenants:
        owner = random.choice(sorted(t.tenants))
        t.groups[random.choice(GROUPS)] = Owned(owner, f"group {random.randrange(3)}")


def set_permission(t: Tables, random: Random) -> None:
    """Create or rename one; a key that another has is swapped or taken over."""
    permission, key = random.choice(PERMISSIONS), random.choice(KEYS)
    for other, taken in list(t.permissions.items()):
        if taken == key and other != permission:
            if permission in t.permissions:
                t.permissions[other] = t.permissions[permission]
            else:
                del t.permissions[other]
    t.permissions[permission] = key


def flip_role_permission(t: Tables, random: Random) -> None:
    t.role_permissions ^= {(random.choice(ROLES), random.choice(PERMISSIONS))}


def flip_user_role(t: Tables, random: Random) -> None:
    row = (random.choice(TENANTS), random.choice(HOLDERS), random.choice(ROLES))
    t.user_roles ^= {row}


def flip_group_member(t: Tables, random: Random) -> None:
    tenant, user, group = map(random.choice, (TENANTS, HOLDERS, GROUPS))
    t.group_members = _restamped(t.group_members, tenant, user, group)


def flip_group_role(t: Tables, random: Random) -> None:
    tenant, group, role = map(random.choice, (TENANTS, GROUPS, ROLES))
    t.group_roles = _restamped(t.group_roles, tenant, group, role)


def _restamped(
    rows: set[tuple[bytes, bytes, bytes]], tenant: bytes, a: bytes, b: bytes
) -> set[tuple[bytes, bytes, bytes]]:
    """A pair carries one tenant: it is moved there, or taken out if it was there."""
    rest = {row for row in rows if row[1:] != (a, b)}
    return rest if (tenant, a, b) in rows else rest | {(tenant, a, b)}


def set_service(t: Tables, random: Random) -> None:
    if t.tenants:
        t.services[random.choice(SERVICES)] = _machine(t, random, SERVICE_STATUSES)


def set_agent(t: Tables, random: Random) -> None:
    if t.tenants:
        t.agents[random.choice(AGENTS)] = _machine(t, random, AGENT_STATUSES)


def _machine(t: Tables, random: Random, statuses: tuple[str, ...]) -> Machine:
    return Machine(_owner(t, random), _scopes(random), random.choice(statuses))


def set_api_key(t: Tables, random: Random) -> None:
    """Create or change one; some are of no user, and prefixes collide."""
    if t.tenants:
        t.api_keys[random.choice(API_KEYS)] = ApiKey(
            _owner(t, random),
            random.choice([*USERS, None]),
            f"qk_{random.randrange(2)}",
            "x",
            _scopes(random),
            random.choice((None, None, PAST, FUTURE)),
            random.random() < 0.2,
        )


def revoke_session(t: Tables, random: Random) -> None:
    """Nobody takes a revocation back; its row needs a user."""
    if t.users:
        t.revoked_sessions.setdefault(
            random.choice(SESSIONS), JUST_NOW + random.randrange(10)
        )


def set_client(t: Tables, random: Random) -> None:
    if t.tenants:
        client = random.choice(CLIENTS)
        name = f"qci_{CLIENTS.index(client)}"
        is_public = random.random() < 0.5
        t.clients[client] = OidcClient(
            _owner(t, random), name, None if is_public else "x", is_public
        )


def set_ip_rule(t: Tables, random: Random) -> None:
    if t.tenants:
        t.ip_rules[random.choice(IP_RULES)] = IpRule(
            _owner(t, random),
            random.choice(("192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "nonsense")),
            random.choice(("allow", "deny")),
            random.choice(("", "office")),
        )


def flip_ip_enforced(t: Tables, random: Random) -> None:
    if t.tenants:
        t.ip_enforced ^= {_owner(t, random)}


def _owner(t: Tables, random: Random) -> bytes:
    return random.choice(sorted(t.tenants))


def _scopes(random: Random) -> tuple[str, ...]:
    return tuple(random.sample(SCOPES, random.randrange(3)))


def delete_something(t: Tables, random: Random) -> None:
    """Delete a row, but not the last user's, to whom revoked sessions belong."""
    table: dict[bytes, Any] = random.choice(
        (
            t.tenants,
            t.users,
            t.roles,
            t.groups,
            t.permissions,
            random.choice((t.services, t.agents)),
            random.choice((t.api_keys, t.clients, t.ip_rules)),
        )
    )
    if table and not (table is t.users and len(table) == 1):
        del table[random.choice(sorted(table))]
