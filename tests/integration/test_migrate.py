"""Migrations on every Postgres at hand: all or nothing, and out without a trace."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qeetid_authz import AsyncAuthorizer, Authorizer
from qeetid_authz.errors import (
    AuthzError,
    DatabaseError,
    MigrationBusyError,
    NotMigratedError,
    SchemaError,
)
from qeetid_authz.postgres import migrate as migrations
from qeetid_authz.postgres.embedded import Cluster, Server
from qeetid_authz.postgres.migrate import Status, migrate, remove, status
from qeetid_authz.postgres.queries import script
from qeetid_authz.replica import SCHEMA_VERSION
from tests.fixtures.postgres import new_database
from tests.integration.servers import (
    BINARIES,
    CATALOGUE,
    ROLES,
    TABLES,
    fingerprint,
    qeet_id_database,
    rows,
    run,
    version_of,
    without_roles,
)

READY = Status(
    version=SCHEMA_VERSION, latest=SCHEMA_VERSION, disarmed=(), differences=()
)


@pytest.fixture(scope="module", params=BINARIES, ids=version_of)
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server of this module's own."""
    with Cluster(binaries=request.param) as cluster:
        yield cluster


@pytest.fixture
def server(running: Cluster) -> Iterator[Server]:
    """A server on which nothing was ever migrated."""
    with without_roles(running) as untouched:
        yield untouched


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    """The DSN of an empty database."""
    with new_database(server) as name:
        yield server.dsn(name)


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    """The DSN of a Qeet ID database that isn't migrated."""
    with qeet_id_database(server) as made:
        yield made


def versions(dsn: str) -> dict[str, set[tuple[Any, ...]]]:
    """Every version of every row that a migration might write."""
    tables = ("pg_trigger", "pg_proc", "pg_class", "pg_namespace", "pg_authid")
    found = {t: set(rows(dsn, f"SELECT oid, xmin::text FROM {t}")) for t in tables}
    meta = rows(dsn, "SELECT version, xmin::text FROM qeetid_authz.meta")
    return found | {"meta": set(meta)}


def attempt(dsn: str, barrier: Barrier) -> Status | AuthzError:
    """A migration that starts when all do, and what came of it."""
    barrier.wait()
    try:
        return migrate(dsn)
    except AuthzError as error:
        return error


def test_an_empty_database_is_refused(empty: str) -> None:
    """Without `bootstrap`, each table that isn't there is named, and the remedy."""
    before = fingerprint(empty)

    with pytest.raises(SchemaError) as caught:
        migrate(empty)

    *missing, remedy = caught.value.problems
    assert missing == [f"table {t} is missing" for t in TABLES]
    assert "migrate --bootstrap" in remedy
    assert before == fingerprint(empty)


def test_an_empty_database_is_bootstrapped(empty: str) -> None:
    """With `bootstrap` it gets Qeet ID's tables and our schema."""
    assert migrate(empty, bootstrap=True) == READY
    assert status(empty) == READY
    assert READY.is_ready


def test_a_qeet_id_database_is_migrated(dsn: str) -> None:
    """Its tables stay as they are, and every change to them is logged from then on."""
    assert migrate(dsn, bootstrap=True) == READY

    run(dsn, "INSERT INTO rbac.permissions (key) VALUES ('billing:write')")
    logged = rows(dsn, "SELECT entity FROM qeetid_authz.change_log")
    assert logged == [("permission",)]


def test_extra_tables_and_columns_are_fine(dsn: str) -> None:
    """What we don't read may be there, and stays."""
    run(
        dsn,
        "CREATE TABLE auth.login_sessions (token_hash text PRIMARY KEY)",
        "ALTER TABLE rbac.roles ADD color text, ADD rank integer",
        "CREATE SCHEMA audit",
    )

    assert migrate(dsn) == READY
    assert rows(dsn, "SELECT color, rank FROM rbac.roles") == []


def test_every_difference_is_named_at_once(dsn: str) -> None:
    """Missing tables, missing columns and other types come in one error."""
    run(
        dsn,
        "DROP TABLE rbac.group_roles",
        "ALTER TABLE rbac.roles DROP tenant_id",
        "ALTER TABLE rbac.permissions ALTER key TYPE varchar(64)",
        "ALTER TABLE auth.api_keys DROP scopes, ADD scopes jsonb",
        "ALTER TABLE auth.oidc_refresh_tokens DROP used_at",
        "ALTER TABLE tenant.ip_rules ALTER cidr TYPE cidr USING cidr::cidr",
    )
    before = fingerprint(dsn)

    with pytest.raises(SchemaError) as caught:
        migrate(dsn, bootstrap=True)

    assert caught.value.problems == (
        "table rbac.group_roles is missing",
        "column auth.api_keys.scopes is jsonb, not text[]",
        "column auth.oidc_refresh_tokens.used_at is missing",
        "column rbac.permissions.key is character varying(64), not text",
        "column rbac.roles.tenant_id is missing",
        "column tenant.ip_rules.cidr is cidr, not text",
    )
    assert status(dsn).differences == caught.value.problems
    assert before == fingerprint(dsn)


