"""Connections, and psycopg's errors in this package's terms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from psycopg import (
    Connection,
    Error,
    OperationalError,
    ProgrammingError,
    errors,
)
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from qeetid_authz.errors import (
    DatabaseError,
    MigrationBusyError,
    NotMigratedError,
    SchemaError,
    StandbyError,
    UnreachableError,
)
from qeetid_authz.postgres.patience import PatientAsyncConnection, PatientConnection

Row: TypeAlias = tuple[Any, ...]

_UNREACHABLE = ("08", "28", "3D", "53", "57P")
"""Classes of SQLSTATE that keep everybody out, or us."""

UNREADABLE = (
    "the DSN can't be read; write one like `postgresql://user@host:5432/qeetid`, and"
    " percent-encode what a password has of `/`, `@`, `%` and blanks"
)
"""What is said of a DSN that can't be."""

_SCHEMES = ("postgresql://", "postgres://")

_DEFAULTS: dict[str, str | int] = {
    "application_name": "qeetid-authz",
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 5,  # seconds
    "keepalives_interval": 2,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}


def connect(dsn: str) -> PatientConnection:
    """Connect in autocommit mode; the connection waits for ever until it is told not to.

    Raises:
        UnreachableError: the server doesn't answer, or refuses.
        DatabaseError: the DSN can't be read.
    """
    with translated(dsn):
        return PatientConnection.connect(
            complete(dsn), autocommit=True, prepare_threshold=None
        )


async def connect_async(dsn: str) -> PatientAsyncConnection:
    """The same on the running event loop."""
    with translated(dsn):
        return await PatientAsyncConnection.connect(
            complete(dsn), autocommit=True, prepare_threshold=None
        )


def describe(dsn: str) -> str:
    """Where a DSN leads, without its password."""
    try:
        given = read_dsn(dsn)
    except DatabaseError:
        return "the DSN"
    host, port = given.get("host", "localhost"), given.get("port", 5432)
    return f"database `{given.get('dbname', '')}` at {host}:{port}"


def require_idle(connection: Connection[Any]) -> None:
    """Return when a connection is in no transaction.

    Raises:
        ValueError: it is in one, which would swallow ours.
    """
    if connection.info.transaction_status == TransactionStatus.INTRANS:
        raise ValueError(
            "the connection is inside a transaction; commit it or roll it back first"
        )


@contextmanager
def translated(dsn: str | None = None) -> Iterator[None]:
    """Raise what psycopg raises as an error of this package's tree."""
    try:
        yield
    except Error as error:
        raise _translate(error, dsn) from error
    except UnicodeError as error:
        raise DatabaseError(
            f"the database or its DSN holds text that is no UTF-8 ({error}); convert it"
        ) from error
    except OSError as error:
        raise _unreachable(str(error), dsn) from error


def _translate(error: Error, dsn: str | None) -> DatabaseError:
    said = str(error).strip().partition("\n")[0] or "no answer"
    for causes, translate in _TRANSLATIONS:
        if isinstance(error, causes):
            return translate(said, dsn)
    if isinstance(error, OperationalError):
        return _failed(error, said, dsn)
    return _refused(said, dsn)


def _locked(said: str, _: str | None) -> DatabaseError:
    return MigrationBusyError(
        f"a table stays locked ({said}); try again when the long transaction or the"
        " DDL on it has ended"
    )


def _absent(said: str, _: str | None) -> DatabaseError:
    if "qeetid_authz" in said:
        return NotMigratedError(
            f"schema qeetid_authz isn't complete ({said}); run `qeetid-authz migrate`"
        )
    remedy = (
        "`qeetid-authz migrate --check` says all that differs; in an empty database"
        " `qeetid-authz migrate --bootstrap` makes the tables"
    )
    return SchemaError([said, remedy])


def _forbidden(said: str, _: str | None) -> DatabaseError:
    return DatabaseError(
        f"a right is missing ({said}); to read, grant role qeetid_authz_reader; to"
        " migrate, connect as a superuser, or as the tables' owner who may also create"
        " schemas and roles and grant pg_monitor"
    )


def _read_only(said: str, _: str | None) -> DatabaseError:
    return StandbyError(
        f"the server takes no writes ({said}); give the address of the primary"
    )


def _failed(error: Error, said: str, dsn: str | None) -> DatabaseError:
    state = error.sqlstate
    if state is None or state.startswith(_UNREACHABLE):
        return _unreachable(said, dsn)
    return _refused(said, dsn)


def _unreachable(said: str, dsn: str | None) -> DatabaseError:
    where = describe(dsn) if dsn else "the database"
    return UnreachableError(
        f"{where} doesn't answer ({said}); check the address, that the server runs"
        " and that the credentials are right"
    )


def _unreadable(said: str, dsn: str | None) -> DatabaseError:
    if dsn is None:
        return _refused(said, dsn)
    return DatabaseError(UNREADABLE)  # what libpq says of it may quote the password


def _refused(said: str, _: str | None) -> DatabaseError:
    return DatabaseError(f"the database refused ({said})")


_Translation: TypeAlias = Callable[[str, str | None], DatabaseError]
_TRANSLATIONS: tuple[tuple[type[Error] | tuple[type[Error], ...], _Translation], ...]
_TRANSLATIONS = (
    (errors.LockNotAvailable, _locked),
    (
        (
            errors.UndefinedTable,
            errors.UndefinedColumn,
            errors.UndefinedFunction,
            errors.InvalidSchemaName,
        ),
        _absent,
    ),
    (errors.InsufficientPrivilege, _forbidden),
    (errors.ReadOnlySqlTransaction, _read_only),
    (ProgrammingError, _unreadable),
)


def read_dsn(dsn: str) -> dict[str, Any]:
    """What a DSN says, by libpq's names.

    A URL in whose password a `/` or a `@` isn't percent-encoded is read by libpq in a
    way that nobody meant: a piece of the password becomes the host, the port or the
    database, which are no secrets to anybody.

    Raises:
        DatabaseError: it can't be read, or that may have happened. No part is quoted.
    """
    try:
        given = conninfo_to_dict(dsn)
    except ProgrammingError:
        given = {}
    if not given or (dsn.startswith(_SCHEMES) and _is_torn(given)):
        # Out of the handler, whose error quotes the DSN.
        raise DatabaseError(UNREADABLE)
    return given


def _is_torn(given: dict[str, Any]) -> bool:
    """Whether a piece of the password may have gone astray."""
    where = "".join(str(given.get(name, "")) for name in ("host", "port", "dbname"))
    ports = str(given.get("port", "")).split(",")
    return "@" in where or not all(port.isdigit() or not port for port in ports)


def has_password(dsn: str) -> bool:
    """Whether a DSN holds a password.

    Raises:
        DatabaseError: it can't be read.
    """
    return not {"password", "sslpassword"}.isdisjoint(read_dsn(dsn))


def complete(dsn: str) -> str:
    """A DSN with what it leaves open, bounded in time.

    Raises:
        DatabaseError: the DSN can't be read.
    """
    given = read_dsn(dsn)
    defaults = {k: v for k, v in _DEFAULTS.items() if k not in given}
    # Whatever the DSN or the environment says: this code reads no other.
    return make_conninfo(dsn, **defaults | {"client_encoding": "utf8"})
