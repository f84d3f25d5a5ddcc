"""Proxies, each between clients and an application, with a sidecar that they ask."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from qeetid_authz.postgres.embedded import Server
from qeetid_authz_server.listening.addresses import TcpAddress, parse_address
from tests.fixtures.postgres import new_database
from tests.proxies.backend import PROBE, Backend, Seen
from tests.proxies.programs import PROXIES, configuration, running
from tests.server.bearers import Office, office, settle
from tests.server.sidecars import LASTING, Reply, exchange
from tests.server.town import ACME, OTHER

SECRET, ELSEWHERE = "secret-of-this-proxy", "192.0.2.1"


@dataclass(frozen=True)
class Stand:
    """A proxy, the application behind it, and the sidecar that it asks."""

    name: str
    base_url: str
    backend: Backend
    office: Office

    def send(
        self,
        target: str,
        *lines: str,
        method: str = "GET",
        host: str = "shop.example",
        body: bytes = b"",
    ) -> tuple[Reply, Seen | None]:
        """What a client gets, and what the application, if it got anything."""
        probe = uuid4().hex
        head = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"{PROBE}: {probe}"]
        if body:
            head.append(f"Content-Length: {len(body)}")
        head += [*lines, "", ""]
        raw = "\r\n".join(head).encode("utf-8", "surrogateescape") + body
        reply = exchange(self.base_url, raw)
        return reply, self.backend.seen(probe)

    def anns(self) -> str:
        """A header line by which Ann is known, who may `billing:write`."""
        return f"Authorization: {self.office.user()}"


def port_of(base_url: str) -> int:
    """Where something listens."""
    address = parse_address(base_url.removeprefix("http://"))
    assert isinstance(address, TcpAddress)
    return address.port


def routes_for(proxy: str, directory: Path) -> Path:
    """The documentation's routes, behind another proxy."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "routes.yaml"
    text = configuration("routes.yaml", {"proxies: [nginx]": f"proxies: [{proxy}]"})
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def proxied_database(cluster: Server, template: str) -> Iterator[str]:
    """The DSN of a settled town, which nobody changes.

    Acme lets in this machine only, the other tenant only machines that are elsewhere.
    """
    with new_database(cluster, template) as name:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            settle(connection)
            for tenant, cidr in ((ACME, "127.0.0.1/32"), (OTHER, f"{ELSEWHERE}/32")):
                connection.execute(
                    "INSERT INTO tenant.ip_rules_config (tenant_id, enabled)"
                    " VALUES (%s, true)",
                    (tenant,),
                )
                connection.execute(
                    "INSERT INTO tenant.ip_rules (tenant_id, cidr, action, label)"
                    " VALUES (%s, %s, 'allow', 'here')",
                    (tenant, cidr),
                )
        yield cluster.dsn(name)


@pytest.fixture
def settled(database: str, connection: psycopg.Connection) -> str:
    """The DSN of a settled town of the test's own; `connection` leads there."""
    settle(connection)
    return database


@contextmanager
def asked_by(
    proxy: str, database: str, directory: Path, **settings: Any
) -> Iterator[Office]:
    """A sidecar that a proxy may ask by the documentation's routes."""
    given = {"routes": routes_for(proxy, directory), "proxy_secret": SECRET}
    with office(database, **{**given, "cookie": "session", **settings}) as asked:
        yield asked


@pytest.fixture(scope="session", params=PROXIES)
def stand(
    request: pytest.FixtureRequest,
    proxied_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    """Each proxy in turn."""
    name: str = request.param
    directory = tmp_path_factory.mktemp(name)
    with ExitStack() as stack:
        asked = stack.enter_context(
            asked_by(name, proxied_database, directory, **LASTING)
        )
        backend = stack.enter_context(Backend())
        sidecar_port = port_of(asked.base_url)
        base_url = stack.enter_context(
            running(name, directory, sidecar_port, backend.port)
        )
        yield Stand(name, base_url, backend, asked)
