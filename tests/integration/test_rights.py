"""Who may do what: readers read, applications write, owners migrate, nobody forges."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from qeetid_authz import Authorizer
from qeetid_authz.errors import DatabaseError
from qeetid_authz.postgres.embedded import Cluster, Server
from qeetid_authz.postgres.exporting import export_document
from qeetid_authz.postgres.migrate import Status, migrate, status
from qeetid_authz.replica import SCHEMA_VERSION
from tests.integration.following import assert_follows
from tests.integration.servers import (
    BINARIES,
    TABLES,
    qeet_id_database,
    rows,
    run,
    version_of,
)
from tests.tables import write
from tests.writes import random_tables

READY = Status(
    version=SCHEMA_VERSION, latest=SCHEMA_VERSION, disarmed=(), differences=()
)
PASSWORD = "x"


@dataclass(frozen=True)
class Town:
    """A migrated database with a sidecar's, an application's and a stranger's login."""

    dsn: str

    def of(self, role: str) -> str:
        """The DSN of one of them."""
        return make_conninfo(self.dsn, user=role, password=PASSWORD)


@pytest.fixture(scope="module", params=BINARIES, ids=version_of)
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server of this module's own."""
    with Cluster(binaries=request.param) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def town(server: Server) -> Iterator[Town]:
    """Made by an administrator who gives away every new table and function."""
    with qeet_id_database(server) as dsn:
        run(
            dsn,
            *(f"CREATE ROLE {r} LOGIN PASSWORD 'x'" for r in ("sidecar", "app", "nn")),
            "CREATE TABLE auth.login_sessions (token_hash text)",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app, sidecar",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO app, sidecar",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO app, sidecar",
            'GRANT USAGE ON SCHEMA rbac, tenant, "user", auth TO app',
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TABLES)} TO app",
            "CREATE SCHEMA own_app AUTHORIZATION app",
            "CREATE SCHEMA own_sidecar AUTHORIZATION sidecar",
        )
        migrate(dsn)
        run(dsn, "GRANT qeetid_authz_reader TO sidecar")
        yield Town(dsn)


def refused(dsn: str, statement: str) -> None:
    """A statement fails for want of a right, and for no other cause."""
    with psycopg.connect(dsn) as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)
        connection.rollback()


def log(dsn: str) -> list[tuple[Any, ...]]:
    """What the change log holds, oldest first."""
    return rows(
        dsn, "SELECT entity, subject::text FROM qeetid_authz.change_log ORDER BY seq"
    )


def test_a_reader_follows(town: Town) -> None:
    """A role that is merely a member of the reader loads and sees every change."""
    with psycopg.connect(town.dsn, autocommit=True) as admin:
        write(random_tables(Random(1)), admin)
        with Authorizer.open(town.of("sidecar")) as authz:
            assert_follows(authz, admin)
            admin.execute("DELETE FROM rbac.user_roles")
            admin.execute("UPDATE tenant.tenants SET status = 'suspended'")
            assert_follows(authz, admin)
            assert authz.replica.resyncs == {"start": 1}


def test_a_reader_asks_for_the_state_and_exports(town: Town) -> None:
    """What only reads, the reader may do."""
    assert status(town.of("sidecar")) == READY
    with psycopg.connect(town.of("sidecar"), autocommit=True) as connection:
        export_document(connection)