@pytest.mark.parametrize(
    "instead",
    [
        "CREATE VIEW rbac.group_roles AS SELECT * FROM kept",
        "CREATE TABLE rbac.group_roles (LIKE kept) PARTITION BY LIST (tenant_id)",
    ],
    ids=["view", "partitioned"],
)
def test_a_table_of_another_kind_is_refused(dsn: str, instead: str) -> None:
    """Where changes could go unseen, nothing is installed."""
    run(
        dsn,
        "ALTER TABLE rbac.group_roles SET SCHEMA public",
        "ALTER TABLE group_roles RENAME TO kept",
        instead,
    )

    with pytest.raises(SchemaError, match=r"rbac\.group_roles is no ordinary table"):
        migrate(dsn)


def test_migrating_again_changes_nothing(dsn: str) -> None:
    """No row of the catalogues is written a second time."""
    migrate(dsn)
    before = versions(dsn)

    assert migrate(dsn, bootstrap=True) == READY
    assert before == versions(dsn)


REMAKE = (
    "ALTER TABLE rbac.user_roles RENAME TO old_user_roles",
    "CREATE TABLE rbac.user_roles (LIKE rbac.old_user_roles INCLUDING ALL)",
)
BOTH = ("rbac.user_roles qeetid_authz_rows", "rbac.user_roles qeetid_authz_updates")


@pytest.mark.parametrize(
    ("damage", "disarmed"),
    [
        (["DROP TRIGGER qeetid_authz_rows ON rbac.user_roles"], BOTH[:1]),
        (["ALTER TABLE rbac.user_roles DISABLE TRIGGER ALL"], BOTH),
        (
            ["ALTER TABLE rbac.user_roles ENABLE TRIGGER qeetid_authz_updates"],
            BOTH[1:],
        ),
        (
            ["ALTER TABLE rbac.user_roles ENABLE REPLICA TRIGGER qeetid_authz_rows"],
            BOTH[:1],
        ),
        (REMAKE, BOTH),
    ],
    ids=["dropped", "disabled", "not always", "for replicas", "table made anew"],
)
def test_migrating_again_repairs(
    dsn: str, damage: list[str], disarmed: tuple[str, ...]
) -> None:
    """A trigger that was dropped or disabled is named, and put in place again."""
    migrate(dsn)
    run(dsn, *damage)
    assert status(dsn) == Status(SCHEMA_VERSION, SCHEMA_VERSION, disarmed, ())
    assert not status(dsn).is_ready

    assert migrate(dsn) == READY

    run(
        dsn,
        "SET session_replication_role = replica",
        "INSERT INTO rbac.user_roles"
        " VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid())",
        "UPDATE rbac.user_roles SET user_id = gen_random_uuid()",
    )
    logged = rows(dsn, "SELECT entity FROM qeetid_authz.change_log")
    assert logged == [("user_role",)] * 3
    readable = "has_table_privilege('qeetid_authz_reader', 'rbac.user_roles', 'SELECT')"
    assert rows(dsn, f"SELECT {readable}") == [(True,)]


def test_status_of_each_state(server: Server, empty: str, dsn: str) -> None:
    """What is installed is told, whatever the database is, and nothing is changed."""
    bare = status(empty)
    assert (bare.version, bare.disarmed, bare.is_ready) == (None, (), False)
    assert len(bare.differences) == len(TABLES)
    assert status(dsn) == Status(None, SCHEMA_VERSION, (), ())

    migrate(dsn)
    run(dsn, "ALTER TABLE rbac.roles ALTER description TYPE varchar")
    drifted = status(dsn)
    assert drifted.version == SCHEMA_VERSION
    assert drifted.differences == (
        "column rbac.roles.description is character varying, not text",
    )

    run(
        dsn,
        "ALTER TABLE rbac.roles ALTER description TYPE text",
        f"UPDATE qeetid_authz.meta SET version = {SCHEMA_VERSION + 1}",
    )
    assert status(dsn) == Status(SCHEMA_VERSION + 1, SCHEMA_VERSION, (), ())
    assert not status(dsn).is_ready


