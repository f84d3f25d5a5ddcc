"""The change feed against a real server: every write is seen, noise leaves no trace."""

import asyncio
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Self
from uuid import UUID

import psycopg
import pytest

from qeetid_authz import AsyncAuthorizer, Authorizer, Engine, Principal
from qeetid_authz.errors import (
    DatabaseError,
    DisarmedError,
    NotMigratedError,
    NotOpenError,
    SchemaError,
    UnreachableError,
)
from qeetid_authz.model import (
    ApiKey,
    Changes,
    IpRule,
    Machine,
    OidcClient,
    Owned,
    Snapshot,
    Update,
)
from qeetid_authz.postgres.connecting import connect
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.feed import _run, drive, poll
from qeetid_authz.postgres.following import Ask, follow
from qeetid_authz.postgres.migrate import migrate, remove
from qeetid_authz.replica import Replica
from qeetid_authz.revision import Revision
from tests.integration.following import (
    HandDriven,
    assert_follows,
    described,
    eventually,
)
from tests.tables import Tables, named, read, write

Connection = psycopg.Connection[Any]

ACME, OTHER = named("tenant", "acme"), named("tenant", "other")
ANN, BOB = named("user", "ann"), named("user", "bob")
ADMIN, FOREIGN = named("role", "admin"), named("role", "foreign")
OPS = named("group", "ops")
WRITE, READ = named("permission", "write"), named("permission", "read")


def uuid(id_: bytes) -> UUID:
    return UUID(bytes=id_)


def small_tables() -> Tables:
    """Two tenants; ann is admin directly, bob through a group."""
    return Tables(
        permissions={WRITE: "billing:write", READ: "billing:read"},
        roles={ADMIN: Owned(ACME, "admin"), FOREIGN: Owned(OTHER, "foreign")},
        groups={OPS: Owned(ACME, "ops")},
        tenants={ACME: "active", OTHER: "active"},
        users={ANN: "active", BOB: "active"},
        role_permissions={(ADMIN, WRITE), (FOREIGN, READ)},
        user_roles={(ACME, ANN, ADMIN)},
        group_members={(ACME, BOB, OPS)},
        group_roles={(ACME, OPS, ADMIN)},
    )


@pytest.fixture
def filled(connection: Connection) -> Connection:
    """A connection to a database with the small tables."""
    write(small_tables(), connection)
    return connection


@pytest.fixture(params=["strict", "mirror"])
def authz(
    request: pytest.FixtureRequest, filled: Connection, database: str
) -> Iterator[Authorizer]:
    """An open authorizer over them, in either semantics."""
    with Authorizer.open(database, semantics=request.param) as opened:
        yield opened


WRITES = {
    "grant a role": (
        "INSERT INTO rbac.user_roles VALUES (%(bob)s, %(acme)s, %(admin)s)",
    ),
    "revoke a role": ("DELETE FROM rbac.user_roles",),
    "give another role by update": (
        "UPDATE rbac.user_roles SET role_id = %(foreign)s",
    ),
    "move a grant to another tenant": (
        "UPDATE rbac.user_roles SET tenant_id = %(other)s",
    ),
    "join a group": (
        "INSERT INTO tenant.group_members VALUES (%(ops)s, %(ann)s, %(acme)s)",
    ),
    "leave a group": ("DELETE FROM tenant.group_members",),
    "move a membership to another tenant": (
        "UPDATE tenant.group_members SET tenant_id = %(other)s",
    ),
    "move a membership to another user": (
        "UPDATE tenant.group_members SET user_id = %(ann)s",
    ),
    "take a role from a group": ("DELETE FROM rbac.group_roles",),
    "move a group's role to another tenant": (
        "UPDATE rbac.group_roles SET tenant_id = %(other)s",
    ),
    "grant a permission": (
        "INSERT INTO rbac.role_permissions VALUES (%(admin)s, %(read)s)",
    ),
    "swap a permission": (
        "UPDATE rbac.role_permissions SET permission_id = %(read)s"
        " WHERE role_id = %(admin)s",
    ),
    "rename a permission": (
        "UPDATE rbac.permissions SET key = 'billing:edit' WHERE id = %(write)s",
    ),
    "exchange two permissions' keys": (
        "UPDATE rbac.permissions SET key = 'tmp' WHERE id = %(write)s",
        "UPDATE rbac.permissions SET key = 'billing:write' WHERE id = %(read)s",
        "UPDATE rbac.permissions SET key = 'billing:read' WHERE id = %(write)s",
    ),
    "delete a permission": ("DELETE FROM rbac.permissions WHERE id = %(write)s",),
    "rename a role": ("UPDATE rbac.roles SET name = 'chief' WHERE id = %(admin)s",),
    "move a role to another tenant": ("UPDATE rbac.roles SET tenant_id = %(other)s",),
    "delete a role, which cascades": ("DELETE FROM rbac.roles WHERE id = %(admin)s",),
    "rename a group": ("UPDATE tenant.groups SET name = 'night shift'",),
    "move a group to another tenant": (
        "UPDATE tenant.groups SET tenant_id = %(other)s",
    ),
    "delete a group, which cascades": ("DELETE FROM tenant.groups",),
    "suspend a user": (
        "UPDATE \"user\".users SET status = 'suspended' WHERE id = %(ann)s",
    ),
    "delete a user softly": (
        'UPDATE "user".users SET deleted_at = now() WHERE id = %(bob)s',
    ),
    "purge a user": ('DELETE FROM "user".users WHERE id = %(ann)s',),
    "give a user another id": (
        'UPDATE "user".users SET id = %(stranger)s WHERE id = %(ann)s',
    ),
    "suspend a tenant": (
        "UPDATE tenant.tenants SET status = 'suspended' WHERE id = %(acme)s",
    ),
    "delete a tenant softly": (
        "UPDATE tenant.tenants SET deleted_at = now() WHERE id = %(acme)s",
    ),
    "delete a tenant, which cascades": (
        "DELETE FROM tenant.tenants WHERE id = %(acme)s",
    ),
    "make a tenant with everything in it": (
        "INSERT INTO tenant.tenants (id, slug, name) VALUES (%(stranger)s, 'new', 'New')",
        "INSERT INTO rbac.roles (id, tenant_id, name)"
        " VALUES (%(stranger)s, %(stranger)s, 'owner')",
        "INSERT INTO rbac.role_permissions SELECT %(stranger)s, id FROM rbac.permissions",
        "INSERT INTO rbac.user_roles VALUES (%(ann)s, %(stranger)s, %(stranger)s)",
    ),
    "many rows in one statement": (
        "INSERT INTO rbac.user_roles"
        " SELECT gen_random_uuid(), %(acme)s, %(admin)s FROM generate_series(1, 500)",
    ),
    "insert or update": (
        "INSERT INTO rbac.user_roles VALUES (%(ann)s, %(acme)s, %(admin)s)"
        " ON CONFLICT (user_id, tenant_id, role_id) DO UPDATE SET role_id = %(foreign)s",
    ),
    "truncate a table": ("TRUNCATE tenant.group_members",),
    "truncate everything": ('TRUNCATE tenant.tenants, "user".users CASCADE',),
    "write as a replication peer": (
        "SET LOCAL session_replication_role = replica",
        "DELETE FROM rbac.user_roles",
    ),
    "roll back to a savepoint": (
        "SAVEPOINT a",
        "DELETE FROM rbac.user_roles",
        "ROLLBACK TO a",
        "DELETE FROM tenant.group_members",
        "SAVEPOINT b",
        "INSERT INTO rbac.user_roles VALUES (%(bob)s, %(acme)s, %(admin)s)",
        "RELEASE b",
    ),
    "rewrite a table with other values": (
        "ALTER TABLE rbac.user_roles ALTER granted_by TYPE text USING 'x'",
    ),
    "fill a table anew": (
        "CREATE TABLE kept AS SELECT * FROM rbac.user_roles",
        "TRUNCATE rbac.user_roles",
        "INSERT INTO rbac.user_roles (user_id, tenant_id, role_id)"
        " SELECT %(bob)s, tenant_id, role_id FROM kept",
    ),
}
PARAMETERS = {
    "acme": uuid(ACME),
    "other": uuid(OTHER),
    "ann": uuid(ANN),
    "bob": uuid(BOB),
    "admin": uuid(ADMIN),
    "foreign": uuid(FOREIGN),
    "ops": uuid(OPS),
    "write": uuid(WRITE),
    "read": uuid(READ),
    "stranger": uuid(named("user", "stranger")),
}


