"""Sidecars over a town whose keys stand for actions on single things."""

from collections.abc import Iterator

import psycopg
import pytest

from qeetid_authz.postgres.embedded import Server
from tests.fixtures.postgres import filled_database
from tests.server.authzen.town import build
from tests.server.sidecars import EVERYTHING, LASTING, sidecar


@pytest.fixture(scope="session")
def library_database(cluster: Server, template: str) -> Iterator[str]:
    """The DSN of the library, which nobody changes."""
    with filled_database(cluster, template, build) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def library(library_database: str) -> Iterator[str]:
    """The base URL of a sidecar over it that offers everything."""
    with sidecar(library_database, **LASTING, **EVERYTHING) as base_url:
        yield base_url


@pytest.fixture(scope="session")
def named_library(library_database: str) -> Iterator[str]:
    """The same, calling users by their e-mails."""
    settings = {**LASTING, **EVERYTHING, "authzen_subject_id": "email"}
    with sidecar(library_database, **settings) as base_url:
        yield base_url


@pytest.fixture
def own_library(database: str, connection: psycopg.Connection) -> Iterator[str]:
    """The same over a library of the test's own; `connection` leads there."""
    build(connection)
    with sidecar(database, **EVERYTHING) as base_url:
        yield base_url
