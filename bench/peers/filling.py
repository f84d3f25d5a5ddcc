"""The generated facts of one tenant, written into a Postgres of our own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg

from bench.peers.relations import Relation, Relations
from qeetid_authz.ids import parse_id
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.migrate import migrate


@contextmanager
def database(told: Relations) -> Iterator[str]:
    """A DSN of a database with nothing but these facts."""
    with Cluster() as cluster:
        dsn = cluster.dsn()
        migrate(dsn, bootstrap=True)
        with psycopg.connect(dsn, autocommit=True) as connection:
            for target, rows in _tables(told):
                _copy(connection, target, rows)
            connection.execute("VACUUM ANALYZE")
        yield dsn


def _tables(told: Relations) -> Iterator[tuple[LiteralString, Iterable[Iterable[str]]]]:
    tenant, key_ids = told.tenant, _key_ids(told)
    yield "tenant.tenants (id, slug, name)", [(tenant, "bench", "Bench")]
    users = ((user, f"{user}@bench.test") for user in told.groups)
    yield '"user".users (id, email)', users
    yield "rbac.permissions (id, key)", ((id_, key) for key, id_ in key_ids.items())
    roles = ((role, tenant, f"role {role}") for role in told.granted)
    yield "rbac.roles (id, tenant_id, name)", roles
    groups = ((group, tenant, f"group {group}") for group in told.carried)
    yield "tenant.groups (id, tenant_id, name)", groups
    yield (
        "rbac.role_permissions (role_id, permission_id)",
        ((role, key_ids[key]) for role, key in _pairs(told.granted)),
    )
    for target, relation in (
        ("rbac.group_roles (group_id, role_id, tenant_id)", told.carried),
        ("tenant.group_members (user_id, group_id, tenant_id)", told.groups),
        ("rbac.user_roles (user_id, role_id, tenant_id)", told.direct),
    ):
        yield target, ((*pair, tenant) for pair in _pairs(relation))


def _key_ids(told: Relations) -> dict[str, str]:
    """Ids for the keys, counted up from the tenant's own."""
    first = int.from_bytes(parse_id(told.tenant))
    return {
        key: f"{(first + at + 1) % (1 << 128):032x}"
        for at, key in enumerate(told.permissions)
    }


def _pairs(relation: Relation) -> Iterator[tuple[str, str]]:
    return ((left, right) for left, rights in relation.items() for right in rights)


def _copy(
    connection: psycopg.Connection,
    target: LiteralString,
    rows: Iterable[Iterable[str]],
) -> None:
    with connection.cursor().copy(f"COPY {target} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row))