@pytest.mark.parametrize("statements", WRITES.values(), ids=WRITES.keys())
def test_every_write_is_seen(
    authz: Authorizer, filled: Connection, statements: tuple[str, ...]
) -> None:
    """Whatever is written, by whichever means, the index comes to equal the tables."""
    before = described(authz)
    with filled.transaction():
        for statement in statements:
            filled.execute(statement, PARAMETERS)

    assert_follows(authz, filled)
    if "rewrite" not in statements[0] and "ALTER" not in statements[0]:
        assert before != described(authz)


BOT, AGENT = named("service", "bot"), named("agent", "agent")
ONE_KEY, CLIENT, RULE = (
    named("key", "one"),
    named("client", "one"),
    named("rule", "one"),
)
LIVE, ENDED = named("session", "live"), named("session", "ended")


def with_identities() -> Tables:
    """The small tables, and one of each that may act, ask, or keep others out."""
    tables = small_tables()
    tables.services = {BOT: Machine(ACME, ("a:b", "c:d"), "active")}
    tables.agents = {AGENT: Machine(ACME, ("a:b",), "active")}
    tables.api_keys = {ONE_KEY: ApiKey(ACME, ANN, "qk_x", "x", ("a:b",), None, False)}
    tables.revoked_sessions = {ENDED: float(int(time.time()) - 60)}
    tables.clients = {CLIENT: OidcClient(ACME, "qci_x", "x", is_public=False)}
    tables.ip_rules = {RULE: IpRule(ACME, "192.0.2.0/24", "allow", "office")}
    tables.ip_enforced = {ACME}
    return tables


@pytest.fixture
def peopled(connection: Connection) -> Connection:
    """A connection to a database with these tables and a session that lives."""
    write(with_identities(), connection)
    connection.execute(
        "INSERT INTO auth.sessions (id, user_id) VALUES (%s, %s)",
        (uuid(LIVE), uuid(ANN)),
    )
    return connection


