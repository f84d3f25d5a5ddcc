"""Access tokens: how one is written, and whether a key signed it.

A token is a JWS in compact form (RFC 7515) under ES256, as Qeet ID issues them (Qeet
ID fact 4), and nothing else. Its header can name a key, but neither bring one nor say
where to find it, and can ask for nothing. What the token claims is read by
`qeetid_authz.credentials.claims`, once its signature is known to be good.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from jwt.algorithms import ECAlgorithm

from qeetid_authz.credentials.jose import decode_base64url, read_object
from qeetid_authz.credentials.jwks import KEY_ID_LIMIT, is_key_id
from qeetid_authz.errors import (
    BadSignatureError,
    MalformedCredentialError,
    UnsupportedTokenError,
)

TOKEN_SIZE_LIMIT = 128 * 1024
"""The longest token that is read, in characters."""

_SEGMENTS = 3
_ENCRYPTED_SEGMENTS = 5
_SIGNATURE_SIZE = 64
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_REFUSED_MEMBERS = frozenset(
    {"crit", "b64", "jku", "x5u", "jwk", "x5c", "x5t", "x5t#S256", "zip", "cty"}
)
_ES256 = ECAlgorithm(ECAlgorithm.SHA256)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is written, not verified.

    Attributes:
        kid: which of the issuer's keys it says has signed it.
        signed: the bytes that the signature is over.
        signature: r and s, 32 bytes each.
        payload: what it claims, as JSON.
    """

    kid: str = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    payload: bytes = field(repr=False)


def read_token(text: str) -> Token:
    """Take a token apart, believing nothing of it.

    Raises:
        MalformedCredentialError: it is longer than `TOKEN_SIZE_LIMIT`, not three
            segments of canonical base64url, its header no JSON object with a `kid`,
            or its signature no 64 bytes.
        UnsupportedTokenError: it is encrypted or in the JSON form, of another
            algorithm or type, or its header asks for more than to be verified.
    """
    if len(text) > TOKEN_SIZE_LIMIT:
        raise MalformedCredentialError(
            f"the token has more than {TOKEN_SIZE_LIMIT} characters; send a shorter one"
        )
    segments = text.split(".")
    if len(segments) != _SEGMENTS:
        _refuse_form(text, len(segments))
    kid = _read_header(segments[0])
    payload, signature = _decode(segments[1]), _decode(segments[2])
    if len(signature) != _SIGNATURE_SIZE:
        raise MalformedCredentialError(
            f"the token's signature must have {_SIGNATURE_SIZE} bytes, r and s; send"
            " the token as it was issued"
        )
    signed = text[: -len(segments[2]) - 1].encode()
    return Token(kid, signed, signature, payload)


def verify_signature(token: Token, key: EllipticCurvePublicKey) -> None:
    """Make sure that a key on P-256 signed a token.

    The twin (r, n - s) of a good signature is good as well, so the text of a token
    doesn't identify it.

    Raises:
        BadSignatureError: it didn't.
    """
    if not _ES256.verify(token.signed, key, token.signature):
        raise BadSignatureError(
            "the token's signature isn't that of the key it names; get a new token"
        )


def _refuse_form(text: str, segments: int) -> NoReturn:
    if text.lstrip().startswith("{"):
        raise UnsupportedTokenError(
            "a token in JSON form isn't taken; send it in compact form"
        )
    if segments == _ENCRYPTED_SEGMENTS:
        raise UnsupportedTokenError(
            "an encrypted token isn't taken; send one that is only signed"
        )
    raise MalformedCredentialError(
        f"a token must have {_SEGMENTS} segments parted by dots; send the token as it"
        " was issued"
    )


def _decode(segment: str) -> bytes:
    if not segment:
        raise MalformedCredentialError(
            "no segment of a token may be empty; send the token as it was issued"
        )
    try:
        return decode_base64url(segment)
    except ValueError:
        raise MalformedCredentialError(
            "each segment of a token must be base64url without padding; send the token"
            " as it was issued"
        ) from None


# All tokens under one key share their header; one that is refused isn't remembered.
@lru_cache(maxsize=16)
def _read_header(segment: str) -> str:
    """The `kid` of a header that may be taken."""
    try:
        header = read_object(_decode(segment))
    except ValueError as rule:
        raise MalformedCredentialError(
            f"the token's header {rule}; send the token as it was issued"
        ) from None
    if header.get("alg") != "ES256":
        raise UnsupportedTokenError(
            "the token's `alg` must be ES256; send one signed with that"
        )
    if not _REFUSED_MEMBERS.isdisjoint(header):
        named = ", ".join(
            f"`{each}`" for each in sorted(_REFUSED_MEMBERS & set(header))
        )
        raise UnsupportedTokenError(
            f"the token's header must be without {named}; send a plain access token"
        )
    _check_type(header.get("typ"))
    kid = header.get("kid")
    if not is_key_id(kid):
        raise MalformedCredentialError(
            f"the token's `kid` must be a string of 1 to {KEY_ID_LIMIT} characters;"
            " send the token as it was issued"
        )
    return kid


def _check_type(typ: Any) -> None:
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise UnsupportedTokenError(
            "the token's `typ` must be JWT or at+jwt; send an access token"
        )
