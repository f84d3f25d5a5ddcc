"""Sidecars over the small town, shared by all tests that only ask."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qeetid_authz.postgres.embedded import Server
from tests.fixtures.postgres import filled_database
from tests.server.bearers import Office, office, settle
from tests.server.sidecars import EVERYTHING, LASTING, request, sidecar
from tests.server.town import ACME_KEY, OTHER_KEY, build, target


@pytest.fixture(scope="session")
def town_database(cluster: Server, template: str) -> Iterator[str]:
    """The DSN of the town, which nobody changes."""
    with filled_database(cluster, template, build) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file by which proxies may ask, in nginx's manner."""
    path = tmp_path_factory.mktemp("routes") / "routes.yaml"
    path.write_text("proxies: [nginx]\nroutes:\n  - {path: /**, for: authenticated}\n")
    return path


@pytest.fixture(scope="session")
def strict(town_database: str, routes: Path) -> Iterator[str]:
    """The base URL of a sidecar with strict semantics."""
    with sidecar(
        town_database, batch_limit=20, routes=routes, **LASTING, **EVERYTHING
    ) as base_url:
        yield base_url


@pytest.fixture(scope="session")
def mirror(town_database: str) -> Iterator[str]:
    """The base URL of a sidecar with mirror semantics."""
    with sidecar(town_database, semantics="mirror", **LASTING) as base_url:
        yield base_url


@pytest.fixture
def town(database: str, connection: psycopg.Connection) -> str:
    """The DSN of a town of the test's own; `connection` leads there."""
    build(connection)
    return database


@pytest.fixture(scope="session")
def settled_database(cluster: Server, template: str) -> Iterator[str]:
    """The DSN of a town with callers of every kind, which nobody changes."""
    with filled_database(cluster, template, settle) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def strict_office(settled_database: str, routes: Path) -> Iterator[Office]:
    """A sidecar that takes tokens, with strict semantics."""
    with office(settled_database, routes=routes, **LASTING, **EVERYTHING) as strict:
        yield strict


@pytest.fixture(scope="session")
def mirror_office(settled_database: str) -> Iterator[Office]:
    """A sidecar that takes tokens, with mirror semantics."""
    with office(settled_database, semantics="mirror", **LASTING) as mirror:
        yield mirror


@pytest.fixture(scope="session")
def ways(settled_database: str) -> Iterator[tuple[str, str]]:
    """Two sidecars that know the keys, with the fast path and without it."""
    with (
        sidecar(settled_database, fast_path=True, **LASTING) as fast,
        sidecar(settled_database, fast_path=False, **LASTING) as slow,
    ):
        for base_url in (fast, slow):
            for key in (ACME_KEY, OTHER_KEY):
                known = request(base_url, target(), key=key)
                assert known.status == (200 if key == ACME_KEY else 403)
        yield fast, slow


@pytest.fixture
def settled(database: str, connection: psycopg.Connection) -> str:
    """The DSN of such a town of the test's own; `connection` leads there."""
    settle(connection)
    return database
