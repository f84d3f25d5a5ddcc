"""Servers of the tests' own, of every Postgres at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qeetid_authz.postgres import programs
from qeetid_authz.postgres.embedded import Server, find_binaries
from qeetid_authz.postgres.queries import script
from tests.fixtures.postgres import new_database

ROLES = ("qeetid_authz_reader", "qeetid_authz_owner")


def _wheel_binaries() -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "PACKAGED", Path("/nonexistent"))
        patch.setenv("PATH", "/nonexistent")
        return find_binaries()


BINARIES = tuple(dict.fromkeys((find_binaries(), _wheel_binaries())))
"""The programs found on this machine and those of the wheel, if they differ."""


def version_of(binaries: Path) -> str:
    """A name for a test's parameter."""
    return binaries.parent.name


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
            connection.execute(statement)  # type: ignore[call-overload]


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with psycopg.connect(dsn) as connection:
        found: list[tuple[Any, ...]] = connection.execute(query).fetchall()  # type: ignore[call-overload]
        return found


def _drop_roles(server: Server) -> None:
    run(server.dsn(), *(f"DROP ROLE IF EXISTS {role}" for role in ROLES))