TRIGGER = (
    "CREATE TABLE own_{0}.t{1} (id uuid);"
    " CREATE TRIGGER forge AFTER INSERT ON own_{0}.t{1}"
    " FOR EACH ROW EXECUTE FUNCTION qeetid_authz.{1}('user')"
)
FUNCTIONS = (
    "log_thing",
    "log_role_permission",
    "log_user_role",
    "log_group_member",
    "log_group_role",
    "log_ip_config",
)
FORBIDDEN_TO_ALL = {
    "forge a change": "INSERT INTO qeetid_authz.change_log (entity, subject)"
    " VALUES ('user', gen_random_uuid())",
    "change a change": "UPDATE qeetid_authz.change_log SET entity = 'x'",
    "delete changes": "DELETE FROM qeetid_authz.change_log",
    "truncate the log": "TRUNCATE qeetid_authz.change_log",
    "change the version": "UPDATE qeetid_authz.meta SET version = 9",
    "raise the floor": "UPDATE qeetid_authz.meta SET floor = '9'",
    "delete the version": "DELETE FROM qeetid_authz.meta",
    "prune": "SELECT qeetid_authz.prune('0')",
    "replace a function": "CREATE OR REPLACE FUNCTION qeetid_authz.log_thing()"
    " RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "make something in our schema": "CREATE TABLE qeetid_authz.mine ()",
    "drop our schema": "DROP SCHEMA qeetid_authz CASCADE",
    "disable a trigger": "ALTER TABLE rbac.roles DISABLE TRIGGER ALL",
    "drop a trigger": "DROP TRIGGER qeetid_authz_rows ON rbac.roles",
    "bypass triggers": "SET session_replication_role = replica",
    "become the owner": "SET ROLE qeetid_authz_owner",
    "read what it needs not": "SELECT * FROM auth.login_sessions",
    "truncate a table": "TRUNCATE rbac.user_roles",
    **{
        f"call {function}": f"SELECT qeetid_authz.{function}()"
        for function in FUNCTIONS
    },
}


@pytest.mark.parametrize("role", ["sidecar", "app"])
@pytest.mark.parametrize(
    "statement", FORBIDDEN_TO_ALL.values(), ids=FORBIDDEN_TO_ALL.keys()
)
def test_nobody_tampers(town: Town, role: str, statement: str) -> None:
    """Neither a reader nor an application touches the log or what writes it."""
    refused(town.of(role), statement)