def test_a_table_lost_after_migrating_is_told(dsn: str) -> None:
    """A table that is gone counts as missing, not as something to repair."""
    migrate(dsn)
    run(dsn, "DROP TABLE rbac.user_roles")

    assert status(dsn) == Status(
        SCHEMA_VERSION, SCHEMA_VERSION, BOTH, ("table rbac.user_roles is missing",)
    )
    with pytest.raises(SchemaError, match=r"rbac\.user_roles"):
        migrate(dsn)


def test_a_later_version_is_refused(dsn: str) -> None:
    """A schema that a later release installed is left alone."""
    migrate(dsn)
    run(dsn, f"UPDATE qeetid_authz.meta SET version = {SCHEMA_VERSION + 1}")
    before = versions(dsn)

    with pytest.raises(
        DatabaseError, match=rf"version {SCHEMA_VERSION + 1}.*upgrade qeetid-authz"
    ):
        migrate(dsn)

    assert before == versions(dsn)


FIRST = (
    "INSERT INTO tenant.tenants (slug, name) VALUES ('acme', 'Acme')",
    "INSERT INTO qeetid_authz.change_log (entity, subject)"
    " SELECT 'tenant', id FROM tenant.tenants",
    "UPDATE qeetid_authz.meta SET floor = '3'",
)
"""What a database of the first version held."""

KEPT = "SELECT seq, xid::text, at, entity, subject FROM qeetid_authz.change_log"


def test_the_first_version_is_brought_up_to_date(dsn: str) -> None:
    """Log and floor stay, and what the second version adds is logged from then on."""
    run(dsn, script("migrations/0001"), *FIRST)
    assert status(dsn).version == 1
    assert not status(dsn).is_ready
    kept = rows(dsn, KEPT)

    assert migrate(dsn) == READY

    assert len(kept) == 1
    assert kept == rows(dsn, KEPT)
    assert rows(dsn, "SELECT floor::text FROM qeetid_authz.meta") == [("3",)]
    run(
        dsn,
        "INSERT INTO auth.service_principals (tenant_id, name, secret_hash)"
        " SELECT id, 'bot', 'x' FROM tenant.tenants",
        "INSERT INTO tenant.ip_rules_config (tenant_id) SELECT id FROM tenant.tenants",
    )
    added = [entity for _, _, _, entity, _ in rows(dsn, KEPT)[1:]]
    assert added == ["service", "ip_config"]


def test_an_upgrade_ends_where_an_installation_does(server: Server, dsn: str) -> None:
    """Each thing of our schema has the same owner and rights, by either way."""
    rights = (
        "SELECT relname, relowner::regrole::text, relacl::text FROM pg_class"
        " WHERE relnamespace = 'qeetid_authz'::regnamespace",
        "SELECT proname, proowner::regrole::text, proacl::text, prosrc FROM pg_proc"
        " WHERE pronamespace = 'qeetid_authz'::regnamespace",
        "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger"
        " WHERE tgname ~ '^qeetid_authz'",
        "SELECT pg_get_viewdef('qeetid_authz.sources')",
    )
    run(dsn, script("migrations/0001"))
    migrate(dsn)
    with qeet_id_database(server) as other:
        migrate(other)
        for query in rights:
            upgraded = sorted(rows(dsn, query))

            assert upgraded
            assert upgraded == sorted(rows(other, query))
    for query in rights[:2]:
        assert {owner for _, owner, *_ in rows(dsn, query)} == {"qeetid_authz_owner"}


def test_removing_an_upgraded_schema_leaves_no_trace(dsn: str) -> None:
    """What either step put in is taken out."""
    before = fingerprint(dsn)
    run(dsn, script("migrations/0001"))
    migrate(dsn)

    remove(dsn)

    assert before == fingerprint(dsn)


def test_the_first_version_is_removed(dsn: str) -> None:
    """A schema that was never brought up to date is taken out as well."""
    before = fingerprint(dsn)
    run(dsn, script("migrations/0001"))

    remove(dsn)

    assert before == fingerprint(dsn)


