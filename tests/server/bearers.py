"""A sidecar that takes tokens, who issues them, and people and machines to ask."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from tests.integration.world import populate
from tests.issuer import Issuer, agent_claims, service_claims, user_claims
from tests.keyserver import KeyServer
from tests.server.sidecars import Reply, exchange, sidecar
from tests.server.town import ACME, ANN, target, uuid

ASKING = "role.read"
READING_AGENT = uuid("agent", "reader")


def settle(connection: Connection[Any]) -> None:
    """The populated town; Ann and an agent hold what a user needs in order to ask."""
    populate(connection)
    role, permission = uuid("role", "reader"), uuid("permission", ASKING)
    connection.execute(
        "INSERT INTO rbac.permissions (id, key) VALUES (%s, %s)", (permission, ASKING)
    )
    connection.execute(
        "INSERT INTO rbac.roles (id, tenant_id, name) VALUES (%s, %s, 'Reader')",
        (role, ACME),
    )
    connection.execute(
        "INSERT INTO rbac.role_permissions (role_id, permission_id) VALUES (%s, %s)",
        (role, permission),
    )
    connection.execute(
        "INSERT INTO auth.agents (id, tenant_id, name, secret_hash) VALUES"
        " (%s, %s, 'reader', 'x')",
        (READING_AGENT, ACME),
    )
    for who in (ANN, READING_AGENT):
        connection.execute(
            "INSERT INTO rbac.user_roles (user_id, tenant_id, role_id)"
            " VALUES (%s, %s, %s)",
            (who, ACME, role),
        )


class Office:
    """A sidecar, and who issues the tokens that it takes."""

    def __init__(self, base_url: str, issuer: Issuer) -> None:
        self.base_url = base_url
        self.issuer = issuer

    def bearer(self, claims: dict[str, Any], **signing: Any) -> str:
        """A header with a token."""
        return f"Bearer {self.issuer.sign(claims, **signing)}"

    def user(self, user: str = ANN, tenant: str = ACME, **over: Any) -> str:
        """A header with a user's token."""
        return self.bearer(user_claims(user, tenant, now(), **over))

    def service(self, service: str, **over: Any) -> str:
        """A header with a service principal's token."""
        return self.bearer(service_claims(service, ACME, now(), **over))

    def agent(self, agent: str, **over: Any) -> str:
        """A header with an agent's token."""
        return self.bearer(agent_claims(agent, ACME, now(), **over))

    def ask(self, *authorizations: str, at: str | None = None) -> Reply:
        """A GET with such `Authorization` headers, of a check about Ann by default."""
        lines = [f"GET {at or target()} HTTP/1.1", "Host: x", "X-Request-Id: r"]
        lines += [f"Authorization: {value}" for value in authorizations]
        head = "\r\n".join([*lines, "", ""])
        return exchange(self.base_url, head.encode("utf-8", "surrogateescape"))


@contextmanager
def office(database: str, **settings: Any) -> Iterator[Office]:
    """A sidecar over a settled database that takes the tokens of an issuer."""
    issuer = Issuer()
    with KeyServer() as endpoint:
        endpoint.serve(issuer.as_jwks())
        with sidecar(database, **{"jwks": endpoint.url, **settings}) as base_url:
            yield Office(base_url, issuer)


def now() -> int:
    """The time, in whole seconds since the Unix epoch."""
    return int(time.time())
