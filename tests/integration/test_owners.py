"""Owners of Qeet ID's tables who aren't superusers: which rights a migration takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qeetid_authz import Authorizer
from qeetid_authz.errors import DatabaseError
from qeetid_authz.postgres.embedded import Cluster, Server
from qeetid_authz.postgres.migrate import Status, migrate, remove, status
from qeetid_authz.postgres.queries import script
from qeetid_authz.replica import SCHEMA_VERSION
from tests.fixtures.postgres import new_database
from tests.integration.following import assert_follows
from tests.integration.servers import (
    BINARIES,
    ROLES,
    fingerprint,
    rows,
    run,
    version_of,
    without_roles,
)

READY = Status(
    version=SCHEMA_VERSION, latest=SCHEMA_VERSION, disarmed=(), differences=()
)
PASSWORD = "x"


@pytest.fixture(scope="module", params=BINARIES, ids=version_of)
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server of this module's own."""
    with Cluster(binaries=request.param) as cluster:
        yield cluster


@contextmanager
def landlords_database(server: Server, *rights: str) -> Iterator[tuple[str, str]]:
    """An empty database and who owns it: as administrator, as owner with rights."""
    with without_roles(server), new_database(server) as name:
        dsn = server.dsn(name)
        run(
            dsn,
            "CREATE ROLE landlord LOGIN PASSWORD 'x'",
            f"ALTER DATABASE {name} OWNER TO landlord",
            *(right.format(database=name) for right in rights),
        )
        try:
            yield dsn, make_conninfo(dsn, user="landlord", password=PASSWORD)
        finally:
            run(
                dsn,
                f"REASSIGN OWNED BY landlord TO {conninfo_to_dict(dsn)['user']}",
                "DROP OWNED BY landlord CASCADE",
                "DROP ROLE landlord",
            )


CREATE_ROLES = "ALTER ROLE landlord CREATEROLE"
GIVE_MONITOR = "GRANT pg_monitor TO landlord WITH ADMIN OPTION"


def server_version(dsn: str) -> int:
    """The major version of the server."""
    return int(rows(dsn, "SELECT current_setting('server_version_num')")[0][0]) // 10000


def test_an_owner_without_superuser_migrates(server: Server) -> None:
    """With CREATEROLE, and pg_monitor to give, an owner does all that there is."""
    with landlords_database(server, CREATE_ROLES, GIVE_MONITOR) as (dsn, owner):
        migrate(owner, bootstrap=True)
        remove(owner)
        before = fingerprint(dsn)
        assert migrate(owner) == READY
        run(owner, "DROP TRIGGER qeetid_authz_rows ON rbac.roles")
        assert migrate(owner) == READY

        with psycopg.connect(dsn, autocommit=True) as admin:
            run(
                dsn,
                "CREATE ROLE lodger LOGIN PASSWORD 'x' IN ROLE qeetid_authz_reader",
            )
            try:
                lodger = make_conninfo(dsn, user="lodger", password=PASSWORD)
                with Authorizer.open(lodger) as authz:
                    run(owner, "INSERT INTO rbac.permissions (key) VALUES ('a:b')")
                    assert_follows(authz, admin)
            finally:
                run(dsn, "DROP ROLE lodger")

        remove(owner)
        assert before == fingerprint(dsn)


def test_an_owner_without_superuser_upgrades(server: Server) -> None:
    """Who owns the first version's schema brings it up to date, and takes it out."""
    with landlords_database(server, CREATE_ROLES, GIVE_MONITOR) as (dsn, owner):
        run(owner, script("bootstrap"))
        before = fingerprint(dsn)
        run(owner, script("migrations/0001"))

        assert migrate(owner) == READY

        remove(owner)
        assert before == fingerprint(dsn)


MAKE_ROLES = (
    *(f"CREATE ROLE {role}" for role in ROLES),
    "GRANT pg_monitor TO qeetid_authz_owner",
    "GRANT qeetid_authz_owner TO landlord",
)


def test_an_owner_migrates_with_roles_made_for_him(server: Server) -> None:
    """Where a superuser made the roles, none must be made; removing leaves them."""
    with landlords_database(server, *MAKE_ROLES) as (dsn, owner):
        assert migrate(owner, bootstrap=True) == READY
        assert rows(dsn, "SELECT qeetid_authz.incarnation() IS NOT NULL") == [(True,)]

        remove(owner)

        assert status(owner) == Status(None, SCHEMA_VERSION, (), ())
        assert rows(
            dsn, "SELECT count(*) FROM pg_roles WHERE rolname ~ '^qeetid_authz'"
        ) == [(2,)]


LACKING = {
    "to create roles": (
        "ALTER ROLE landlord NOCREATEROLE",
        "to create role|CREATEROLE",
    ),
    "to create a schema": (
        "ALTER DATABASE {database} OWNER TO CURRENT_USER",
        "permission denied for database",
    ),
    "to use a schema": (
        "ALTER SCHEMA tenant OWNER TO CURRENT_USER",
        "permission denied for schema tenant",
    ),
    "to let others use a schema": (
        (
            "ALTER SCHEMA tenant OWNER TO CURRENT_USER;"
            " GRANT USAGE ON SCHEMA tenant TO landlord"
        ),
        "no right to grant USAGE on schema tenant",
    ),
    "to a table": ("ALTER TABLE rbac.roles OWNER TO CURRENT_USER", "table roles"),
}


@pytest.mark.parametrize(("taken", "says"), LACKING.values(), ids=LACKING.keys())
def test_a_right_that_an_owner_lacks_is_named(
    server: Server, taken: str, says: str
) -> None:
    """The error says which right is missing, and nothing is left behind."""
    with landlords_database(server, CREATE_ROLES, GIVE_MONITOR) as (dsn, owner):
        run(owner, script("bootstrap"))
        run(dsn, taken.format(database=conninfo_to_dict(dsn)["dbname"]))
        before = fingerprint(dsn)

        with pytest.raises(DatabaseError, match=says) as caught:
            migrate(owner)

        assert str(caught.value).startswith("a right is missing")
        assert "connect as a superuser, or as the tables' owner" in str(caught.value)
        assert before == fingerprint(dsn)


def test_who_may_give_pg_monitor(server: Server) -> None:
    """To Postgres 15 CREATEROLE is enough; later ones want the ADMIN OPTION."""
    with landlords_database(server, CREATE_ROLES) as (dsn, owner):
        if server_version(dsn) < 16:
            assert migrate(owner, bootstrap=True) == READY
            return
        with pytest.raises(DatabaseError, match=r"a right is missing.*pg_monitor"):
            migrate(owner, bootstrap=True)
