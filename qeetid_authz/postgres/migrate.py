"""Put schema `qeetid_authz` into a Qeet ID database, look after it, take it out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

from psycopg import Connection

from qeetid_authz.errors import (
    DatabaseError,
    MigrationBusyError,
    NotMigratedError,
    SchemaError,
)
from qeetid_authz.postgres.connecting import connect, translated
from qeetid_authz.postgres.queries import load, script
from qeetid_authz.replica import SCHEMA_VERSION

_SQL = load("schema")
_HINT = "it has none of them; `qeetid-authz migrate --bootstrap` makes them"

Session: TypeAlias = Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Status:
    """What is installed in a database.

    Attributes:
        version: of our schema; None when it isn't there.
        latest: the version that this program installs.
        disarmed: triggers that are missing or disabled.
        differences: how the tables differ from Qeet ID's, a sentence each.
    """

    version: int | None
    latest: int
    disarmed: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        """Whether a replica can follow this database."""
        return (
            self.version == self.latest and not self.disarmed and not self.differences
        )


def migrate(dsn: str, *, bootstrap: bool = False) -> Status:
    """Install our schema or bring it up to date, all or nothing.

    Running it again repairs triggers that were dropped or disabled and prunes the
    change log, and changes nothing else.

    A superuser may always migrate. Someone else must own Qeet ID's tables and
    schemas, hold CREATE on the database and CREATEROLE, and from Postgres 16 on also
    be a member of pg_monitor WITH ADMIN OPTION. He becomes a member of
    qeetid_authz_owner. Of two such owners on one server, the second must have been
    granted qeetid_authz_owner, which the first one's migration made.

    Args:
        dsn: of the database, as one who has these rights.
        bootstrap: create the Qeet ID tables first if the database has none.

    Raises:
        UnreachableError: the database doesn't answer.
        SchemaError: its tables aren't Qeet ID's.
        MigrationBusyError: another migration runs, or a table stays locked.
        StandbyError: the server takes no writes.
        DatabaseError: the schema is of a later version, or a right is missing.
    """
    with _transaction(dsn) as session:
        is_empty = _value(session, "is_empty")
        if bootstrap and is_empty:
            session.execute(script("bootstrap"))
        elif is_empty:
            raise SchemaError([*_differences(session), _HINT])
        if differences := _differences(session):
            raise SchemaError(differences)
        version = _version(session) or 0
        if version > SCHEMA_VERSION:
            raise DatabaseError(
                f"schema qeetid_authz has version {version}, later than the"
                f" {SCHEMA_VERSION} this program installs; upgrade qeetid-authz"
            )
        for step in _steps(after=version):
            session.execute(script(f"migrations/{step:04}"))
        if version < SCHEMA_VERSION:
            session.execute(_SQL["set_version"], (SCHEMA_VERSION,))
        if version < SCHEMA_VERSION or _disarmed(session):
            session.execute(script("arm"))
        session.execute(_SQL["prune"])
        return _status(session)


def status(dsn: str) -> Status:
    """What is installed, and whether every trigger is in place and enabled.

    Raises:
        UnreachableError: the database doesn't answer.
    """
    with connect(dsn) as session, translated():
        return _status(session)


def remove(dsn: str) -> None:
    """Take our schema out again, with its triggers and, if unused, its roles.

    The roles stay where another database of the server uses them, or where the one
    who connects may not drop them.

    Raises:
        UnreachableError: the database doesn't answer.
        NotMigratedError: there is nothing to take out.
        MigrationBusyError: another migration runs, or a table stays locked.
    """
    with _transaction(dsn) as session:
        if not _value(session, "is_installed"):
            raise NotMigratedError("schema qeetid_authz isn't in this database")
        session.execute(script("remove"))


@contextmanager
def _transaction(dsn: str) -> Iterator[Session]:
    with connect(dsn) as session, translated(), session.transaction():
        session.execute(_SQL["limit_lock"])
        if not _value(session, "try_lock"):
            raise MigrationBusyError(
                "another migration of this database is running; try again when it ends"
            )
        yield session


def _status(session: Session) -> Status:
    version = _version(session)
    disarmed = () if version is None else _disarmed(session)
    return Status(version, SCHEMA_VERSION, disarmed, _differences(session))


def _steps(after: int) -> list[int]:
    folder = files("qeetid_authz.postgres") / "sql" / "migrations"
    steps = sorted(int(file.name[:4]) for file in folder.iterdir())
    return [step for step in steps if step > after]


def _version(session: Session) -> int | None:
    if not _value(session, "is_installed"):
        return None
    version: int = _value(session, "version")
    return version


def _disarmed(session: Session) -> tuple[str, ...]:
    return tuple(_value(session, "coverage"))


def _differences(session: Session) -> tuple[str, ...]:
    rows = session.execute(_SQL["differences"]).fetchall()
    tables = dict.fromkeys(
        f"table {relation} is missing"
        if is_ordinary is None
        else f"{relation} is no ordinary table"
        for relation, _, _, is_ordinary, _ in rows
        if not is_ordinary
    )
    columns = (
        f"column {relation}.{attribute} is missing"
        if found is None
        else f"column {relation}.{attribute} is {found}, not {type_}"
        for relation, attribute, type_, is_ordinary, found in rows
        if is_ordinary
    )
    return (*tables, *columns)


def _value(session: Session, query: str) -> Any:
    row = session.execute(_SQL[query]).fetchone()
    return row and row[0]
