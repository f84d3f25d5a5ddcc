"""The change feed against a real server: every write is seen, noise leaves no trace."""

import asyncio
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any
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
from qeetid_authz.model import Changes, Owned, Snapshot
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.migrate import migrate, remove
from qeetid_authz.revision import Revision
from tests.integration.following import (
    HandDriven,
    assert_follows,
    described,
    eventually,
)
from tests.tables import Tables, named, write

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
    "an update to the same value": "UPDATE rbac.group_roles SET role_id = role_id",
}


@pytest.mark.parametrize("statement", NOISE.values(), ids=NOISE.keys())
def test_noise_leaves_no_log_row(filled: Connection, statement: str) -> None:
    """Writes that decide nothing are not logged."""
    filled.execute("ALTER TABLE rbac.role_permissions ADD note json")
    filled.execute(
        "INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash)"
        " VALUES (%(acme)s, 'k', 'qk_x', 'h')",
        PARAMETERS,
    )
    logged = "SELECT count(*) FROM qeetid_authz.change_log"
    before = filled.execute(logged).fetchone()

    changed = filled.execute(statement).rowcount

    assert changed > 0
    assert before == filled.execute(logged).fetchone()


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
        monkeypatch.setattr("qeetid_authz.published.apply_changes", defect)
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
            blocker.execute("LOCK TABLE rbac.roles IN ACCESS EXCLUSIVE MODE")
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
    monkeypatch.setattr("qeetid_authz.authorizer._PATIENCE", 0.2)
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
