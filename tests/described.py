"""An index in a form that compares equal when indexes say the same."""

from collections.abc import Iterable, Iterator
from typing import Any

from qeetid_authz.ids import Id
from qeetid_authz.index.directory import Directory
from qeetid_authz.index.index import Index
from qeetid_authz.index.tenant import Profile, Tenant


def describe(index: Index) -> dict[str, Any]:
    """All that an index holds; keys stand for bits, whose order is of arrival."""
    keys = index.vocabulary.keys
    identities = index.identities

    def rows(tenant: Id, of: Iterable[tuple[Id, Profile]]) -> dict[Id, Any]:
        return {
            user: (p.roles, p.groups, keys(index.profile_grants(tenant, p).mask))
            for user, p in of
        }

    return {
        "permissions": index.permissions,
        "keys": index.keys,
        "users": dict(identities.users.items()),
        "services": identities.services.rows,
        "agents": identities.agents.rows,
        "api_keys": identities.api_keys.rows,
        "prefixes": _names(identities.api_keys),
        "clients": identities.clients.rows,
        "client_ids": _names(identities.clients),
        "revoked_sessions": identities.revoked_sessions,
        "ip_rule_tenants": index.ip_rule_tenants,
        "ip_policies": {
            id_: (policy.enforced, policy.rules)
            for id_, policy in index.ip_policies.items()
        },
        "groups": index.groups,
        "orphans": index.orphans,
        "roles": {i: (r.tenant, r.name, keys(r.mask)) for i, r in index.roles.items()},
        "tenants": {
            id_: {
                "status": tenant.status,
                "roles": tenant.roles,
                "group_roles": tenant.group_roles,
                "rows": rows(id_, _profiled(tenant)),
                "profiles": {key: p.users for key, p in tenant.profiles.items()},
            }
            for id_, tenant in index.tenants.items()
        },
    }


def _profiled(tenant: Tenant) -> Iterator[tuple[Id, Profile]]:
    profiles = tenant._numbered
    return ((user, profiles[number]) for user, number in tenant.rows.items())


def _names(directory: Directory[Any]) -> dict[Any, list[Id]]:
    return {name: sorted(ids) for name, ids in directory._by_name.items()}
