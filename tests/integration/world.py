"""Somebody of every kind in a real database, with credentials for each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import bcrypt
from psycopg import Connection

from qeetid_authz.authorizer import Authorizer
from tests.issuer import Issuer, agent_claims, service_claims, user_claims
from tests.keyserver import Answer, KeyServer
from tests.server.town import ACME, ANN, KEY, add_key, argon2id, build, uuid

SERVICE, AGENT, OTHERS_AGENT = (
    uuid("service", "robot"),
    uuid("agent", "helper"),
    uuid("agent", "stranger"),
)
SESSION = uuid("session", "of ann")
SERVICE_KEY, AGENT_KEY = "reports:read", "calendar:read"
ANNS_KEY = "qk_annsAAAA.secretsecretsecretsecretsecret03"
LEGACY_KEY = "qk_legacyAA.secretsecretsecretsecretsecret04"


def populate(connection: Connection[Any]) -> None:
    """The town, a service principal, two agents, a session and a key of Ann's.

    The service principal is registered for `SERVICE_KEY`; the agent for `AGENT_KEY`
    and `KEY`, the other tenant's agent for `KEY`.
    """
    build(connection)
    connection.execute(
        "INSERT INTO auth.service_principals (id, tenant_id, name, secret_hash, scopes)"
        " VALUES (%s, %s, 'robot', 'x', %s)",
        (SERVICE, ACME, [SERVICE_KEY]),
    )
    for id_, tenant, scopes in (
        (AGENT, ACME, [AGENT_KEY, KEY]),
        (OTHERS_AGENT, uuid("tenant", "other"), [KEY]),
    ):
        connection.execute(
            "INSERT INTO auth.agents (id, tenant_id, name, secret_hash, scopes)"
            " VALUES (%s, %s, %s, 'x', %s)",
            (id_, tenant, id_, scopes),
        )
    connection.execute(
        "INSERT INTO auth.sessions (id, user_id, tenant_id) VALUES (%s, %s, %s)",
        (SESSION, ANN, ACME),
    )
    give_key(connection, ANNS_KEY, user=ANN)


def give_key(
    connection: Connection[Any],
    key: str,
    *,
    user: str | None = None,
    scopes: list[str] | None = None,
    expires_at: datetime | None = None,
    key_hash: str | None = None,
) -> str:
    """Insert an API key of Acme's; returns its id."""
    secret = key.partition(".")[2]
    with connection.transaction():  # no replica sees it without its user and scopes
        id_ = add_key(
            connection,
            ACME,
            key,
            key_hash=key_hash or argon2id(secret),
            expires_at=expires_at,
        )
        connection.execute(
            "UPDATE auth.api_keys SET user_id = %s, scopes = %s WHERE id = %s",
            (user, scopes or [], id_),
        )
    return id_


def legacy_hash(key: str) -> str:
    """A bcrypt hash, as older rows have."""
    secret = key.partition(".")[2].encode()
    return bcrypt.hashpw(secret, bcrypt.gensalt(4)).decode()


def at(seconds: float) -> datetime:
    """A moment by its seconds since the Unix epoch."""
    return datetime.fromtimestamp(seconds, UTC)


class World:
    """An issuer, its key endpoint, and an authorizer that follows the database."""

    def __init__(self, authz: Authorizer, issuer: Issuer, endpoint: KeyServer) -> None:
        self.authz = authz
        self.issuer = issuer
        self.endpoint = endpoint

    def bearer(self, claims: dict[str, Any]) -> str:
        """A header with a token."""
        return f"Bearer {self.issuer.sign(claims)}"

    def anns(self, **over: Any) -> str:
        """A header with a token of Ann's session."""
        return self.bearer(
            user_claims(ANN, ACME, int(time.time()), **{"sid": SESSION, **over})
        )

    def agents(self, **over: Any) -> str:
        """A header with a token of the agent's."""
        return self.bearer(agent_claims(AGENT, ACME, int(time.time()), **over))

    def services(self, **over: Any) -> str:
        """A header with a token of the service principal's."""
        return self.bearer(service_claims(SERVICE, ACME, int(time.time()), **over))


@contextmanager
def world(database: str, **options: Any) -> Iterator[World]:
    """A world over a populated database."""
    issuer = Issuer()
    with KeyServer() as endpoint:
        endpoint.answer = Answer(issuer.as_jwks())
        options = {"jwks": endpoint.url, **options}
        with Authorizer.open(database, **options) as authz:
            yield World(authz, issuer, endpoint)