class Naive:
    """Follows the rows of those who may act, field by field, with no index.

    What was revoked stays so.

    Attributes:
        facts: by field of `Snapshot` and `Changes`, what each id has.
    """

    FIELDS = (
        "services",
        "agents",
        "api_keys",
        "revoked_sessions",
        "clients",
        "ip_rules",
        "ip_enforced",
    )

    def __init__(self, dsn: str, session_memory: float = 7200.0) -> None:
        self.replica = Replica(0.02, session_memory)
        self.connection = connect(dsn)
        self.facts: dict[str, dict[bytes, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def poll(self) -> Update:
        """One poll, taken over."""
        update = drive(self.connection, poll(self.replica))
        if isinstance(update, Snapshot):
            self.facts = self.of(update)
        elif isinstance(update, Changes):
            for name in self.FIELDS:
                for id_, value in getattr(update, name).items():
                    if value:
                        self.facts[name][id_] = value
                    elif name != "revoked_sessions":
                        self.facts[name].pop(id_, None)
        return update

    @classmethod
    def of(cls, facts: Snapshot | Tables) -> dict[str, dict[bytes, Any]]:
        """The same fields of a snapshot or of the tables."""
        found = {name: getattr(facts, name) for name in cls.FIELDS}
        enforced = dict.fromkeys(found.pop("ip_enforced"), True)
        return {**{k: dict(v) for k, v in found.items()}, "ip_enforced": enforced}


IDENTITY_WRITES = {
    "register a service": (
        "INSERT INTO auth.service_principals (id, tenant_id, name, secret_hash, scopes)"
        " VALUES (%(stranger)s, %(acme)s, 'x', 'x', '{a:b}')",
    ),
    "disable a service": ("UPDATE auth.service_principals SET disabled_at = now()",),
    "disable a service and enable it with other scopes": (
        "UPDATE auth.service_principals SET disabled_at = now()",
        "UPDATE auth.service_principals SET disabled_at = NULL, scopes = '{x:y}'",
    ),
    "take a service's scopes": ("UPDATE auth.service_principals SET scopes = '{}'",),
    "move a service to another tenant": (
        "UPDATE auth.service_principals SET tenant_id = %(other)s",
    ),
    "give a service another id": (
        "UPDATE auth.service_principals SET id = %(stranger)s",
    ),
    "delete a service": ("DELETE FROM auth.service_principals",),
    "register an agent that is disabled": (
        "INSERT INTO auth.agents (id, tenant_id, name, secret_hash, disabled_at, status)"
        " VALUES (%(stranger)s, %(acme)s, 'x', 'x', now(), 'suspended')",
    ),
    "suspend an agent": ("UPDATE auth.agents SET status = 'suspended'",),
    "decommission an agent": ("UPDATE auth.agents SET status = 'decommissioned'",),
    "disable an agent": ("UPDATE auth.agents SET disabled_at = now()",),
    "widen an agent's scopes": ("UPDATE auth.agents SET scopes = '{a:b,c:d}'",),
    "move an agent to another tenant": (
        "UPDATE auth.agents SET tenant_id = %(other)s",
    ),
    "give an agent another id": ("UPDATE auth.agents SET id = %(stranger)s",),
    "delete an agent": ("DELETE FROM auth.agents",),
    "make an API key": (
        "INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash, expires_at)"
        " VALUES (%(acme)s, 'x', 'qk_x', 'y', now())",
    ),
    "an API key that never expires": (
        "UPDATE auth.api_keys SET expires_at = 'infinity'",
    ),
    "revoke an API key": ("UPDATE auth.api_keys SET revoked_at = now()",),
    "purge the user of an API key": ('DELETE FROM "user".users WHERE id = %(ann)s',),
    "delete an API key": ("DELETE FROM auth.api_keys",),
    "revoke a session": (
        "UPDATE auth.sessions SET revoked_at = now() WHERE id = %(live)s",
    ),
    "revoke all sessions but those that are revoked": (
        "UPDATE auth.sessions SET revoked_at = now() WHERE revoked_at IS NULL",
    ),
    "a session that begins revoked": (
        "INSERT INTO auth.sessions (user_id, revoked_at) VALUES (%(ann)s, now())",
    ),
    "give a revoked session another id": (
        "UPDATE auth.sessions SET id = %(stranger)s WHERE id = %(ended)s",
    ),
    "register a public client": (
        "INSERT INTO auth.oidc_clients (tenant_id, client_id, type, name)"
        " VALUES (%(other)s, 'qci_y', 'public', 'y')",
    ),
    "rotate a client's secret": (
        "UPDATE auth.oidc_clients SET client_secret_hash = 'y'",
    ),
    "take a client's secret": (
        "UPDATE auth.oidc_clients SET client_secret_hash = NULL, type = 'public'",
    ),
    "make a client public": ("UPDATE auth.oidc_clients SET type = 'public'",),
    "rename a client": ("UPDATE auth.oidc_clients SET client_id = 'qci_z'",),
    "move a client to another tenant": (
        "UPDATE auth.oidc_clients SET tenant_id = %(other)s",
    ),
    "give a client another id": ("UPDATE auth.oidc_clients SET id = %(stranger)s",),
    "delete a client": ("DELETE FROM auth.oidc_clients",),
    "make an IP rule": (
        "INSERT INTO tenant.ip_rules (tenant_id, cidr, action)"
        " VALUES (%(other)s, '2001:db8::/32', 'deny')",
    ),
    "turn an IP rule round": ("UPDATE tenant.ip_rules SET action = 'deny'",),
    "widen an IP rule": ("UPDATE tenant.ip_rules SET cidr = '0.0.0.0/0'",),
    "relabel an IP rule": ("UPDATE tenant.ip_rules SET label = 'Office'",),
    "move an IP rule to another tenant": (
        "UPDATE tenant.ip_rules SET tenant_id = %(other)s",
    ),
    "give an IP rule another id": ("UPDATE tenant.ip_rules SET id = %(stranger)s",),
    "delete an IP rule": ("DELETE FROM tenant.ip_rules",),
    "heed IP rules": ("INSERT INTO tenant.ip_rules_config VALUES (%(other)s, true)",),
    "heed IP rules in another tenant": (
        "UPDATE tenant.ip_rules_config SET tenant_id = %(other)s",
    ),
    "heed IP rules no more": ("UPDATE tenant.ip_rules_config SET enabled = false",),
    "forget whether to heed IP rules": ("DELETE FROM tenant.ip_rules_config",),
    "delete a tenant, which cascades": (
        "DELETE FROM tenant.tenants WHERE id = %(acme)s",
    ),
}
PARAMETERS |= {"live": uuid(LIVE), "ended": uuid(ENDED)}


@pytest.mark.parametrize(
    "statements", IDENTITY_WRITES.values(), ids=IDENTITY_WRITES.keys()
)
def test_every_identity_arrives(
    peopled: Connection, database: str, statements: tuple[str, ...]
) -> None:
    """Who may act, which sessions ended, who may ask and from where: by key, as it is."""
    kept = Naive.of(read(peopled))["revoked_sessions"]
    with Naive(database) as naive:
        naive.poll()
        before = Naive.of(read(peopled))
        assert before == naive.facts
        with peopled.transaction():
            for statement in statements:
                peopled.execute(statement, PARAMETERS)
        update = naive.poll()

        expected = Naive.of(read(peopled))
        expected["revoked_sessions"] |= kept
        assert isinstance(update, Changes)
        assert expected == naive.facts
        assert before != expected


def test_a_revocation_outlives_its_session(peopled: Connection, database: str) -> None:
    """A revoked session that is deleted tells of nothing, so that it stays revoked."""
    with Naive(database) as naive:
        naive.poll()
        peopled.execute("DELETE FROM auth.sessions")

        assert isinstance(naive.poll(), Revision)
        assert [ENDED] == list(naive.facts["revoked_sessions"])


def test_a_session_restored_is_told_of(peopled: Connection, database: str) -> None:
    """A session whose revocation is undone is one that isn't revoked."""
    with Naive(database) as naive:
        naive.poll()
        peopled.execute("UPDATE auth.sessions SET revoked_at = NULL")
        update = naive.poll()

    assert isinstance(update, Changes)
    assert {ENDED: None} == update.revoked_sessions


def test_old_revocations_are_not_loaded(peopled: Connection, database: str) -> None:
    """Only those that the memory reaches back to, the earliest first."""
    older, newer, old = (named("session", n) for n in range(3))
    for session, ago in ((newer, 100), (older, 5000), (old, 7300)):
        peopled.execute(
            "INSERT INTO auth.sessions (id, user_id, revoked_at)"
            " VALUES (%s, %s, now() - make_interval(secs => %s))",
            (uuid(session), uuid(ANN), ago),
        )
    with Naive(database) as naive, Naive(database, session_memory=1000.0) as forgetful:
        long, short = naive.poll(), forgetful.poll()

    assert isinstance(long, Snapshot)
    assert isinstance(short, Snapshot)
    assert [older, newer, ENDED] == list(long.revoked_sessions)
    assert [newer, ENDED] == list(short.revoked_sessions)
    assert (7200.0, 1000.0) == (long.session_memory, short.session_memory)


@pytest.mark.parametrize("at", ["infinity", "-infinity", "9999-12-31"])
def test_a_session_revoked_at_no_real_time(
    peopled: Connection, database: str, at: str
) -> None:
    """It counts as revoked now, by a load and by a change, so none forgets another."""

    def now() -> float:
        query = "SELECT extract(epoch FROM clock_timestamp())::float8"
        ((moment,),) = peopled.execute(query).fetchall()
        return float(moment)

    begun = now()
    with Naive(database) as naive, Naive(database) as later:
        naive.poll()
        peopled.execute(
            "UPDATE auth.sessions SET revoked_at = %s WHERE id = %s", (at, uuid(LIVE))
        )
        naive.poll()
        later.poll()

    for each in (naive, later):
        assert begun <= each.facts["revoked_sessions"][LIVE] <= now()
        assert [ENDED, LIVE] == list(each.facts["revoked_sessions"])


SCOPED = ("auth.service_principals", "auth.agents", "auth.api_keys")


@pytest.mark.parametrize("written", ["{NULL,a:b,NULL,c:d}", "{{a:b,NULL},{c:d,NULL}}"])
def test_scopes_that_are_none_are_dropped(
    peopled: Connection, database: str, written: str
) -> None:
    """An array may hold nulls, or arrays; neither stops the feed or grants anything."""
    with Naive(database) as naive, Naive(database) as later:
        naive.poll()
        for table in SCOPED:
            peopled.execute(f"UPDATE {table} SET scopes = %s", (written,))
        naive.poll()
        later.poll()

    for facts in (naive.facts, later.facts):
        assert facts["services"][BOT].scopes == ("a:b", "c:d")
        assert facts["agents"][AGENT].scopes == ("a:b", "c:d")
        assert facts["api_keys"][ONE_KEY].scopes == ("a:b", "c:d")


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("auth.api_keys", "api_keys"),
        ("auth.service_principals", "services"),
        ("auth.agents", "agents"),
        ("auth.sessions", "revoked_sessions"),
        ("auth.oidc_clients", "clients"),
        ("tenant.ip_rules", "ip_rules"),
        ("tenant.ip_rules_config", "ip_enforced"),
    ],
)
def test_truncation_is_noticed(
    peopled: Connection, database: str, table: str, name: str
) -> None:
    """What no row trigger tells of makes the feed load everything anew."""
    with Naive(database) as naive:
        naive.poll()
        assert naive.facts[name]
        peopled.execute(f"TRUNCATE {table} CASCADE")
        update = naive.poll()

        assert isinstance(update, Snapshot)
        assert not naive.facts[name]


