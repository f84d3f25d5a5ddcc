"""Sidecars over the settled town, and clients of either kind to ask them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest

from qeetid_authz.postgres.embedded import Server
from tests.fixtures.postgres import new_database
from tests.server.bearers import Office, office, settle
from tests.server.sidecars import LASTING
from tests.server.town import ACME, add_key, build
from tests.sidecar.clients import KINDS, Opened

LATE_KEY = "qk_lateAAAA.secretsecretsecretsecretsecret05"

Opening = Callable[..., AbstractContextManager[Opened]]
"""Opens a client, as a context, with the arguments of `SidecarClient.open`."""


@pytest.fixture(scope="module")
def settled_database(cluster: Server, template: str) -> Iterator[str]:
    """The DSN of a town with callers of every kind, which nobody changes."""
    with new_database(cluster, template) as name:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            settle(connection)
            add_key(connection, ACME, LATE_KEY, expires_at="2001-01-01")
        yield cluster.dsn(name)


@pytest.fixture(scope="module")
def here(settled_database: str) -> Iterator[Office]:
    """A sidecar that takes keys and tokens."""
    with office(settled_database, batch_limit=20, **LASTING) as strict:
        yield strict


@pytest.fixture
def town(database: str, connection: psycopg.Connection) -> str:
    """The DSN of a town of the test's own; `connection` leads there."""
    build(connection)
    return database


@pytest.fixture(params=KINDS)
def opening(request: pytest.FixtureRequest) -> Any:
    """How a client is opened, of threads and of tasks."""
    return KINDS[request.param]
