"""The naive evaluator that everything is compared with.

Written from Qeet ID facts 0 and 2 and the design's table of semantics, straight over
the tables: no index, no mask, no cache.
"""

from qeetid_authz.model import Owned
from tests.tables import Tables

Path = tuple[str, bytes, str | None, bytes | None]
"""Role name and id, group name and id."""


NONE = Owned(b"", "")
"""Of what has no row, as happens where foreign keys were off."""


def check(t: Tables, semantics: str, tenant: bytes, user: bytes, key: str) -> bool:
    """Whether a role that counts grants the key, directly or through a group."""
    if semantics == "strict" and obstacle(t, tenant, user):
        return False
    return by_roles(t, semantics, tenant, user, key)


def by_roles(t: Tables, semantics: str, tenant: bytes, holder: bytes, key: str) -> bool:
    """The same of anybody, whatever keeps it from acting."""
    return bool(_walk(t, semantics, tenant, holder, key, any_group=True))


def explain(
    t: Tables, semantics: str, tenant: bytes, user: bytes, key: str
) -> list[Path]:
    """The grant paths; the hosted server's explain joins the group's tenant."""
    if semantics == "strict" and obstacle(t, tenant, user):
        return []
    return _walk(t, semantics, tenant, user, key, any_group=False)


def _walk(
    t: Tables, semantics: str, tenant: bytes, user: bytes, key: str, *, any_group: bool
) -> list[Path]:
    strict = semantics == "strict"

    def grants(role: bytes) -> bool:
        # The hosted check doesn't look at the role's own row; its explain does.
        counts = (
            t.roles.get(role, NONE).tenant == tenant
            if strict
            else (any_group or role in t.roles)
        )
        keys = {t.permissions.get(p) for r, p in t.role_permissions if r == role}
        return counts and key in keys

    paths: list[Path] = [
        (t.roles.get(role, NONE).name, role, None, None)
        for of, holder, role in t.user_roles
        if of == tenant and holder == user and grants(role)
    ]
    for of, member, group in t.group_members:
        foreign = t.groups.get(group, NONE).tenant != tenant
        if of != tenant or member != user or (foreign and (strict or not any_group)):
            continue
        paths += [
            (t.roles.get(role, NONE).name, role, t.groups.get(group, NONE).name, group)
            for bound_in, bound, role in t.group_roles
            if bound_in == tenant and bound == group and grants(role)
        ]
    return paths


def obstacle(t: Tables, tenant: bytes, user: bytes) -> str | None:
    """What keeps anybody, or this user, from acting under strict semantics."""
    if tenant not in t.tenants:
        return "unknown_tenant"
    if t.tenants[tenant] != "active":
        return "tenant_inactive"
    if user not in t.users:
        return "unknown_user"
    return None if t.users[user] in ("active", "invited") else "user_inactive"


def reason(t: Tables, semantics: str, tenant: bytes, user: bytes, key: str) -> str:
    """The one reason of a decision."""
    if check(t, semantics, tenant, user, key):
        return "granted"
    if semantics == "strict" and (found := obstacle(t, tenant, user)):
        return found
    return "no_grant" if key in t.permissions.values() else "unknown_permission"
