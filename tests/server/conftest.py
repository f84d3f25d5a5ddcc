"""Sidecars over the small town, shared by all tests that only ask."""

from collections.abc import Iterator

import psycopg
import pytest

from qeetid_authz.postgres.embedded import Server
from tests.fixtures.postgres import new_database
from tests.server.sidecars import sidecar
from tests.server.town import build


@pytest.fixture(scope="session")
def town_database(cluster: Server, template: str) -> Iterator[str]:
    """The DSN of the town, which nobody changes."""
    with new_database(cluster, template) as name:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            build(connection)
        yield cluster.dsn(name)


@pytest.fixture(scope="session")
def strict(town_database: str) -> Iterator[str]:
    """The base URL of a sidecar with strict semantics."""
    with sidecar(town_database, batch_limit=20) as base_url:
        yield base_url


@pytest.fixture(scope="session")
def mirror(town_database: str) -> Iterator[str]:
    """The base URL of a sidecar with mirror semantics."""
    with sidecar(town_database, semantics="mirror") as base_url:
        yield base_url


@pytest.fixture
def town(database: str, connection: psycopg.Connection) -> str:
    """The DSN of a town of the test's own; `connection` leads there."""
    build(connection)
    return database