@pytest.mark.parametrize("role", ["sidecar", "app"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nobody_attaches_a_log_function(town: Town, role: str, function: str) -> None:
    """A trigger on one's own table would forge changes; it can't be made."""
    refused(town.of(role), TRIGGER.format(role, function))


@pytest.mark.parametrize("table", TABLES)
def test_a_reader_reads_every_table(town: Town, table: str) -> None:
    """What is followed and what is looked up on demand."""
    expected = rows(town.dsn, f"SELECT count(*) FROM {table}")

    assert expected == rows(town.of("sidecar"), f"SELECT count(*) FROM {table}")


@pytest.mark.parametrize("table", TABLES)
def test_a_reader_writes_no_table(town: Town, table: str) -> None:
    """The reader changes nothing, and locks nobody out."""
    column = rows(
        town.dsn,
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass"
        " AND attnum = 1",
    )[0][0]
    for statement in (
        f"INSERT INTO {table} DEFAULT VALUES",
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"LOCK TABLE {table} IN SHARE MODE",
        f"SELECT FROM {table} FOR UPDATE",
    ):
        refused(town.of("sidecar"), statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM qeetid_authz.change_log",
        "SELECT * FROM qeetid_authz.meta",
        "SELECT qeetid_authz.incarnation()",
    ],
)
def test_an_application_reads_nothing_of_ours(town: Town, statement: str) -> None:
    """Whatever default privileges say, our schema is closed to it."""
    refused(town.of("app"), statement)


def test_a_stranger_is_told_what_is_missing(town: Town) -> None:
    """A role without membership can't open, and the error names the remedy."""
    for act in (Authorizer.open, status):
        with pytest.raises(DatabaseError, match="grant role qeetid_authz_reader"):
            act(town.of("nn"))


def test_an_applications_writes_are_logged(town: Town) -> None:
    """A role that may write the tables needs no right on our schema."""
    before = len(log(town.dsn))
    tenant, user, role, group = (f"0000000{n}-{'0000-' * 3}{'0' * 12}" for n in "1234")
    run(
        town.of("app"),
        f"INSERT INTO tenant.tenants (id, slug, name) VALUES ('{tenant}', 'a', 'A')",
        f"INSERT INTO \"user\".users (id, email) VALUES ('{user}', 'a@x.test')",
        f"INSERT INTO rbac.roles (id, tenant_id, name) VALUES ('{role}', '{tenant}', 'r')",
        "INSERT INTO rbac.permissions (key) VALUES ('town:write')",
        f"INSERT INTO rbac.role_permissions SELECT '{role}', id FROM rbac.permissions"
        " WHERE key = 'town:write'",
        f"INSERT INTO rbac.user_roles VALUES ('{user}', '{tenant}', '{role}')",
        f"INSERT INTO tenant.groups (id, tenant_id, name)"
        f" VALUES ('{group}', '{tenant}', 'g')",
        f"INSERT INTO tenant.group_members VALUES ('{group}', '{user}', '{tenant}')",
        f"INSERT INTO rbac.group_roles VALUES ('{tenant}', '{group}', '{role}')",
        "INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash)"
        f" VALUES ('{tenant}', 'k', 'qk_x', 'h')",
        "INSERT INTO auth.service_principals (tenant_id, name, secret_hash)"
        f" VALUES ('{tenant}', 's', 'h')",
        "INSERT INTO auth.agents (tenant_id, name, secret_hash)"
        f" VALUES ('{tenant}', 'a', 'h')",
        f"INSERT INTO auth.sessions (user_id, revoked_at) VALUES ('{user}', now())",
        "INSERT INTO auth.oidc_clients (tenant_id, client_id, type, name)"
        f" VALUES ('{tenant}', 'qci_x', 'public', 'c')",
        f"INSERT INTO tenant.ip_rules (tenant_id, cidr) VALUES ('{tenant}', '::/0')",
        f"INSERT INTO tenant.ip_rules_config (tenant_id) VALUES ('{tenant}')",
        f"DELETE FROM tenant.tenants WHERE id = '{tenant}'",
    )

    entities = [entity for entity, _ in log(town.dsn)[before:]]
    made = [
        "tenant",
        "user",
        "role",
        "permission",
        "role_permission",
        "user_role",
        "group",
        "group_member",
        "group_role",
        "api_key",
        "service",
        "agent",
        "session",
        "client",
        "ip_rule",
        "ip_config",
    ]
    assert entities[: len(made)] == made
    gone = set(entities[len(made) :])
    assert gone == set(made) - {"user", "permission", "session"}


HOSTILE = (
    "GRANT USAGE ON SCHEMA own_app TO PUBLIC",
    "CREATE TABLE own_app.change_log (entity text, subject uuid)",
    (
        "CREATE FUNCTION own_app.never(uuid, uuid) RETURNS boolean LANGUAGE sql"
        " AS 'SELECT false'"
    ),
    "CREATE OPERATOR own_app.<> (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = own_app.never)",
    "CREATE OPERATOR own_app.= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
    (
        "CREATE FUNCTION own_app.pg_current_xact_id() RETURNS xid8 LANGUAGE sql"
        " AS $$ SELECT '3'::xid8 $$"
    ),
    (
        "CREATE FUNCTION own_app.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
        " AS $$ SELECT 'epoch'::timestamptz $$"
    ),
    "CREATE DOMAIN own_app.uuid AS text",
    "CREATE DOMAIN own_app.xid8 AS text",
    "CREATE TEMP TABLE change_log (entity text, subject uuid)",
    "CREATE TEMP TABLE meta (version integer)",
    "CREATE DOMAIN pg_temp.uuid AS text",
    "CREATE DOMAIN pg_temp.xid8 AS text",
    "SET search_path = pg_temp, own_app, qeetid_authz, pg_catalog",
)


def test_a_hostile_session_diverts_nothing(town: Town) -> None:
    """Shadows of tables, functions, operators and types change no logged row."""
    first, second = (f"0000000{n}-{'0000-' * 3}{'0' * 12}" for n in "56")
    before = len(log(town.dsn))
    with psycopg.connect(town.of("app")) as session:
        for statement in HOSTILE:
            session.execute(statement)
        session.execute(
            f"INSERT INTO \"user\".users (id, email) VALUES ('{first}', 'b@x.test')"
        )
        session.execute(
            f"UPDATE \"user\".users SET id = '{second}' WHERE email = 'b@x.test'"
        )
        shadows = session.execute("SELECT FROM pg_temp.change_log").fetchall()
        (xid,) = (
            session.execute("SELECT pg_catalog.pg_current_xact_id()::text").fetchone()
            or ()
        )

    assert log(town.dsn)[before:] == [
        ("user", first),
        ("user", first),
        ("user", second),
    ]
    assert not shadows
    assert not rows(town.dsn, "SELECT FROM own_app.change_log")
    newest = "SELECT DISTINCT xid::text, at > now() - interval '1 hour'"
    logged = f"{newest} FROM qeetid_authz.change_log WHERE subject = '{first}'"
    assert rows(town.dsn, logged) == [(xid, True)]


OURS = {"qeetid_authz.change_log", "qeetid_authz.meta", "qeetid_authz.sources"}
RELATIONS = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND nspname !~ '^pg_|^information_schema$'
    AND nspname !~ '^own_'"""
CALLS = """
    SELECT proname, format('SELECT %s(%s)', p.oid::regproc, (
        SELECT string_agg('NULL::' || format_type(type, NULL), ', ')
        FROM unnest(proargtypes) AS type))
    FROM pg_proc p WHERE pronamespace = 'qeetid_authz'::regnamespace"""


def granted(dsn: str, statements: dict[str, str]) -> set[str]:
    """Which statements aren't refused for want of a right."""
    allowed = set()
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, statement in statements.items():
            try:
                connection.execute(statement.encode())
            except errors.InsufficientPrivilege:
                continue
            except psycopg.Error:
                pass  # It was let in, and failed of something else.
            allowed.add(name)
    return allowed


def test_each_role_reads_what_it_is_for(town: Town) -> None:
    """Of all relations there are: readers theirs and ours, others none of ours."""
    relations = [name for (name,) in rows(town.dsn, RELATIONS)]
    reading = {name: f"SELECT * FROM {name} LIMIT 1" for name in relations}

    assert len(relations) > len(TABLES) + len(OURS)
    assert {*TABLES, *OURS} == granted(town.of("sidecar"), reading)
    assert {*TABLES} == granted(town.of("app"), reading)
    assert set() == granted(town.of("nn"), reading)


@pytest.mark.parametrize("role", ["sidecar", "app", "nn"])
def test_nobody_writes_what_is_ours(town: Town, role: str) -> None:
    """No column of ours can be written, whoever asks."""
    columns = rows(
        town.dsn,
        "SELECT attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class c"
        " ON c.oid = attrelid WHERE relnamespace = 'qeetid_authz'::regnamespace"
        " AND relkind = 'r' AND attnum > 0",
    )
    writing = {
        f"{verb} {name}.{column}": statement
        for name, column in columns
        for verb, statement in (
            ("update", f'UPDATE {name} SET "{column}" = DEFAULT'),
            ("insert", f'INSERT INTO {name} ("{column}") VALUES (DEFAULT)'),
        )
    }

    assert len(columns) >= 10
    assert set() == granted(town.of(role), writing)


def test_each_role_calls_what_it_is_for(town: Town) -> None:
    """Of our functions readers call three; anybody names their own transaction."""
    calls = dict(rows(town.dsn, CALLS))

    assert set(FUNCTIONS) < set(calls)
    anybodys = {"revision_token"}
    readers = {"incarnation", "coverage", "look"}
    assert anybodys | readers == granted(town.of("sidecar"), calls)
    assert anybodys == granted(town.of("app"), calls)
    assert anybodys == granted(town.of("nn"), calls)


def test_functions_search_where_nobody_else_writes(town: Town) -> None:
    """Each has its path pinned, temporary things last; few act with other rights."""
    found = rows(
        town.dsn,
        "SELECT proname, prosecdef, proowner::regrole::text,"
        " 'search_path=pg_catalog, pg_temp' = ANY(coalesce(proconfig, '{}'))"
        " FROM pg_proc WHERE pronamespace = 'qeetid_authz'::regnamespace",
    )
    definers = {name for name, is_definer, _, _ in found if is_definer}

    assert {("qeetid_authz_owner", True)} == {
        (owner, pin) for _, _, owner, pin in found
    }
    assert {*FUNCTIONS, "incarnation", "prune", "revision_token"} == definers


def test_the_roles_are_nobody(town: Town) -> None:
    """Neither owner nor reader can log in, and neither has a right of a superuser's."""
    found = rows(
        town.dsn,
        "SELECT count(*), bool_or(rolsuper OR rolcanlogin OR rolcreaterole OR"
        " rolcreatedb OR rolbypassrls OR rolreplication) FROM pg_roles"
        " WHERE rolname ~ '^qeetid_authz_(owner|reader)$'",
    )

    assert [(2, False)] == found


TRAPS = (
    "CREATE TABLE {own}.caught (who text)",
    "CREATE OR REPLACE FUNCTION {own}.trap() RETURNS void LANGUAGE sql"
    " AS 'INSERT INTO {own}.caught VALUES (current_user)'",
    "CREATE OR REPLACE FUNCTION {own}.md5(text) RETURNS text LANGUAGE sql"
    " AS $$ SELECT {own}.trap(); SELECT 'x'::text $$",
    "CREATE OR REPLACE FUNCTION {own}.pg_current_snapshot() RETURNS pg_snapshot LANGUAGE sql"
    " AS $$ SELECT {own}.trap(); SELECT '1:1:'::pg_snapshot $$",
    "CREATE OR REPLACE FUNCTION {own}.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
    " AS $$ SELECT {own}.trap(); SELECT now() $$",
    "CREATE OR REPLACE FUNCTION {own}.differ(uuid, uuid) RETURNS boolean LANGUAGE sql"
    " AS $$ SELECT {own}.trap(); SELECT true $$",
    "DROP OPERATOR IF EXISTS {own}.<> (uuid, uuid)",
    "CREATE OPERATOR {own}.<> (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = {own}.differ)",
    "CREATE TEMP TABLE meta (version integer, floor xid8)",
    "CREATE TEMP TABLE change_log (xid xid8, entity text)",
    "CREATE TEMP VIEW sources AS SELECT 'rbac.roles' AS relation, 0::regclass AS relid",
    "CREATE FUNCTION pg_temp.incarnation() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$",
    "SET search_path = pg_temp, {own}, qeetid_authz, pg_catalog",
)


@pytest.mark.parametrize("role", ["sidecar", "app"])
def test_no_function_of_ours_runs_anothers_code(town: Town, role: str) -> None:
    """Whatever stands in for what they call, it is neither called nor believed."""
    asked = (
        "SELECT incarnation, disarmed, fingerprint FROM qeetid_authz.look('3', '{}')"
    )
    incarnation = "SELECT qeetid_authz.incarnation()"
    honest = rows(town.of("sidecar"), asked), rows(town.of("sidecar"), incarnation)
    with psycopg.connect(town.of(role)) as session:
        for trap in TRAPS:
            session.execute(trap.replace("{own}", f"own_{role}").encode())
        if role == "app":
            session.execute(
                'INSERT INTO "user".users (id, email) VALUES'
                " (pg_catalog.gen_random_uuid(), 'trap@x.test')"
            )
            session.execute(
                'UPDATE "user".users SET id = pg_catalog.gen_random_uuid()'
                " WHERE email OPERATOR(pg_catalog.=) 'trap@x.test'"
            )
        else:
            found = (
                session.execute(asked.encode()).fetchall(),
                session.execute(incarnation.encode()).fetchall(),
            )
            assert honest == found
        caught = session.execute(f"SELECT DISTINCT who FROM own_{role}.caught".encode())
        assert caught.fetchall() == []
        session.rollback()