@pytest.mark.parametrize("user", ["reader of the first version", "superuser"])
async def test_the_first_version_is_not_followed(dsn: str, user: str) -> None:
    """Both forms say which version there is, whatever its readers may read."""
    run(
        dsn,
        script("migrations/0001"),
        'GRANT USAGE ON SCHEMA rbac, tenant, "user", auth, qeetid_authz'
        " TO qeetid_authz_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA rbac, qeetid_authz TO qeetid_authz_reader",
        "GRANT SELECT ON tenant.groups, tenant.group_members, tenant.tenants,"
        ' "user".users, auth.api_keys TO qeetid_authz_reader',
        "GRANT EXECUTE ON FUNCTION qeetid_authz.incarnation, qeetid_authz.coverage"
        " TO qeetid_authz_reader",
        "CREATE ROLE lodger LOGIN PASSWORD 'x' IN ROLE qeetid_authz_reader",
    )
    lodger = make_conninfo(dsn, user="lodger", password="x")
    address = dsn if user == "superuser" else lodger
    says = f"version 1, this program reads {SCHEMA_VERSION}"
    try:
        with pytest.raises(NotMigratedError, match=says):
            Authorizer.open(address)
        with pytest.raises(NotMigratedError, match=says):
            await AsyncAuthorizer.open(address)
    finally:
        run(dsn, "DROP ROLE lodger")


def test_a_foreign_schema_of_our_name_is_left_alone(dsn: str) -> None:
    """Somebody else's schema `qeetid_authz` stops a migration, and stays."""
    run(dsn, "CREATE SCHEMA qeetid_authz CREATE TABLE theirs ()")
    before = fingerprint(dsn)

    with pytest.raises(DatabaseError, match="qeetid_authz"):
        migrate(dsn)
    with pytest.raises(NotMigratedError):
        remove(dsn)

    assert before == fingerprint(dsn)


@pytest.mark.parametrize("action", [migrate, remove])
def test_a_second_migration_is_refused(action: Any, dsn: str) -> None:
    """While one runs, another gives up at once; afterwards it goes through."""
    migrate(dsn)
    with psycopg.connect(dsn) as other:
        other.execute(migrations._SQL["try_lock"])
        with pytest.raises(MigrationBusyError, match="another migration"):
            action(dsn)

    action(dsn)


def test_two_migrations_at_once(dsn: str) -> None:
    """One of them installs all; the other does nothing or is told to come again."""
    barrier = Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(attempt, [dsn] * 2, [barrier] * 2))

    assert READY in done
    assert all(d == READY or isinstance(d, MigrationBusyError) for d in done)
    assert migrate(dsn) == READY


def test_two_databases_migrated_at_once(server: Server) -> None:
    """They share the roles that neither has found, and both are ready."""
    barrier = Barrier(2)
    with qeet_id_database(server) as one, qeet_id_database(server) as two:
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(attempt, [one, two], [barrier] * 2))

        assert done == [READY, READY]