def test_a_poll_holds_every_source(peopled: Connection, database: str) -> None:
    """Before its snapshot it locks all tables that it may read, against rewriting."""
    held = (
        "SELECT relation FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE application_name = 'qeetid-authz' AND mode = 'AccessShareLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with Naive(database) as naive:
        batch = next(poll(naive.replica))
        assert not callable(batch)
        for statement in batch:
            naive.connection.execute(*statement)
        unheld = peopled.execute(
            f"SELECT relation FROM qeetid_authz.sources WHERE relid NOT IN ({held})"
        ).fetchall()
        naive.connection.rollback()

    assert not unheld


def test_no_statement_of_a_poll_runs_for_ever(database: str) -> None:
    """The server itself ends one whose replica has gone; a session keeps its own bound."""
    with Naive(database) as naive:
        batch = next(poll(naive.replica))
        assert not callable(batch)
        for statement in batch:
            naive.connection.execute(*statement)
        within = naive.connection.execute("SHOW statement_timeout").fetchone()
        naive.connection.rollback()
        after = naive.connection.execute("SHOW statement_timeout").fetchone()

    assert (("5min",), ("0",)) == (within, after)


NOISE = {
    "a column that somebody added": "UPDATE rbac.role_permissions SET note = '{}'",
    "an API key was used": "UPDATE auth.api_keys SET last_used_at = now()",
    "a user's profile": "UPDATE \"user\".users SET display_name = 'x', updated_at = now()",
    "a permission's description": "UPDATE rbac.permissions SET description = 'x'",
    "a role's description": "UPDATE rbac.roles SET description = 'x'",
    "a tenant's plan": "UPDATE tenant.tenants SET plan = 'pro'",
    "a group's time stamp": "UPDATE tenant.groups SET updated_at = now()",
    "who granted a role": "UPDATE rbac.user_roles SET granted_by = gen_random_uuid()",
    "when a member was added": "UPDATE tenant.group_members SET added_at = now()",
    "a service's name": "UPDATE auth.service_principals SET name = name || 'y'",
    "when a disabled service was disabled": (
        "UPDATE auth.service_principals SET disabled_at = disabled_at + interval '1 day'"
    ),
    "a service's secret": "UPDATE auth.service_principals SET secret_hash = 'y'",
    "an agent's secret and its tokens' life": (
        "UPDATE auth.agents SET secret_hash = 'y', token_ttl_seconds = 60"
    ),
    "an agent's sponsor": "UPDATE auth.agents SET sponsor_user_id = %(ann)s",
    "a session begins": "INSERT INTO auth.sessions (user_id) VALUES (%(ann)s)",
    "a session was used": "UPDATE auth.sessions SET last_seen_at = now()",
    "a session was revoked before": (
        "UPDATE auth.sessions SET revoked_at = now() WHERE id = %(ended)s"
    ),
    "a session's row goes": "DELETE FROM auth.sessions",
    "refresh tokens": (
        "INSERT INTO auth.refresh_tokens (session_id, token_hash, expires_at)"
        " VALUES (%(live)s, 'x', now())"
    ),
    "a client's name": "UPDATE auth.oidc_clients SET name = 'y', scopes = '{y}'",
    "when an IP rule was made": "UPDATE tenant.ip_rules SET created_at = now()",
    "when IP rules were heeded": (
        "UPDATE tenant.ip_rules_config SET updated_at = now(), enabled = true"
    ),
    "an update to the same value": "UPDATE rbac.group_roles SET role_id = role_id",
}


@pytest.mark.parametrize("statement", NOISE.values(), ids=NOISE.keys())
def test_noise_leaves_no_log_row(peopled: Connection, statement: str) -> None:
    """Writes that decide nothing are not logged."""
    peopled.execute("ALTER TABLE rbac.role_permissions ADD note json")
    peopled.execute(
        "INSERT INTO auth.service_principals (tenant_id, name, secret_hash, disabled_at)"
        " VALUES (%(acme)s, 'off', 'x', now())",
        PARAMETERS,
    )
    logged = "SELECT count(*) FROM qeetid_authz.change_log"
    before = peopled.execute(logged).fetchone()

    changed = peopled.execute(statement, PARAMETERS).rowcount

    assert changed > 0
    assert before == peopled.execute(logged).fetchone()


def test_polls_say_what_they_found(filled: Connection, database: str) -> None:
    """First everything, then mere revisions, then changes by key."""
    driven = HandDriven(database, Engine())
    try:
        assert isinstance(driven.poll(), Snapshot)
        assert isinstance(driven.poll(), Revision)
        filled.execute("DELETE FROM rbac.user_roles")
        update = driven.poll()
        assert isinstance(update, Changes)
        assert {(ACME, ANN, ADMIN): False} == update.user_roles
    finally:
        driven.close()


def test_commits_out_of_order_are_seen(filled: Connection, database: str) -> None:
    """A transaction that began first and commits last isn't skipped."""
    driven = HandDriven(database, Engine())
    early, late = psycopg.connect(database), psycopg.connect(database)
    try:
        early.execute("DELETE FROM rbac.user_roles")
        driven.poll()
        late.execute("DELETE FROM tenant.group_members")
        late.commit()
        found_late = driven.poll()
        early.commit()
        found_early = driven.poll()
    finally:
        driven.close()
        early.close()
        late.close()

    assert isinstance(found_late, Changes)
    assert [(ACME, BOB, OPS)] == list(found_late.group_members)
    assert not found_late.user_roles
    assert isinstance(found_early, Changes)
    assert [(ACME, ANN, ADMIN)] == list(found_early.user_roles)
    assert not found_early.group_members


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 4_321])
def test_many_keys_in_one_transaction_are_read_piece_by_piece(
    filled: Connection, database: str, count: int
) -> None:
    """However many keys a transaction touched, all that it did is seen at once."""
    driven = HandDriven(database, Engine())
    try:
        driven.poll()
        filled.execute(
            "WITH who AS (SELECT gen_random_uuid() AS id"
            f" FROM generate_series(1, {count})),"
            " direct AS (INSERT INTO rbac.user_roles"
            " SELECT id, %(acme)s, %(admin)s FROM who)"
            " INSERT INTO tenant.group_members SELECT %(ops)s, id, %(acme)s FROM who",
            PARAMETERS,
        )
        update = driven.poll()
    finally:
        driven.close()

    assert isinstance(update, Changes)
    assert count == len(update.user_roles) == len(update.group_members)
    assert all(update.user_roles.values())
    assert all(update.group_members.values())


