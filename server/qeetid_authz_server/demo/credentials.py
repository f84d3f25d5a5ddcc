"""A credential of each kind, of an issuer that lives as long as the demonstration."""

from time import time
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qeetid_authz.credentials.jwks import parse_key_set
from qeetid_authz.options import AUDIENCE, ISSUER

_LIFE = 3600  # seconds


class DemoIssuer:
    """Issues tokens in Qeet ID's shapes (fact 4), with a key of its own.

    Attributes:
        jwks: the public key as PEM, for the setting of that name.
    """

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())
        public = self._key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        self.jwks = public.decode()
        (self._kid,) = parse_key_set(public).keys

    def user(self, user_id: str, tenant_id: str, **more: Any) -> str:
        """The header of a user's request."""
        named = {"user_id": user_id, "sub": user_id, "sid": str(uuid4())}
        return self._header(tenant_id, named | more)

    def service(self, service_id: str, tenant_id: str) -> str:
        """The header of a service principal's request."""
        return self._header(tenant_id, {"sub": service_id, "actor_type": "service"})

    def agent(self, agent_id: str, tenant_id: str) -> str:
        """The header of an agent's request."""
        named = {"sub": agent_id, "agent_id": agent_id, "actor_type": "agent"}
        return self._header(tenant_id, named)

    def _header(self, tenant_id: str, named: dict[str, Any]) -> str:
        now = int(time())
        claims = {
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "tenant_id": tenant_id,
            "iat": now,
            "nbf": now,
            "exp": now + _LIFE,
            "jti": str(uuid4()),
            **named,
        }
        token = jwt.encode(claims, self._key, "ES256", headers={"kid": self._kid})
        return f"Bearer {token}"
