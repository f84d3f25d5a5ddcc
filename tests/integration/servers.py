"""Servers of the tests' own, of every Postgres at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from qeetid_authz.postgres.embedded import Cluster, Server
from qeetid_authz.postgres.programs import embedded_binaries, find_binaries
from qeetid_authz.postgres.queries import script
from tests.fixtures.postgres import new_database

ROLES = ("qeetid_authz_reader", "qeetid_authz_owner")
TABLES = (
    '"user".users',
    "auth.agents",
    "auth.api_keys",
    "auth.oidc_clients",
    "auth.oidc_refresh_tokens",
    "auth.refresh_tokens",
    "auth.service_principals",
    "auth.sessions",
    "rbac.group_roles",
    "rbac.permissions",
    "rbac.role_permissions",
    "rbac.roles",
    "rbac.user_roles",
    "tenant.group_members",
    "tenant.groups",
    "tenant.ip_rules",
    "tenant.ip_rules_config",
    "tenant.tenants",
)

# Rights by what they allow: a list of the default rights says the same as none.
CATALOGUE = {
    "roles": "SELECT rolname, rolsuper, rolcreaterole, rolcanlogin FROM pg_roles",
    "members": "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members",
    "schemas": """
        SELECT nspname, nspowner::regrole::text, grantee::regrole::text, privilege_type
        FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))""",
    "relations": """
        SELECT pg_class.oid, relname, relfilenode, relowner::regrole::text,
            reloptions::text,
            grantee::regrole::text, privilege_type
        FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))""",
    "functions": """
        SELECT pg_proc.oid, proname, proowner::regrole::text, grantee::regrole::text,
            privilege_type
        FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))""",
    "columns": "SELECT attrelid, attname, atttypid, attacl::text FROM pg_attribute",
    "triggers": "SELECT oid, tgrelid, tgname, tgenabled FROM pg_trigger",
    "constraints": "SELECT oid, conname FROM pg_constraint",
    "types": "SELECT oid, typname FROM pg_type",
    "defaults": "SELECT defaclrole::regrole::text, defaclacl::text FROM pg_default_acl",
    "extensions": "SELECT extname FROM pg_extension",
    "databases": "SELECT datname, datacl::text FROM pg_database",
    "settings": "SELECT setdatabase, setrole, setconfig::text FROM pg_db_role_setting",
}


BINARIES = tuple(dict.fromkeys((find_binaries(), embedded_binaries())))
"""The programs found on this machine and those of the wheel, if they differ."""


def version_of(binaries: Path) -> str:
    """A name for a test's parameter."""
    return binaries.parent.name


class Standby(Cluster):
    """A server that streams from a primary until it is promoted."""

    def __init__(self, primary: Cluster, binaries: Path) -> None:
        super().__init__(binaries=binaries)
        self._primary = primary

    def _initialize(self, binaries: Path) -> None:
        self._password = self._primary._password
        data = self.directory / "data"
        data.mkdir(mode=0o700)
        self._account.own(data)
        done = self._account.run(
            binaries / "pg_basebackup",
            f"--dbname={self._primary.dsn()}",
            f"--pgdata={data}",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def without_roles(server: Server) -> Iterator[Server]:
    """A server where nothing is migrated, and nothing of ours remains afterwards."""
    _drop_roles(server)
    try:
        yield server
    finally:
        _drop_roles(server)


@contextmanager
def qeet_id_database(server: Server) -> Iterator[str]:
    """The DSN of a database with Qeet ID's tables, not migrated."""
    with new_database(server) as name:
        run(server.dsn(name), script("bootstrap"))
        yield server.dsn(name)


def run(dsn: str, *statements: str) -> None:
    """Execute statements in a transaction."""
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with psycopg.connect(dsn) as connection:
        found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        return found


def fingerprint(dsn: str) -> dict[str, set[tuple[Any, ...]]]:
    """All that the catalogues say of a database and of its server's roles."""
    with psycopg.connect(dsn) as connection:
        return {
            what: set(connection.execute(query).fetchall())
            for what, query in CATALOGUE.items()
        }


def _drop_roles(server: Server) -> None:
    run(server.dsn(), *(f"DROP ROLE IF EXISTS {role}" for role in ROLES))