@pytest.mark.parametrize("tenants", [99, 100, 101, 250])
def test_members_of_many_tenants_are_loaded_piece_by_piece(
    filled: Connection, database: str, tenants: int
) -> None:
    """However many tenants have members, all of them are loaded."""
    filled.execute(
        "WITH made AS (INSERT INTO tenant.tenants (id, slug, name)"
        " SELECT gen_random_uuid(), 'many' || n, 'Many'"
        f" FROM generate_series(2, {tenants}) AS n RETURNING id)"
        " INSERT INTO tenant.group_members SELECT %(ops)s, gen_random_uuid(), id FROM made",
        PARAMETERS,
    )
    with Authorizer.open(database, semantics="mirror") as authz:
        assert_follows(authz, filled)
        index = authz._require_index()
        assert tenants == sum(len(each.rows) > 0 for each in index.tenants.values())


def test_a_big_backlog_is_loaded_anew(
    filled: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When too many keys changed, everything is read instead, with the same result."""
    monkeypatch.setattr("qeetid_authz.postgres.feed.BACKLOG_LIMIT", 50)
    with Authorizer.open(database) as authz:
        filled.execute(
            "INSERT INTO rbac.user_roles SELECT gen_random_uuid(), %(acme)s, %(admin)s"
            " FROM generate_series(1, 51)",
            PARAMETERS,
        )

        assert_follows(authz, filled)
        assert authz.replica.resyncs.get("backlog") == 1


def test_a_pruned_log_is_loaded_anew(filled: Connection, database: str) -> None:
    """A replica that lagged behind a pruning misses nothing."""
    driven = HandDriven(database, Engine())
    try:
        driven.poll()
        filled.execute("DELETE FROM rbac.user_roles")
        pruned = filled.execute("SELECT qeetid_authz.prune('0')").fetchone()
        update = driven.poll()
    finally:
        driven.close()

    assert pruned is not None
    assert pruned[0] > 0
    assert isinstance(update, Snapshot)
    assert {"start": 1, "pruned": 1} == driven.replica.resyncs


def test_pruning_keeps_what_is_young(filled: Connection) -> None:
    """Changes younger than the age given stay."""
    pruned = filled.execute("SELECT qeetid_authz.prune('1 hour')").fetchone()

    assert (0,) == pruned


def test_a_trigger_that_was_off_for_a_moment_is_noticed(
    filled: Connection, database: str
) -> None:
    """A write while a trigger was disabled is found, though the log lacks it."""
    driven = HandDriven(database, Engine())
    try:
        driven.poll()
        filled.execute("ALTER TABLE rbac.user_roles DISABLE TRIGGER qeetid_authz_rows")
        filled.execute("DELETE FROM rbac.user_roles")
        filled.execute(
            "ALTER TABLE rbac.user_roles ENABLE ALWAYS TRIGGER qeetid_authz_rows"
        )
        update = driven.poll()
    finally:
        driven.close()

    assert isinstance(update, Snapshot)
    assert not update.user_roles


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE rbac.roles DISABLE TRIGGER qeetid_authz_rows",
        "ALTER TABLE rbac.roles ENABLE TRIGGER qeetid_authz_updates",
        'DROP TRIGGER qeetid_authz_rows ON "user".users',
        "ALTER TABLE auth.sessions DISABLE TRIGGER qeetid_authz_updates",
    ],
)
def test_a_disarmed_feed_fails_closed_and_heals(
    filled: Connection, database: str, damage: str
) -> None:
    """Without its triggers nothing is allowed; after `migrate` all is well again."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    with Authorizer.open(database) as authz:
        assert authz.can(ann, "billing:write")

        filled.execute(damage)
        eventually(lambda: not authz.can(ann, "billing:write"))

        assert authz.check(ann, "billing:write").reason == "stale"
        assert isinstance(authz.last_error, DisarmedError)
        migrate(database)
        eventually(lambda: authz.can(ann, "billing:write"))


def test_a_schema_taken_out_fails_closed(filled: Connection, database: str) -> None:
    """When our schema goes away while a replica follows, it denies everything."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    with Authorizer.open(database) as authz:
        remove(database)
        eventually(lambda: not authz.can(ann, "billing:write"))

        assert isinstance(authz.last_error, NotMigratedError)


def test_a_table_taken_away_fails_closed(filled: Connection, database: str) -> None:
    """When a table goes away while a replica follows, it denies everything."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    with Authorizer.open(database) as authz:
        filled.execute("DROP TABLE rbac.user_roles")
        eventually(lambda: not authz.can(ann, "billing:write"))

        assert isinstance(authz.last_error, SchemaError)


def test_a_feed_that_fails_unforeseen_starts_over(
    filled: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect while changes are applied denies everything until all is loaded anew."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))

    def defect(*_: object) -> None:
        monkeypatch.undo()
        raise KeyError("a defect")

    with Authorizer.open(database) as authz:
        monkeypatch.setattr("qeetid_authz.engine.published.apply_changes", defect)
        filled.execute("DELETE FROM tenant.group_members")

        assert_follows(authz, filled)
        eventually(lambda: authz.can(ann, "billing:write"))
        assert {"start": 2} == authz.replica.resyncs


def test_orphans_do_not_stop_the_feed(authz: Authorizer, filled: Connection) -> None:
    """Rows left behind where foreign keys were off are followed like any others."""
    with filled.transaction():
        filled.execute("SET LOCAL session_replication_role = replica")
        filled.execute("DELETE FROM tenant.tenants")
        filled.execute("DELETE FROM rbac.permissions WHERE id = %(write)s", PARAMETERS)
        filled.execute("DELETE FROM tenant.groups")
    assert_follows(authz, filled)

    with filled.transaction():
        filled.execute("SET LOCAL session_replication_role = replica")
        filled.execute("DELETE FROM rbac.roles")
    assert_follows(authz, filled)

    filled.execute("TRUNCATE rbac.permissions CASCADE")
    assert_follows(authz, filled)


def test_a_lost_connection_is_made_again(filled: Connection, database: str) -> None:
    """A replica whose connection was cut resumes where it was, without loading."""
    with Authorizer.open(database) as authz:
        filled.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'qeetid-authz' AND pid <> pg_backend_pid()"
        )
        filled.execute("DELETE FROM rbac.user_roles")

        assert_follows(authz, filled)
        assert {"start": 1} == authz.replica.resyncs


def test_past_its_bound_everything_is_stale(filled: Connection, database: str) -> None:
    """An authorizer that hears nothing any more denies, and says why."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    with Authorizer.open(database, max_staleness=0.3) as authz:
        assert authz.can(ann, "billing:write")
        blocker = psycopg.connect(database)
        try:
            blocker.execute(
                "LOCK TABLE qeetid_authz.change_log IN ACCESS EXCLUSIVE MODE"
            )
            eventually(lambda: not authz.can(ann, "billing:write"))
            decision = authz.check(ann, "billing:write")
        finally:
            blocker.close()

        assert decision.reason == "stale"
        assert decision.age > 0.3
        assert authz.explain(ann, "billing:write").reason == "stale"
        assert not authz.effective_permissions(ann)
        assert not list(authz.who_can(str(uuid(ACME)), "billing:write"))
        eventually(lambda: authz.can(ann, "billing:write"))


def test_use_before_opening_and_after_closing(database: str) -> None:
    """An authorizer that isn't open says so, and how to open it."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    authz = Authorizer(database)
    with pytest.raises(NotOpenError, match=r"Authorizer\.open"):
        authz.can(ann, "billing:write")

    with authz:
        assert not authz.can(ann, "billing:write")

    authz.close()
    with pytest.raises(NotOpenError, match="closed"):
        authz.can(ann, "billing:write")
    with pytest.raises(NotOpenError, match="once"):
        authz.__enter__()


def test_closing_leaves_no_thread(database: str) -> None:
    """The feed's thread is gone when `close` returns."""
    with Authorizer.open(database):
        assert "qeetid-authz-feed" in {t.name for t in threading.enumerate()}

    assert "qeetid-authz-feed" not in {t.name for t in threading.enumerate()}


async def test_the_asynchronous_form_follows(filled: Connection, database: str) -> None:
    """The asyncio form answers without awaiting, and follows on the running loop."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    async with await AsyncAuthorizer.open(database) as authz:
        assert authz.can(ann, "billing:write")

        filled.execute("DELETE FROM rbac.user_roles")
        async with asyncio.timeout(20):
            while authz.can(ann, "billing:write"):
                await asyncio.sleep(0.005)

        assert authz.check(ann, "billing:write").reason == "no_grant"
    with pytest.raises(NotOpenError):
        authz.can(ann, "billing:write")


async def test_the_asynchronous_form_reconnects(
    filled: Connection, database: str
) -> None:
    """A cut connection is made again by the asyncio form as well."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    async with AsyncAuthorizer(database) as authz:
        filled.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'qeetid-authz' AND pid <> pg_backend_pid()"
        )
        filled.execute("DELETE FROM rbac.user_roles")
        async with asyncio.timeout(20):
            while authz.can(ann, "billing:write"):
                await asyncio.sleep(0.005)

        assert {"start": 1} == authz.replica.resyncs


