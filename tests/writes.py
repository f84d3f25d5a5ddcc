"""Random writes to the decision tables, cascades included."""

from random import Random

from qeetid_authz.model import Owned
from tests.tables import Tables, named

# Few of each, so that writes meet.
TENANTS = [named("tenant", n) for n in range(3)]
USERS = [named("user", n) for n in range(3)]
ROLES = [named("role", n) for n in range(3)]
GROUPS = [named("group", n) for n in range(2)]
PERMISSIONS = [named("permission", n) for n in range(3)]
KEYS = [f"thing{n}:do" for n in range(4)]
USER_STATUSES = ("active", "active", "active", "invited", "suspended", "deleted")
TENANT_STATUSES = ("active", "active", "active", "active", "suspended", "deleted")


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
    rare = (set_tenant, set_user, set_role, set_group, set_permission, delete_something)
    usual = (flip_role_permission, flip_user_role, flip_group_member, flip_group_role)
    random.choice(rare if random.random() < 0.3 else usual)(t, random)
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
    row = (random.choice(TENANTS), random.choice(USERS), random.choice(ROLES))
    t.user_roles ^= {row}


def flip_group_member(t: Tables, random: Random) -> None:
    tenant, user, group = map(random.choice, (TENANTS, USERS, GROUPS))
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


def delete_something(t: Tables, random: Random) -> None:
    table = random.choice((t.tenants, t.users, t.roles, t.groups, t.permissions))
    if table:
        del table[random.choice(sorted(table))]
