"""Under everything writers can do, each published index equals one snapshot."""

import threading
import time
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest

from qeetid_authz.engine.engine import Engine
from qeetid_authz.model import Owned
from tests.integration.following import PollAndCompare
from tests.tables import Tables, named, write

WRITERS = 16
SECONDS = 10.0
TENANTS = [named("tenant", n) for n in range(4)]
USERS = [named("user", n) for n in range(40)]
ROLES = [named("role", n) for n in range(12)]
GROUPS = [named("group", n) for n in range(10)]
PERMISSIONS = [named("permission", n) for n in range(12)]
MACHINES = [named("machine", n) for n in range(8)]
SESSIONS = [named("session", n) for n in range(200)]
KEEPER = named("user", "keeper")
"""Whose sessions they are, and who is never purged."""
APART = named("tenant", "apart")
"""Of the long transaction alone, which nobody has to wait for."""

_UPSERT_MEMBER: LiteralString = (
    "INSERT INTO tenant.group_members (tenant_id, user_id, group_id) VALUES (%s, %s, %s)"
    " ON CONFLICT (group_id, user_id) DO UPDATE SET tenant_id = excluded.tenant_id"
)
_UPSERT_GROUP_ROLE: LiteralString = (
    "INSERT INTO rbac.group_roles (tenant_id, group_id, role_id) VALUES (%s, %s, %s)"
    " ON CONFLICT (group_id, role_id) DO UPDATE SET tenant_id = excluded.tenant_id"
)


def statement(random: Random) -> tuple[LiteralString, tuple[Any, ...]]:
    """A write to the tables of decisions, with keys that others write as well."""
    tenant, user, role, group, permission = map(
        random.choice, (TENANTS, USERS, ROLES, GROUPS, PERMISSIONS)
    )
    return random.choice(
        (
            (
                "INSERT INTO rbac.user_roles VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (user, tenant, role),
            ),
            ("DELETE FROM rbac.user_roles WHERE user_id = %s", (user,)),
            (
                "UPDATE rbac.user_roles SET granted_by = %s WHERE user_id = %s",
                (user, user),
            ),
            (_UPSERT_MEMBER, (tenant, user, group)),
            ("DELETE FROM tenant.group_members WHERE user_id = %s", (user,)),
            (_UPSERT_GROUP_ROLE, (tenant, group, role)),
            ("DELETE FROM rbac.group_roles WHERE role_id = %s", (role,)),
            (
                "INSERT INTO rbac.role_permissions VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (role, permission),
            ),
            (
                "DELETE FROM rbac.role_permissions WHERE permission_id = %s",
                (permission,),
            ),
            (
                "UPDATE rbac.roles SET tenant_id = %s, name = id::text WHERE id = %s",
                (tenant, role),
            ),
            ("UPDATE tenant.groups SET tenant_id = %s WHERE id = %s", (tenant, group)),
            (
                "UPDATE rbac.permissions SET key = gen_random_uuid()::text WHERE id = %s",
                (permission,),
            ),
            (
                "UPDATE \"user\".users SET status = CASE status WHEN 'active' THEN"
                " 'suspended' ELSE 'active' END WHERE id = %s",
                (user,),
            ),
            ('DELETE FROM "user".users WHERE id = %s', (user,)),
            (
                'INSERT INTO "user".users (id, email) VALUES (%s, gen_random_uuid()::text)'
                " ON CONFLICT DO NOTHING",
                (user,),
            ),
            ("DELETE FROM rbac.roles WHERE id = %s", (role,)),
            (
                "INSERT INTO rbac.roles (id, tenant_id, name) VALUES (%s, %s,"
                " gen_random_uuid()::text) ON CONFLICT DO NOTHING",
                (role, tenant),
            ),
            (
                "INSERT INTO tenant.groups (id, tenant_id, name) VALUES (%s, %s, 'g')"
                " ON CONFLICT DO NOTHING",
                (group, tenant),
            ),
            ("DELETE FROM tenant.groups WHERE id = %s", (group,)),
            (
                "UPDATE tenant.tenants SET status = CASE status WHEN 'active' THEN"
                " 'suspended' ELSE 'active' END WHERE id = %s",
                (tenant,),
            ),
        )
    )


