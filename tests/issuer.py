"""A little issuer of tokens in Qeet ID's shapes, written without the code under test.

issuer = Issuer()
issuer.as_jwks()                                    # what its key endpoint serves
issuer.sign(user_claims(USER, TENANT, now))         # a good token
issuer.sign(claims, header={"typ": "other"})        # another header
encode(b'{"alg":"none"}', b"{}", b"")               # anything at all
"""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "qeet-id"
AUDIENCE = "qeet-id"
NOBODY = "00000000-0000-0000-0000-000000000000"
LIFETIME = 600
"""Of a token, in seconds."""

Object = dict[str, Any]


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def as_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def encode(header: bytes, payload: bytes, signature: bytes) -> str:
    """A token of three segments, whatever they hold."""
    return ".".join(base64url(each) for each in (header, payload, signature))


@dataclass(frozen=True)
class SigningKey:
    """A key on P-256 that signs."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        return self.private.public_key()

    @property
    def pem(self) -> bytes:
        """The public key as SPKI."""
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def point(self) -> Object:
        """The members of a JWK that make the key, in the order of RFC 7638."""
        numbers = self.public.public_numbers()
        x, y = (base64url(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    @property
    def kid(self) -> str:
        """The thumbprint."""
        return base64url(sha256(as_json(self.point)).digest())

    @property
    def jwk(self) -> Object:
        """The public key as Qeet ID serves it."""
        return {**self.point, "use": "sig", "alg": "ES256", "kid": self.kid}

    def signature(self, signed: bytes) -> bytes:
        """A signature as r and s, 32 bytes each."""
        der = self.private.sign(signed, ec.ECDSA(SHA256()))
        return b"".join(each.to_bytes(32, "big") for each in decode_dss_signature(der))


class Issuer:
    """Who signs tokens, with the last of its keys.

    Attributes:
        keys: those that it serves, the retired ones first.
    """

    def __init__(self) -> None:
        self.keys = [SigningKey()]

    def rotate(self) -> SigningKey:
        """Sign with a new key from now on; the former ones are still served."""
        self.keys.append(SigningKey())
        return self.keys[-1]

    def as_jwks(self) -> bytes:
        """The public keys as the key endpoint serves them."""
        return as_json({"keys": [key.jwk for key in self.keys]})

    def sign(
        self,
        claims: Object | bytes,
        *,
        header: Object | bytes | None = None,
        key: SigningKey | None = None,
    ) -> str:
        """A token with a good signature.

        Args:
            claims: what it claims; bytes are taken as they are.
            header: members that differ from or add to the usual ones, None leaving a
                member out; bytes are the whole header.
            key: who signs; the last of `keys` if not said.
        """
        key = key or self.keys[-1]
        if not isinstance(header, bytes):
            members = {"alg": "ES256", "typ": "JWT", "kid": key.kid, **(header or {})}
            header = as_json({k: v for k, v in members.items() if v is not None})
        payload = claims if isinstance(claims, bytes) else as_json(claims)
        signed = f"{base64url(header)}.{base64url(payload)}"
        return f"{signed}.{base64url(key.signature(signed.encode()))}"


def user_claims(user: str, tenant: str, now: int, **over: Any) -> Object:
    """What a user's token claims; `over` replaces claims and adds some."""
    return {
        "user_id": user,
        "tenant_id": tenant,
        "sid": str(uuid4()),
        **_common(user, now),
        **over,
    }


def service_claims(service: str, tenant: str, now: int, **over: Any) -> Object:
    """What a service principal's token claims; as `user_claims`."""
    machine = {"tenant_id": tenant, "actor_type": "service"}
    return {**machine, **_common(service, now), **over}


def agent_claims(agent: str, tenant: str, now: int, **over: Any) -> Object:
    """What an agent's token claims; as `user_claims`."""
    machine = {"tenant_id": tenant, "actor_type": "agent", "agent_id": agent}
    return {**machine, **_common(agent, now), **over}


def _common(subject: str, now: int) -> Object:
    return {
        "iss": ISSUER,
        "sub": subject,
        "aud": [AUDIENCE],
        "exp": now + LIFETIME,
        "nbf": now,
        "iat": now,
        "jti": str(uuid4()),
    }