@pytest.mark.parametrize(
    ("dsn", "error", "says"),
    [
        ("postgresql://x@127.0.0.1:1/nowhere", UnreachableError, "127.0.0.1:1"),
        ("postgresql://x@no-such-host.invalid/q", UnreachableError, "no-such-host"),
        ("not a dsn", DatabaseError, "can't be read"),
        ("postgresql://u:secret@127.0.0.1:1/q", UnreachableError, "doesn't answer"),
    ],
)
def test_a_dsn_that_leads_nowhere(
    dsn: str, error: type[DatabaseError], says: str
) -> None:
    """Opening over a bad DSN says what is wrong, and no password."""
    with pytest.raises(error, match=says) as caught:
        Authorizer.open(dsn)

    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_qeet_ids(empty_database: str) -> None:
    """Opening over another database names what is missing."""
    with pytest.raises(SchemaError, match=r"rbac\.permissions|schema"):
        Authorizer.open(empty_database)


def test_a_database_that_is_not_migrated(filled: Connection, database: str) -> None:
    """Opening over a Qeet ID database without our schema names the remedy."""
    remove(database)

    with pytest.raises(NotMigratedError, match="qeetid-authz migrate"):
        Authorizer.open(database)


def test_a_schema_of_another_version(filled: Connection, database: str) -> None:
    """A schema that another release installed is refused with both versions."""
    filled.execute("UPDATE qeetid_authz.meta SET version = 99")

    with pytest.raises(NotMigratedError, match="99"):
        Authorizer.open(database)