def test_a_table_that_stays_locked(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration gives up behind a long writer, and nothing is left of it."""
    impatient = "SET LOCAL lock_timeout = '50ms'"
    monkeypatch.setitem(migrations._SQL, "limit_lock", impatient)
    before = fingerprint(dsn)
    with psycopg.connect(dsn) as writer:
        writer.execute("DELETE FROM rbac.user_roles")
        with pytest.raises(MigrationBusyError, match="a table stays locked"):
            migrate(dsn)
        assert before == fingerprint(dsn)

    assert migrate(dsn) == READY


def test_a_long_reader_is_no_hindrance(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that reads all tables holds neither migration nor repair up."""
    impatient = "SET LOCAL lock_timeout = '50ms'"
    monkeypatch.setitem(migrations._SQL, "limit_lock", impatient)
    with psycopg.connect(dsn) as reader:
        for table in TABLES:
            reader.execute(f"SELECT FROM {table}")

        assert migrate(dsn) == READY
        run(dsn, "ALTER TABLE rbac.roles DISABLE TRIGGER qeetid_authz_rows")
        assert migrate(dsn) == READY


LAST = "tenant.ip_rules_config"


def test_a_failure_midway_leaves_nothing(dsn: str, server: Server) -> None:
    """When the last table turns out to be another's, all that was made is undone."""
    run(
        dsn,
        "CREATE ROLE halfway LOGIN CREATEROLE PASSWORD 'x'",
        "GRANT pg_monitor TO halfway WITH ADMIN OPTION",
        "GRANT USAGE ON SCHEMA auth TO halfway",
        "ALTER SCHEMA rbac OWNER TO halfway",
        "ALTER SCHEMA tenant OWNER TO halfway",
        'ALTER SCHEMA "user" OWNER TO halfway',
        *(f"ALTER TABLE {t} OWNER TO halfway" for t in TABLES if t != LAST),
    )
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    run(dsn, f"GRANT CREATE ON DATABASE {database} TO halfway")
    before = fingerprint(dsn)
    try:
        with pytest.raises(DatabaseError, match="ip_rules_config") as caught:
            migrate(make_conninfo(dsn, user="halfway", password="x"))

        assert "a right is missing" in str(caught.value)
        assert before == fingerprint(dsn)
    finally:
        run(
            dsn,
            f"REASSIGN OWNED BY halfway TO {rows(dsn, 'SELECT user')[0][0]}",
            "DROP OWNED BY halfway",
            "DROP ROLE halfway",
        )


def test_bootstrap_is_part_of_the_whole(empty: str) -> None:
    """If our schema can't be installed, Qeet ID's tables aren't left behind either."""
    run(empty, "CREATE SCHEMA qeetid_authz")
    before = fingerprint(empty)

    with pytest.raises(DatabaseError):
        migrate(empty, bootstrap=True)

    assert before == fingerprint(empty)


@pytest.mark.parametrize(
    "present",
    [
        ["DROP TABLE auth.api_keys"],
        ["DROP SCHEMA rbac CASCADE", "DROP SCHEMA tenant CASCADE"],
        [
            "DROP SCHEMA rbac CASCADE",
            "DROP SCHEMA tenant CASCADE",
            'DROP SCHEMA "user" CASCADE',
            "DROP SCHEMA auth CASCADE",
            "CREATE SCHEMA auth",
        ],
    ],
    ids=["a table is missing", "two schemas are missing", "an empty schema is there"],
)
def test_bootstrap_adds_nothing_to_half_a_schema(dsn: str, present: list[str]) -> None:
    """Where some of Qeet ID is there, what is missing is named and not made."""
    run(dsn, *present)
    before = fingerprint(dsn)

    with pytest.raises(SchemaError, match=r"auth\.api_keys|rbac\.roles"):
        migrate(dsn, bootstrap=True)

    assert before == fingerprint(dsn)


@pytest.mark.parametrize("hardened", [False, True])
def test_removing_leaves_no_trace(dsn: str, hardened: bool) -> None:
    """The catalogues say the same as before the migration, roles and rights included."""
    if hardened:
        run(dsn, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    before = fingerprint(dsn)
    migrate(dsn)
    run(dsn, "INSERT INTO rbac.permissions (key) VALUES ('billing:write')")
    assert rows(dsn, "SELECT qeetid_authz.incarnation() IS NOT NULL") == [(True,)]

    remove(dsn)

    assert before == fingerprint(dsn)
    assert status(dsn) == Status(None, SCHEMA_VERSION, (), ())
    assert migrate(dsn) == READY


def test_removing_after_damage(dsn: str) -> None:
    """What is already gone hinders nothing."""
    migrate(dsn)
    run(
        dsn,
        "DROP TRIGGER qeetid_authz_rows ON rbac.roles",
        "DROP SCHEMA auth CASCADE",
        "DROP TABLE rbac.user_roles",
    )

    remove(dsn)

    assert not rows(dsn, "SELECT FROM pg_trigger WHERE tgname ~ '^qeetid_authz'")
    assert not rows(dsn, "SELECT FROM pg_roles WHERE rolname ~ '^qeetid_authz'")


@pytest.mark.parametrize("hardened", [False, True])
def test_removing_keeps_the_roles_of_another_database(
    server: Server, dsn: str, hardened: bool
) -> None:
    """The other database stays ready, with what was granted on it; then all goes."""
    with qeet_id_database(server) as other:
        name = psycopg.conninfo.conninfo_to_dict(other)["dbname"]
        if hardened:
            kept = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
            run(dsn, kept)
            run(other, kept)
        before = fingerprint(dsn)
        migrate(dsn)
        migrate(other)
        run(other, f"GRANT CONNECT ON DATABASE {name} TO qeetid_authz_reader")

        remove(dsn)

        for role in ROLES:
            assert rows(dsn, f"SELECT FROM pg_roles WHERE rolname = '{role}'")
        after = fingerprint(dsn)
        unchanged = set(CATALOGUE) - {"roles", "members", "databases"}
        assert {w: before[w] for w in unchanged} == {w: after[w] for w in unchanged}
        assert status(other) == READY
        connects = "has_database_privilege('qeetid_authz_reader', '{}', 'CONNECT')"
        run(other, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        assert rows(other, "SELECT " + connects.format(name)) == [(True,)]

        remove(other)

        assert not rows(dsn, "SELECT FROM pg_roles WHERE rolname ~ '^qeetid_authz'")


def test_removing_what_isnt_there(empty: str, dsn: str) -> None:
    """A database without our schema is told so, the second time too."""
    with pytest.raises(NotMigratedError, match="isn't in this database"):
        remove(empty)

    migrate(dsn)
    remove(dsn)
    with pytest.raises(NotMigratedError, match="isn't in this database"):
        remove(dsn)