def identity_statement(random: Random) -> tuple[LiteralString, tuple[Any, ...]]:
    """A write to the tables of who may act, of sessions and of IP rules."""
    tenant, user, machine, session = map(
        random.choice, (TENANTS, USERS, MACHINES, SESSIONS)
    )
    return random.choice(
        (
            (
                "INSERT INTO auth.service_principals (id, tenant_id, name, secret_hash)"
                " VALUES (%s, %s, gen_random_uuid()::text, 'x') ON CONFLICT DO NOTHING",
                (machine, tenant),
            ),
            (
                "UPDATE auth.service_principals SET scopes = ARRAY[name], disabled_at ="
                " CASE WHEN disabled_at IS NULL THEN now() END WHERE id = %s",
                (machine,),
            ),
            ("DELETE FROM auth.service_principals WHERE id = %s", (machine,)),
            (
                "INSERT INTO auth.agents (id, tenant_id, name, secret_hash)"
                " VALUES (%s, %s, 'a', 'x') ON CONFLICT DO NOTHING",
                (machine, tenant),
            ),
            (
                "UPDATE auth.agents SET status = CASE status WHEN 'active' THEN"
                " 'suspended' ELSE 'active' END WHERE id = %s",
                (machine,),
            ),
            ("DELETE FROM auth.agents WHERE id = %s", (machine,)),
            (
                "INSERT INTO auth.api_keys (id, tenant_id, user_id, name, prefix, key_hash)"
                ' SELECT %s, %s, (SELECT id FROM "user".users WHERE id = %s), %s, %s, %s'
                " ON CONFLICT DO NOTHING",
                (machine, tenant, user, machine, machine, machine),
            ),
            (
                "UPDATE auth.api_keys SET last_used_at = now(), revoked_at ="
                " CASE WHEN revoked_at IS NULL THEN now() END WHERE id = %s",
                (machine,),
            ),
            ("DELETE FROM auth.api_keys WHERE id = %s", (machine,)),
            (
                "INSERT INTO auth.sessions (id, user_id) VALUES (%s, %s)"
                " ON CONFLICT (id) DO UPDATE SET last_seen_at = now()",
                (session, KEEPER),
            ),
            (
                "UPDATE auth.sessions SET revoked_at = coalesce(revoked_at, now())"
                " WHERE id = %s",
                (session,),
            ),
            (
                "INSERT INTO auth.oidc_clients (id, tenant_id, client_id, type, name)"
                " VALUES (%s, %s, %s, 'public', 'c') ON CONFLICT DO NOTHING",
                (machine, tenant, machine),
            ),
            (
                "UPDATE auth.oidc_clients SET client_secret_hash = gen_random_uuid()::text"
                " WHERE id = %s",
                (machine,),
            ),
            ("DELETE FROM auth.oidc_clients WHERE id = %s", (machine,)),
            (
                "INSERT INTO tenant.ip_rules (id, tenant_id, cidr) VALUES (%s, %s, '::/0')"
                " ON CONFLICT (id) DO UPDATE SET action = CASE ip_rules.action"
                " WHEN 'allow' THEN 'deny' ELSE 'allow' END",
                (machine, tenant),
            ),
            ("DELETE FROM tenant.ip_rules WHERE id = %s", (machine,)),
            (
                "INSERT INTO tenant.ip_rules_config VALUES (%s, true)"
                " ON CONFLICT (tenant_id) DO UPDATE"
                " SET enabled = NOT ip_rules_config.enabled",
                (tenant,),
            ),
            ("DELETE FROM tenant.ip_rules_config WHERE tenant_id = %s", (tenant,)),
        )
    )


def any_statement(random: Random) -> tuple[LiteralString, tuple[Any, ...]]:
    """A write to any of the tables."""
    return random.choice((statement, identity_statement))(random)


class Writer(threading.Thread):
    """Writes in transactions of odd shapes until told to stop."""

    def __init__(self, dsn: str, seed: int, until: float) -> None:
        super().__init__()
        self._dsn = dsn
        self._random = Random(seed)
        self._until = until
        self.commits = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn) as connection:
                while time.monotonic() < self._until:
                    self._transaction(connection)
        except BaseException as error:  # noqa: BLE001  (raised in the test)
            self.failure = error

    def _transaction(self, connection: psycopg.Connection[Any]) -> None:
        random = self._random
        try:
            for _ in range(random.randrange(1, 5)):
                if random.random() < 0.35:
                    with connection.transaction(force_rollback=random.random() < 0.5):
                        connection.execute(*uuids(any_statement(random)))
                else:
                    connection.execute(*uuids(any_statement(random)))
                if random.random() < 0.2:
                    time.sleep(random.random() * 0.01)
        except (
            psycopg.errors.DeadlockDetected,
            psycopg.errors.IntegrityError,
        ):
            connection.rollback()
            return
        if random.random() < 0.15:
            connection.rollback()
        else:
            connection.commit()
            self.commits += 1


def uuids(
    written: tuple[LiteralString, tuple[Any, ...]],
) -> tuple[LiteralString, tuple[Any, ...]]:
    """The same with ids as Postgres takes them."""
    query, ids = written
    return query, tuple(id_.hex() for id_ in ids)


def initial() -> Tables:
    """Some of everything, so that writes meet."""
    random = Random(1)
    tables = Tables(
        permissions={p: p.hex() for p in PERMISSIONS},
        tenants=dict.fromkeys(TENANTS, "active"),
        users=dict.fromkeys([*USERS, KEEPER], "active"),
    )
    for role in ROLES:
        tables.roles[role] = _owned(random, role)
    for group in GROUPS:
        tables.groups[group] = _owned(random, group)
    tables.tenants[APART] = "active"
    tables.roles[APART] = Owned(APART, "apart")
    return tables


def _owned(random: Random, id_: bytes) -> Owned:
    return Owned(random.choice(TENANTS), id_.hex())


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
def test_every_published_index_equals_a_snapshot(
    database: str, connection: psycopg.Connection[Any], semantics: str
) -> None:
    """Sixteen writers, savepoints, aborts, one long transaction: no poll is wrong."""
    write(initial(), connection)
    replica = PollAndCompare(database, Engine(semantics))
    until = time.monotonic() + SECONDS / 2
    writers = [Writer(database, seed, until) for seed in range(WRITERS)]
    long = psycopg.connect(database)
    polls = wrong = 0
    try:
        assert replica.step()
        long.execute(
            "INSERT INTO rbac.user_roles VALUES (%s, %s, %s)",
            (APART.hex(), APART.hex(), APART.hex()),
        )
        for writer in writers:
            writer.start()
        while time.monotonic() < until:
            polls += 1
            wrong += not replica.step()
        for writer in writers:
            writer.join()
        long.commit()
        right_at_last = replica.step()
    finally:
        long.close()
        replica.close()

    assert [None] * WRITERS == [writer.failure for writer in writers]
    assert sum(writer.commits for writer in writers) > 100
    assert polls > 20
    assert wrong == 0
    assert right_at_last
    assert {"start": 1} == replica.replica.resyncs