@pytest.mark.parametrize(
    "bad", [{"max_staleness": 0}, {"poll_interval": -1}, {"poll_interval": 31}]
)
def test_settings_that_make_no_sense(database: str, bad: dict[str, float]) -> None:
    """Bounds that would never answer are refused by the constructor."""
    with pytest.raises(ValueError, match="more than 0 seconds and less"):
        Authorizer(database, **bad)  # type: ignore[arg-type]


def test_a_dsn_must_be_text() -> None:
    """Anything but text is refused by the constructor."""
    with pytest.raises(TypeError, match="DSN"):
        Authorizer(None)  # type: ignore[arg-type]


def test_a_crashed_server_is_loaded_anew() -> None:
    """After a crash transaction ids mean something else: everything is read again."""
    with Cluster() as cluster:
        dsn = cluster.dsn()
        migrate(dsn, bootstrap=True)
        with psycopg.connect(dsn, autocommit=True) as connection:
            write(small_tables(), connection)
        with Authorizer.open(dsn) as authz:
            with psycopg.connect(dsn) as victim:
                os.kill(victim.info.backend_pid, signal.SIGKILL)
            eventually(lambda: authz.replica.resyncs.get("incarnation") == 1)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("DELETE FROM rbac.user_roles")

                assert_follows(authz, connection)


def test_another_past_is_distrusted_before_all_is_loaded(
    filled: Connection, database: str
) -> None:
    """What a crash may have forgotten is not answered while the rest is loaded."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    authz = Authorizer(database)
    following = follow(authz.replica, authz, time.monotonic, lambda: 0.0)
    with connect(database) as connection:
        authz.publish(drive(connection, poll(authz.replica)), time.monotonic())
        known = authz.replica.cursor
        assert known is not None
        former = replace(known.revision, incarnation="a former life")
        authz.replica.cursor = replace(known, revision=former)
        next(following)
        asked = following.send(None)
        assert isinstance(asked, Ask)
        step = next(asked.steps)
        answers = [authz.can(ann, "billing:write")]
        assert not callable(step)
        asked.steps.send(_run(connection, step))  # the probe; what loads comes next
        answers.append(authz.can(ann, "billing:write"))
    authz.close()

    assert [True, False] == answers


def test_a_log_cut_short_is_loaded_anew(filled: Connection, database: str) -> None:
    """Who truncates the change log loses no revocation."""
    driven = HandDriven(database, Engine())
    try:
        driven.poll()
        filled.execute("DELETE FROM rbac.user_roles")
        filled.execute("TRUNCATE qeetid_authz.change_log")
        update = driven.poll()
    finally:
        driven.close()

    assert isinstance(update, Snapshot)
    assert not update.user_roles


LOOKS = {
    "a look": (False, "read committed"),
    "a look in one snapshot": (False, "repeatable read"),
    "a reading poll": (True, "read committed"),
}


@pytest.mark.parametrize("how", LOOKS)
def test_a_log_cut_short_while_a_poll_waits(
    filled: Connection, database: str, how: str
) -> None:
    """No poll takes a log that was emptied under its hands for one without news."""
    is_busy, isolation = LOOKS[how]
    driven = HandDriven(database, Engine())
    driven.connection.execute(f"SET default_transaction_isolation = '{isolation}'")
    driven.poll()
    driven.replica.is_busy = is_busy
    with ThreadPoolExecutor(1) as thread, psycopg.connect(database) as other:
        other.execute("DELETE FROM rbac.user_roles")
        other.execute("TRUNCATE qeetid_authz.change_log")
        polled = thread.submit(driven.poll)
        eventually(lambda: _waits_for_the_log(filled))
        other.commit()
        update = polled.result()
    driven.close()

    assert isinstance(update, Snapshot)
    assert not update.user_roles


def _waits_for_the_log(connection: Connection) -> bool:
    waiting = connection.execute(
        "SELECT FROM pg_locks WHERE NOT granted"
        " AND relation = 'qeetid_authz.change_log'::regclass"
    )
    return bool(waiting.fetchall())


def test_a_quiet_poll_is_one_statement(filled: Connection, database: str) -> None:
    """Where nothing has happened that is told at once, and what happens is told too."""
    driven = HandDriven(database, Engine())
    loaded = driven.poll()
    assert isinstance(loaded, Snapshot)
    driven.replica.is_busy = False
    steps = poll(driven.replica)
    batch = next(steps)
    assert not callable(batch)
    ((query, parameters),) = batch
    rows = driven.connection.cursor(binary=True).execute(query, parameters).fetchall()
    with pytest.raises(StopIteration) as stopped:
        steps.send([rows])
    assert stopped.value.value == loaded.revision

    filled.execute("DELETE FROM rbac.user_roles")
    assert isinstance(driven.poll(), Changes)
    driven.close()


def test_a_look_reads_nothing_of_an_old_log(filled: Connection) -> None:
    """Its cost doesn't grow with what has been logged."""
    filled.execute(
        "INSERT INTO qeetid_authz.change_log (entity, subject)"
        " SELECT 'user', gen_random_uuid() FROM generate_series(1, 20000)"
    )
    for times in range(8):  # from some on with a plan that was made for any snapshot
        with filled.transaction():
            filled.execute(
                "SELECT FROM qeetid_authz.look(pg_snapshot_xmax(pg_current_snapshot()),"
                " ARRAY['3', pg_snapshot_xmax(pg_current_snapshot())::text]::xid8[])"
            )
            ((read_rows,),) = filled.execute(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
                " WHERE relid = 'qeetid_authz.change_log'::regclass"
            ).fetchall()
        assert read_rows == 0, times


