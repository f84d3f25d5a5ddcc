"""An issuer's public keys, read from a JWK set or from PEM.

Only keys that can verify ES256 count: EC keys on P-256 (RFC 7518, section 3.4). One
that can't is left out and named, so that it takes no good one with it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from qeetid_authz.credentials.jose import (
    RuleError,
    decode_base64url,
    encode_base64url,
    read_object,
)
from qeetid_authz.errors import KeySetError

KEY_SET_SIZE_LIMIT = 1 << 20
"""The largest key set that is read, in bytes."""
KEY_ID_LIMIT = 256
"""The longest `kid`, in characters."""

_COORDINATE = 32
_PROBLEMS_TOLD = 5
_PEM_START = b"-----BEGIN "
_PEM_BLOCK = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[A-Za-z0-9+/=\s]*-----END \1-----"
)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of an issuer that can verify its tokens.

    Attributes:
        keys: each key by its `kid`.
        problems: a sentence for each key left out, with its position from 1 and the
            rule that it breaks.
    """

    keys: Mapping[str, EllipticCurvePublicKey]
    problems: tuple[str, ...]

    def as_jwks(self) -> dict[str, Any]:
        """The set as JSON objects (RFC 7517, section 5), sorted by `kid`."""
        return {
            "keys": [
                {**_required_members(key), "use": "sig", "alg": "ES256", "kid": kid}
                for kid, key in sorted(self.keys.items())
            ]
        }


def parse_key_set(data: bytes) -> KeySet:
    """Read a JWK set, or PEM: public keys and certificates, one after another.

    A key in PEM has its thumbprint for a `kid` (RFC 7638), as Qeet ID's have (Qeet ID
    fact 4). Of a certificate only the key counts. Different keys with one `kid` are
    all left out, as nobody can tell which is meant; the same key twice counts once.

    Raises:
        KeySetError: it is neither, is larger than `KEY_SET_SIZE_LIMIT`, names a member
            of an object twice, or holds no key that can be used.
    """
    if len(data) > KEY_SET_SIZE_LIMIT:
        raise KeySetError(
            f"the key set has more than {KEY_SET_SIZE_LIMIT} bytes; serve a smaller one"
        )
    found: dict[int, tuple[str, EllipticCurvePublicKey]] = {}
    broken: dict[int, str] = {}
    is_pem = data.lstrip().startswith(_PEM_START)
    entries = _pem_entries(data) if is_pem else _jwk_entries(data)
    read = _read_pem if is_pem else _read_jwk
    for position, entry in enumerate(entries, start=1):
        try:
            found[position] = read(entry)
        except RuleError as rule:
            broken[position] = str(rule)
    for position in _ambiguous(found):
        del found[position]
        broken[position] = "must have a `kid` that no other key has"
    keys = dict(found.values())
    problems = tuple(f"key {each} {broken[each]}" for each in sorted(broken))
    if not keys:
        told = "; ".join(problems[:_PROBLEMS_TOLD]) or "it is empty"
        raise KeySetError(
            f"the key set holds no key that can verify ES256, so give one: {told}"
        )
    return KeySet(keys, problems)


def _ambiguous(found: Mapping[int, tuple[str, EllipticCurvePublicKey]]) -> list[int]:
    """The positions of keys whose `kid` another key has as well."""
    points: dict[str, set[str]] = {}
    for kid, key in found.values():
        points.setdefault(kid, set()).add(_thumbprint(key))
    return [each for each, (kid, _) in found.items() if len(points[kid]) > 1]


def _jwk_entries(data: bytes) -> list[Any]:
    try:
        keys = read_object(data).get("keys")
    except ValueError as rule:
        raise KeySetError(
            f"the key set {rule}; give a JWK set or PEM public keys"
        ) from None
    if not isinstance(keys, list):
        raise KeySetError("the key set must have a list `keys` (RFC 7517, section 5)")
    return keys


def _read_jwk(jwk: Any) -> tuple[str, EllipticCurvePublicKey]:
    if not isinstance(jwk, dict):
        raise RuleError("must be an object")
    operations = jwk.get("key_ops", ["verify"])
    rules = {
        "must have `kty` EC": jwk.get("kty") == "EC",
        "must have `crv` P-256": jwk.get("crv") == "P-256",
        "must be public, without `d`": "d" not in jwk,
        "must have `alg` ES256 or none": jwk.get("alg", "ES256") == "ES256",
        "must have `use` sig or none": jwk.get("use", "sig") == "sig",
        "must have verify among its `key_ops`, or none": (
            isinstance(operations, list) and "verify" in operations
        ),
    }
    for rule, holds in rules.items():
        if not holds:
            raise RuleError(rule)
    kid = jwk.get("kid")
    if not is_key_id(kid):
        raise RuleError(f"must have a `kid` of 1 to {KEY_ID_LIMIT} characters")
    point = b"\x04" + _coordinate(jwk, "x") + _coordinate(jwk, "y")
    try:
        # Unlike public numbers, an encoded point isn't reduced: one spelling a key.
        return kid, EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError:
        raise RuleError("must be a point on P-256") from None


def _coordinate(jwk: dict[str, Any], name: str) -> bytes:
    text = jwk.get(name)
    if isinstance(text, str):
        try:
            coordinate = decode_base64url(text)
        except ValueError:
            coordinate = b""
        if len(coordinate) == _COORDINATE:
            return coordinate
    raise RuleError(f"must have `{name}` as {_COORDINATE} bytes in base64url")


def _pem_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each block with its label; what stands between blocks as one without."""
    at = 0
    for block in _PEM_BLOCK.finditer(data):
        if between := data[at : block.start()].strip():
            yield b"", between
        yield block[1], block[0]
        at = block.end()
    if rest := data[at:].strip():
        yield b"", rest


def _read_pem(entry: tuple[bytes, bytes]) -> tuple[str, EllipticCurvePublicKey]:
    label, block = entry
    if label.endswith(b"PRIVATE KEY"):
        raise RuleError("must be public, without its private part")
    if label not in {b"PUBLIC KEY", b"CERTIFICATE"}:
        raise RuleError("must be a whole PEM block, PUBLIC KEY or CERTIFICATE")
    try:
        if label == b"PUBLIC KEY":
            key = load_pem_public_key(block)
        else:
            key = load_pem_x509_certificate(block).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise RuleError("must be a readable public key or certificate") from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name != SECP256R1.name:
        raise RuleError("must be an EC key on P-256")
    return _thumbprint(key), key


def _thumbprint(key: EllipticCurvePublicKey) -> str:
    members = json.dumps(_required_members(key), sort_keys=True, separators=(",", ":"))
    return encode_base64url(sha256(members.encode()).digest())


def _required_members(key: EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    x, y = (each.to_bytes(_COORDINATE, "big") for each in (numbers.x, numbers.y))
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": encode_base64url(x),
        "y": encode_base64url(y),
    }


def is_key_id(kid: object) -> TypeGuard[str]:
    """Whether something can be a `kid`: a string, neither empty nor very long."""
    return isinstance(kid, str) and 0 < len(kid) <= KEY_ID_LIMIT
