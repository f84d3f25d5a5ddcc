"""A real database in which somebody holds something, and credentials of every kind.

What `sql/fill.sql` and `sql/credentials.sql` write, and the issuer of its tokens.
"""

import os
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from typing import Any
from uuid import UUID, uuid4

import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.statements import run
from qeetid_authz.authorizer import Authorizer
from qeetid_authz.credentials.jwks import parse_key_set
from qeetid_authz.options import AUDIENCE, ISSUER, POLL_INTERVAL
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.migrate import migrate

SECRET = "secretsecretsecretsecretsecret01"  # noqa: S105  (of nothing but this)
API_KEY = f"ApiKey qk_bench000.{SECRET}"
CLIENT = f"Basic {b64encode(f'bench:{SECRET}'.encode()).decode()}"
PROBE = "bench:probe"
LIFETIME = 3600  # seconds


def uuid(name: str) -> str:
    """The id of a thing by name, as the SQL makes it."""
    return str(UUID(md5(name.encode(), usedforsecurity=False).hexdigest()))


TENANT = uuid("tenant")


class World:
    """The database, and an issuer whose key is known as PEM.

    Attributes:
        dsn: of the database.
        pem: the issuer's public key.
        secret_hash: of `SECRET`, at the cost that Qeet ID's have (fact 6).
    """

    def __init__(self, dsn: str, secret_hash: str) -> None:
        self.dsn = dsn
        self.secret_hash = secret_hash
        self._key = generate_private_key(SECP256R1())
        self.public_key = self._key.public_key()
        self.pem = self.public_key.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).decode()
        (self._kid,) = parse_key_set(self.pem.encode()).keys

    def open(self, poll_interval: float = POLL_INTERVAL) -> Authorizer:
        """An authorizer that takes the issuer's tokens."""
        return Authorizer(self.dsn, jwks=self.pem, poll_interval=poll_interval)

    def user_token(self, name: str, **over: Any) -> str:
        """A token of a user, as Qeet ID issues them (fact 4)."""
        subject = {"user_id": uuid(name), "tenant_id": TENANT, "sid": str(uuid4())}
        return self._sign(subject | _common(name) | over)

    def agent_token(self) -> str:
        """A token of the agent."""
        subject = {
            "tenant_id": TENANT,
            "actor_type": "agent",
            "agent_id": uuid("agent"),
        }
        return self._sign(subject | _common("agent"))

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, "ES256", {"kid": self._kid})


@contextmanager
def world(users: int) -> Iterator[World]:
    """A world with so many other users, on a server of its own."""
    secret_hash = Argon2id(
        salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=19456
    ).derive_phc_encoded(SECRET.encode())
    settings = f"-c bench.users={users} -c bench.secret_hash={secret_hash}"
    with Cluster() as cluster:
        dsn = cluster.dsn()
        migrate(dsn, bootstrap=True)
        with psycopg.connect(dsn, options=settings, autocommit=True) as connection:
            run(connection, "fill")
            run(connection, "credentials")
        yield World(dsn, secret_hash)


def _common(name: str) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": uuid(name),
        "aud": [AUDIENCE],
        "exp": now + LIFETIME,
        "nbf": now,
        "iat": now,
        "jti": str(uuid4()),
    }