def test_a_table_that_inherits_disarms(filled: Connection, database: str) -> None:
    """Rows of an inheriting table would be read but not logged: it is refused."""
    filled.execute("CREATE TABLE kid () INHERITS (rbac.user_roles)")

    with pytest.raises(DisarmedError, match=r"kid inherits rbac\.user_roles"):
        Authorizer.open(database)


def test_a_restored_dump_is_followed_after_migrating(
    filled: Connection, database: str
) -> None:
    """A log and a floor of a server that was further on are set right by `migrate`."""
    filled.execute("UPDATE qeetid_authz.meta SET floor = '99999999999'")
    filled.execute(
        "INSERT INTO qeetid_authz.change_log (xid, entity, subject)"
        " VALUES ('99999999998', 'user', gen_random_uuid())"
    )
    with Authorizer.open(database) as authz:
        eventually(lambda: authz.replica.resyncs.get("pruned", 0) >= 2)
        filled.execute("DELETE FROM rbac.user_roles")
        assert_follows(authz, filled)

        migrate(database)
        eventually(lambda: authz.replica.last_cause is None)
        filled.execute("DELETE FROM tenant.group_members")
        assert_follows(authz, filled)

    assert filled.execute("SELECT floor::text FROM qeetid_authz.meta").fetchone() == (
        "0",
    )


def test_pruning_bothers_nobody_who_is_current(
    filled: Connection, database: str
) -> None:
    """A replica that has seen what is pruned goes on without loading anything."""
    driven = HandDriven(database, Engine())
    filled.execute("UPDATE qeetid_authz.change_log SET at = at - interval '2 days'")
    try:
        driven.poll()
        filled.execute("SELECT qeetid_authz.prune()")
        update = driven.poll()
    finally:
        driven.close()

    assert isinstance(update, Revision)
    logged = filled.execute("SELECT count(*) FROM qeetid_authz.change_log").fetchone()
    assert logged == (0,)


def test_a_forked_child_has_to_open_its_own(filled: Connection, database: str) -> None:
    """What was opened before a fork says so in the child, instead of growing old."""
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    with Authorizer.open(database) as authz:
        assert authz.can(ann, "billing:write")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # we have threads
            child = os.fork()
        if child == 0:
            try:
                authz.can(ann, "billing:write")
            except NotOpenError:
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert authz.can(ann, "billing:write")


def test_closing_does_not_wait_for_a_frozen_server(
    filled: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`close` returns although the server never answers the poll under way."""
    monkeypatch.setattr("qeetid_authz.authorizer.PATIENCE", 0.2)
    authz = Authorizer.open(database)
    ((pid,),) = filled.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'qeetid-authz'"
        " AND datname = current_database()"
    ).fetchall()
    try:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)  # so that a poll is under way
        authz.close()
        assert not authz.is_loaded
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(
        lambda: "qeetid-authz-feed" not in {t.name for t in threading.enumerate()}
    )


async def test_the_asynchronous_form_leaves_no_connection(
    filled: Connection, database: str
) -> None:
    """Closing at once lets go of the connection."""
    authz = await AsyncAuthorizer.open(database)
    await authz.aclose()
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'qeetid-authz'"
        " AND datname = current_database()"
    )

    eventually(lambda: filled.execute(query).fetchone() == (0,))


async def test_the_asynchronous_form_closes_without_waiting(
    filled: Connection, database: str
) -> None:
    """`close` stops the feed as well, as soon as the loop runs."""
    authz = await AsyncAuthorizer.open(database)
    authz.close()
    async with asyncio.timeout(20):
        while any(t.get_name() == "qeetid-authz-feed" for t in asyncio.all_tasks()):
            await asyncio.sleep(0.005)

    with pytest.raises(NotOpenError):
        authz.can(Principal.user(str(uuid(ANN)), str(uuid(ACME))), "billing:write")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_any_client_encoding_will_do(
    filled: Connection, database: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the DSN nor the environment can make the feed misread texts."""
    filled.execute("UPDATE rbac.roles SET name = 'płatności' WHERE name = 'admin'")
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    ann = Principal.user(str(uuid(ANN)), str(uuid(ACME)))
    with Authorizer.open(f"{database}?client_encoding={encoding}") as authz:
        (path,) = authz.explain(ann, "billing:write").paths

    assert path.role == "płatności"
