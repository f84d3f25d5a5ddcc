"""Sidecars that the SDKs are pointed at."""

from collections.abc import Iterator

import pytest

from qeetid_authz.postgres.embedded import Server
from tests.fixtures.postgres import filled_database
from tests.issuer import Issuer
from tests.keyserver import KeyServer
from tests.sdks.client import SDKS, Sdk
from tests.server.bearers import Office, settle
from tests.server.sidecars import LASTING, sidecar
from tests.server.town import ACME_KEY
from tests.server.upstreams import Upstream


@pytest.fixture(scope="session")
def settled_database(cluster: Server, template: str) -> Iterator[str]:
    """The DSN of a town with callers of every kind, which nobody changes."""
    with filled_database(cluster, template, settle) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def keys() -> Iterator[tuple[Issuer, KeyServer]]:
    """Who issues tokens, and where its keys are."""
    issuer = Issuer()
    with KeyServer() as endpoint:
        endpoint.serve(issuer.as_jwks())
        yield issuer, endpoint


@pytest.fixture(scope="session", params=[True, False], ids=["fast", "framework"])
def desk(
    settled_database: str,
    keys: tuple[Issuer, KeyServer],
    request: pytest.FixtureRequest,
) -> Iterator[Office]:
    """A sidecar that takes keys and tokens, with the fast path and without."""
    issuer, endpoint = keys
    with sidecar(
        settled_database, jwks=endpoint.url, fast_path=request.param, **LASTING
    ) as base_url:
        yield Office(base_url, issuer)


@pytest.fixture(params=SDKS)
def name(request: pytest.FixtureRequest) -> str:
    """Each SDK's."""
    sdk: str = request.param
    return sdk


@pytest.fixture
def sdk(name: str, desk: Office) -> Sdk:
    """An SDK whose base URL is the sidecar's."""
    return Sdk(name, desk.base_url, ACME_KEY)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The hosted API behind a sidecar."""
    with Upstream() as running:
        yield running
