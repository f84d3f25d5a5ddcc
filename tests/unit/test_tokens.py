"""Access tokens: the checklist of adversarial ones, clocks, and what is read of good ones.

Every refusal is for its own reason, so that one rule can't stand in for another.
"""

import hmac
import json
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from math import inf
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.credentials.claims import (
    ACTOR_DEPTH_LIMIT,
    Claims,
    Expectations,
    read_claims,
)
from qeetid_authz.credentials.jwks import parse_key_set
from qeetid_authz.credentials.tokens import (
    TOKEN_SIZE_LIMIT,
    Token,
    read_token,
    verify_signature,
)
from qeetid_authz.errors import (
    AuthenticationError,
    BadSignatureError,
    MalformedCredentialError,
    TokenExpiredError,
    TokenNotYetValidError,
    TokenTooLongLivedError,
    UnknownSigningKeyError,
    UnsupportedTokenError,
    WrongAudienceError,
    WrongIssuerError,
)
from qeetid_authz.ids import format_id
from qeetid_authz.principal import Kind
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    LIFETIME,
    NOBODY,
    Issuer,
    Object,
    SigningKey,
    agent_claims,
    as_json,
    base64url,
    encode,
    service_claims,
    user_claims,
)
from tests.tables import named

NOW = 1_800_000_000
USER, TENANT, SESSION = (named(kind, 1) for kind in ("user", "tenant", "session"))
ACTOR, MACHINE = named("agent", 1), named("service", 1)
EXPECTED = Expectations(ISSUER, AUDIENCE)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256, n in SEC 2."""

issuer = Issuer()
KEY = issuer.keys[0]
KEYS = parse_key_set(issuer.as_jwks()).keys
STRANGER = SigningKey()


def claims(**over: Any) -> Object:
    user, tenant, session = map(format_id, (USER, TENANT, SESSION))
    fixed = {"sid": session, "jti": "one"}
    return user_claims(user, tenant, NOW, **{**fixed, **over})


def without(name: str, of: Object | None = None) -> Object:
    return {k: v for k, v in (of or claims()).items() if k != name}


def service(**over: Any) -> Object:
    return service_claims(format_id(MACHINE), format_id(TENANT), NOW, **over)


def agent(**over: Any) -> Object:
    return agent_claims(format_id(ACTOR), format_id(TENANT), NOW, **over)


def any_of(*values: Any) -> tuple[Any, ...]:
    return values


HEADER = {"alg": "ES256", "typ": "JWT", "kid": KEY.kid}
GOOD = issuer.sign(claims())
SIGNED, _, SIGNATURE = GOOD.rpartition(".")
R, S = decode_dss_signature(KEY.private.sign(SIGNED.encode(), ec.ECDSA(SHA256())))


def accept(
    text: str, now: float = NOW, expected: Expectations = EXPECTED
) -> tuple[Token, Claims]:
    """All of a verification, as an authenticator does it."""
    token = read_token(text)
    if token.kid not in KEYS:
        raise UnknownSigningKeyError("the token's key isn't among the issuer's")
    verify_signature(token, KEYS[token.kid])
    return token, read_claims(token.payload, expected, now)


def read(claimed: Object | bytes, now: float = NOW, **expected: Any) -> Claims:
    expectations = Expectations(ISSUER, AUDIENCE, **expected)
    return accept(issuer.sign(claimed), now, expectations)[1]


@contextmanager
def refused(error: type[AuthenticationError], reason: str) -> Iterator[None]:
    """A refusal of exactly this class for this reason, a good token before and after."""
    assert USER == accept(GOOD)[1].subject
    with pytest.raises(AuthenticationError, match=reason) as caught:
        yield
    assert error is caught.type
    assert USER == accept(GOOD)[1].subject


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed_with(signature: bytes) -> str:
    return f"{SIGNED}.{base64url(signature)}"


def symmetric(secret: bytes, alg: str = "HS256") -> str:
    """A token whose signature is a MAC under something public."""
    signed = (
        f"{base64url(as_json({**HEADER, 'alg': alg}))}.{base64url(as_json(claims()))}"
    )
    mac = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64url(mac)}"


def with_fitting_key(alg: str) -> str:
    """A token well signed under another algorithm, by a key that isn't the issuer's."""
    signed = (
        f"{base64url(as_json({**HEADER, 'alg': alg}))}.{base64url(as_json(claims()))}"
    )
    message = signed.encode()
    if alg in {"RS256", "PS256"}:
        key = rsa.generate_private_key(65537, 2048)
        scheme = (
            padding.PKCS1v15()
            if alg == "RS256"
            else padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
        )
        signature = key.sign(message, scheme, SHA256())
    elif alg == "EdDSA":
        signature = ed25519.Ed25519PrivateKey.generate().sign(message)
    else:
        curves: dict[str, tuple[ec.EllipticCurve, HashAlgorithm]] = {
            "ES256K": (ec.SECP256K1(), SHA256()),
            "ES384": (ec.SECP384R1(), SHA384()),
            "ES512": (ec.SECP521R1(), SHA512()),
        }
        curve, digest = curves[alg]
        private = ec.generate_private_key(curve)
        der = private.sign(message, ec.ECDSA(digest))
        size = (curve.key_size + 7) // 8
        signature = b"".join(
            each.to_bytes(size, "big") for each in decode_dss_signature(der)
        )
    return f"{signed}.{base64url(signature)}"


POINT = KEY.public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
PUBLIC = {
    "pem": KEY.pem,
    "pem-without-newline": KEY.pem.rstrip(b"\n"),
    "der": KEY.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "sec1": POINT,
    "x-y": POINT[1:],
    "jwk": as_json(KEY.jwk),
    "jwks": issuer.as_jwks(),
    "empty": b"",
    "null": b"null",
}

ALG = r"`alg` must be ES256"
KID = r"`kid` must be a string of 1 to 256 characters"
TYP = r"`typ` must be JWT or at\+jwt"
BASE64 = "segment of a token must be base64url"
EMPTY = "no segment of a token may be empty"
SEGMENTS = "a token must have 3 segments"
SIZE = "signature must have 64 bytes"
UNKNOWN = "key isn't among the issuer's"
TWICE = "has a member twice"
NOT_THE_KEYS = "signature isn't that of the key"
Malformed, Unsupported = MalformedCredentialError, UnsupportedTokenError

Row = tuple[str, str, type[AuthenticationError], str]


def header_row(
    name: str, error: type[AuthenticationError], reason: str, **members: Any
) -> Row:
    return name, issuer.sign(claims(), header=members), error, reason


def whole_header_row(name: str, header: bytes, reason: str) -> Row:
    return name, issuer.sign(claims(), header=header), Malformed, reason


def forbidden(name: str, member: str, value: Any) -> Row:
    reason = f"must be without `{re.escape(member)}`"
    token = issuer.sign(claims(), header={member: value})
    return name, token, Unsupported, reason


ALGORITHMS: list[Row] = [
    *(
        (f"A1-{alg}-{ending:.1}{len(ending)}", f"{unsigned}{ending}", error, reason)
        for alg in ("none", "None", "NONE", "nOnE")
        for unsigned in [
            encode(as_json({**HEADER, "alg": alg}), as_json(claims()), b"")[:-1]
        ]
        for ending, error, reason in (
            ("", Malformed, SEGMENTS),
            (".", Unsupported, ALG),
            (f".{SIGNATURE}", Unsupported, ALG),
        )
    ),
    *(
        (f"A2-{alg}-{name}", symmetric(secret, alg), error, reason)
        for name, secret in PUBLIC.items()
        for alg, error, reason in (
            ("HS256", Unsupported, ALG),
            ("ES256", Malformed, SIZE),
        )
    ),
    *(
        (f"A3-{alg}", with_fitting_key(alg), Unsupported, ALG)
        for alg in ("ES256K", "ES384", "ES512", "RS256", "PS256", "EdDSA")
    ),
    *(
        header_row(f"A4-{alg!r}", Unsupported, ALG, alg=alg)
        for alg in any_of("es256", "ES256 ", ["ES256"], 256, {}, "", None)
    ),
    whole_header_row("A4-null", b'{"alg":null,"alg":"ES256"}', TWICE),
    ("A6-der", signed_with(encode_dss_signature(R, S)), Malformed, SIZE),
    *(
        (f"A7-{name}", signed_with(raw(r, s)), BadSignatureError, NOT_THE_KEYS)
        for name, r, s in (
            ("zeros", 0, 0),
            ("r-zero", 0, S),
            ("s-zero", R, 0),
            ("r-order", ORDER, S),
            ("s-order", R, ORDER),
            ("order-and-one", ORDER + 1, ORDER + 1),
            ("swapped", S, R),
            ("most", 2**256 - 1, 2**256 - 1),
        )
    ),
    ("A7-0", f"{SIGNED}.", Malformed, EMPTY),
    *(
        (f"A7-{len(signature)}", signed_with(signature), Malformed, SIZE)
        for signature in (raw(R, S)[:63], raw(R, S) + b"\0", raw(R, S) * 2)
    ),
    (
        "A8-other-payload",
        f"{GOOD.split('.')[0]}.{base64url(as_json(claims(scope='a')))}.{SIGNATURE}",
        BadSignatureError,
        NOT_THE_KEYS,
    ),
    (
        "A8-other-header",
        f"{base64url(as_json({**HEADER, 'typ': 'at+jwt'}))}"
        f".{GOOD.split('.')[1]}.{SIGNATURE}",
        BadSignatureError,
        NOT_THE_KEYS,
    ),
    ("A8-swapped", ".".join(GOOD.split(".")[i] for i in (1, 0, 2)), Unsupported, ALG),
    (
        "A8-stranger",
        issuer.sign(claims(), key=STRANGER, header={"kid": KEY.kid}),
        BadSignatureError,
        NOT_THE_KEYS,
    ),
]

STRANGERS = (
    "../../dev/null",
    "' OR 1=1--",
    "\0",
    "http://127.0.0.1/",
    KEY.kid.upper(),
    "k" * 256,
    STRANGER.kid,
)
KEY_SELECTION: list[Row] = [
    *(
        header_row(f"K1-stranger-{i}", UnknownSigningKeyError, UNKNOWN, kid=kid)
        for i, kid in enumerate(STRANGERS)
    ),
    *(
        header_row(f"K1-{kid!r:.9}", Malformed, KID, kid=kid)
        for kid in any_of(None, "", 0, [], {}, True, "k" * 257, "k" * 10_000)
    ),
    whole_header_row(
        "K1-null", b'{"alg":"ES256","typ":"JWT","kid":null}', re.escape(KID)
    ),
    forbidden("K4-own", "jwk", KEY.jwk),
    forbidden("K4-private", "jwk", {**STRANGER.jwk, "d": "AA"}),
    (
        "K4-attacker",
        issuer.sign(claims(), key=STRANGER, header={"jwk": STRANGER.jwk}),
        Unsupported,
        "must be without `jwk`",
    ),
    *(
        forbidden(f"K5-{member}-{url}", member, url)
        for member in ("jku", "x5u")
        for url in ("https://a.example/", "file:///etc", "http://169.254.169.254/")
    ),
    forbidden("K5-x5c", "x5c", ["AA=="]),
    forbidden("K5-x5t", "x5t", "AA"),
    forbidden("K5-x5t#S256", "x5t#S256", "AA"),
]

TEXT = as_json(HEADER)
HEADERS: list[Row] = [
    *(
        forbidden(f"H1-{crit!r}", "crit", crit)
        for crit in any_of(["exp"], [], ["x"], ["absent"], "b64", False)
    ),
    forbidden("H2", "b64", False),
    (
        "H2-named",
        issuer.sign(claims(), header={"b64": False, "crit": ["b64"]}),
        Unsupported,
        "must be without `b64`, `crit`;",
    ),
    whole_header_row("H3-alg", b'{"alg":"none",' + TEXT[1:], TWICE),
    whole_header_row("H3-kid", b'{"kid":"other",' + TEXT[1:], TWICE),
    whole_header_row("H3-escaped", b'{"\\u0061lg":"ES256",' + TEXT[1:], TWICE),
    *(
        whole_header_row(f"H4-{header[:9]!r}", header, "header isn't a JSON object")
        for header in (b"[]", b'"ES256"', b"null", b"7", b"true")
    ),
    whole_header_row("H4-latin1", TEXT[:-1] + b',"a":"\xe9"}', "header isn't UTF-8"),
    whole_header_row("H4-utf16", TEXT.decode().encode("utf-16"), "header isn't UTF-8"),
    whole_header_row("H4-utf16le", TEXT.decode().encode("utf-16-le"), "isn't JSON"),
    whole_header_row("H4-bom", b"\xef\xbb\xbf" + TEXT, "header isn't JSON"),
    whole_header_row("H4-nan", TEXT[:-1] + b',"a":NaN}', "header isn't JSON"),
    whole_header_row("H4-infinity", TEXT[:-1] + b',"a":-Infinity}', "isn't JSON"),
    whole_header_row("H4-trailing", TEXT + b"x", "header isn't JSON"),
    whole_header_row("H4-twice", TEXT + TEXT, "header isn't JSON"),
    whole_header_row("H4-nul", TEXT + b"\0", "header isn't JSON"),
    whole_header_row(
        "H4-surrogate", TEXT[:-1] + b',"a":"\\ud800"}', "half a surrogate pair"
    ),
    whole_header_row(
        "H4-deep",
        TEXT[:-1] + b',"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "header is nested too deeply",
    ),
    whole_header_row(
        "H4-digits", TEXT[:-1] + b',"a":' + b"9" * 10_000 + b"}", "beyond measure"
    ),
    *(
        header_row(f"H5-{typ}", Unsupported, TYP, typ=typ)
        for typ in any_of(
            None,
            "id_token",
            "logout+jwt",
            "token-introspection+jwt",
            "dpop+jwt",
            "secevent+jwt",
            "application/jwt",
            "JWT ",
            "",
            7,
            ["JWT"],
        )
    ),
    forbidden("H6-cty", "cty", "JWT"),
    forbidden("H6-zip", "zip", "DEF"),
    (
        "H6-jwe",
        f"{base64url(as_json({'alg': 'PBES2-HS256+A128KW', 'p2c': 2**31}))}.a.a.a.a",
        Unsupported,
        "an encrypted token isn't taken",
    ),
]

HEAD, BODY, _ = GOOD.split(".")
LOOSE = chr(ord(SIGNATURE[-1]) + 1)
"""Another last character of the same 64 bytes: `A` and `Q` are, one on they aren't."""

ENCODINGS: list[Row] = [
    *(
        (f"E1-{name}", text, Malformed, BASE64)
        for name, text in {
            "padded": f"{GOOD}==",
            "padded-header": f"{HEAD}=.{BODY}.{SIGNATURE}",
            "padding-inside": f"{HEAD}.{BODY[:4]}={BODY[4:]}.{SIGNATURE}",
            "plus": f"{HEAD}.{BODY}.+{SIGNATURE[1:]}",
            "slash": f"{HEAD}.{BODY}./{SIGNATURE[1:]}",
            "space": f" {GOOD}",
            "space-after": f"{GOOD} ",
            "newline": f"{GOOD}\n",
            "newline-inside": f"{HEAD}.{BODY[:8]}\n{BODY[8:]}.{SIGNATURE}",
            "loose-bits": f"{GOOD[:-1]}{LOOSE}",
            "one-character": f"{HEAD}.{BODY}.A",
            "one-too-many": f"{HEAD}.{BODY}.{SIGNATURE}AAA",
            "percent": f"{HEAD}.{BODY}.%41{SIGNATURE[1:]}",
            "nul": f"{GOOD}\0",
            "not-ascii": f"{HEAD}.{BODY}.\u00e9{SIGNATURE[1:]}",
            "fullwidth": f"{HEAD}.{BODY}.\uff21{SIGNATURE[1:]}",
            "surrogate": f"{HEAD}.{BODY}.\udc80{SIGNATURE[1:]}",
        }.items()
    ),
    (
        "E2-json",
        json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
        Unsupported,
        "a token in JSON form isn't taken",
    ),
    ("E2-json-space", ' {"signatures": []}', Unsupported, "a token in JSON form"),
    *(
        (f"E2-{name}", text, error, reason)
        for name, text, error, reason in (
            ("extra", f"{GOOD}.a", Malformed, SEGMENTS),
            ("six", "a.a.a.a.a.a", Malformed, SEGMENTS),
            ("two", f"{HEAD}.{BODY}", Malformed, SEGMENTS),
            ("one", HEAD, Malformed, SEGMENTS),
            ("nothing", "", Malformed, SEGMENTS),
            ("dots", "..", Malformed, EMPTY),
            ("no-header", f".{BODY}.{SIGNATURE}", Malformed, EMPTY),
            ("no-payload", f"{HEAD}..{SIGNATURE}", Malformed, EMPTY),
            ("an-api-key", "qk_prefix12.and-the-secret", Malformed, SEGMENTS),
        )
    ),
    whole_header_row("E2-header", TEXT[:-1] + b',"a":"' + b"a" * 8000, "isn't JSON"),
    ("E2-1MB", "a" * 1_000_000, Malformed, f"more than {TOKEN_SIZE_LIMIT} characters"),
    (
        "E2-limit",
        f"{GOOD}{'A' * (TOKEN_SIZE_LIMIT - len(GOOD) + 1)}",
        Malformed,
        "send a shorter one",
    ),
    (
        "E2-at-limit",
        f"{GOOD}{'A' * (TOKEN_SIZE_LIMIT - len(GOOD))}",
        Malformed,
        f"{SIZE}|{BASE64}",
    ),
]


def claim_row(
    name: str,
    error: type[AuthenticationError],
    reason: str,
    claimed: Object | bytes | None = None,
    **over: Any,
) -> Row:
    return name, issuer.sign(claimed or claims(**over)), error, reason


def time_rule(name: str) -> str:
    return f"`{name}` must be whole seconds since"


def nested(depth: int) -> Object:
    act: Object = {"sub": format_id(ACTOR)}
    for level in range(depth - 1):
        act = {"sub": format_id(named("agent", level)), "act": act}
    # The deepest was built first: the current actor is the outermost.
    return {**act, "sub": format_id(ACTOR)}


NO_TIMES: list[Any] = [
    str(NOW + 9),
    NOW + 9.0,
    -1,
    True,
    None,
    [NOW],
    2**53,
    2**63,
    10**400,
]
DIGITS = as_json(claims(exp=0)).replace(b'"exp":0', b'"exp":' + b"9" * 5000)
NOT_UUIDS: list[Any] = [
    "admin",
    "",
    7,
    None,
    [format_id(TENANT)],
    TENANT.hex(),
    f"usr_{TENANT.hex()}",
    f"{{{format_id(TENANT)}}}",
    f"urn:uuid:{format_id(TENANT)}",
    f" {format_id(TENANT)[1:]}",
    format_id(TENANT).replace("-", "_"),
    "-".join(TENANT.hex()[at : at + 7] for at in range(0, 32, 7)),
    f"{format_id(TENANT)}-",
    f"{format_id(TENANT)[:-1]}g",
    f"{format_id(TENANT)[:-1]}\uff11",
    "--------" + "-" * 28,
    "a" * 1000,
    {"sub": format_id(TENANT)},
]
UUID_RULE = "must be a UUID of 36 characters"

CLAIMS: list[Row] = [
    claim_row("C1-missing", Malformed, "`exp` must be there", without("exp")),
    *(
        claim_row(f"C{no}-{name}-{i}", Malformed, time_rule(name), **{name: value})
        for no, name in ((1, "exp"), (2, "nbf"), (2, "iat"))
        for i, value in enumerate(NO_TIMES)
    ),
    claim_row(
        "C1-1e400",
        Malformed,
        "payload has a number beyond measure",
        as_json(claims(exp=0)).replace(b'"exp":0', b'"exp":1e400'),
    ),
    claim_row("C1-digits", Malformed, "payload has a number beyond measure", DIGITS),
    claim_row("C1-zero", TokenExpiredError, "`exp` is past", exp=0),
    claim_row("C1-past", TokenExpiredError, "`exp` is past", exp=NOW - 1),
    claim_row("C2-nbf", TokenNotYetValidError, "`nbf` is still to come", nbf=NOW + 1),
    claim_row("C2-iat", TokenNotYetValidError, "`iat` is still to come", iat=NOW + 1),
    claim_row("C2-far", TokenNotYetValidError, "`nbf` is still", nbf=2**53 - 1),
    claim_row("C3-missing", WrongIssuerError, "`iss` isn't", without("iss")),
    *(
        claim_row(f"C3-{iss}", WrongIssuerError, "`iss` isn't the issuer", iss=iss)
        for iss in ("qeet-id/", "Qeet-ID", "qeet-i", "qeet-id2", "http://qeet-id", "")
    ),
    *(
        claim_row(f"C3-{iss!r}", Malformed, "`iss` must be a string", iss=iss)
        for iss in any_of(["qeet-id"], 7, None, {})
    ),
    claim_row("C4-missing", WrongAudienceError, "`aud` doesn't", without("aud")),
    *(
        claim_row(f"C4-{aud!r}", WrongAudienceError, "`aud` doesn't name", aud=aud)
        for aud in any_of([], "", "other", "qeet-i", "qeet-id ", ["other"], ["QEET-ID"])
    ),
    *(
        claim_row(f"C4-{aud!r}", Malformed, "`aud` must be a string or a list", aud=aud)
        for aud in any_of(
            [["qeet-id"]],
            ["qeet-id", 7],
            ["qeet-id", None],
            {"qeet-id": 1},
            7,
            None,
        )
    ),
    claim_row("C5-missing", Malformed, "`sub` must equal", without("sub")),
    *(
        claim_row(f"C5-{sub!r:.20}", Malformed, "`sub` must equal `user_id`", sub=sub)
        for sub in any_of(
            "", 7, {}, "a" * 90_000, "\x01", "admin", NOBODY, USER.hex(), None
        )
    ),
    claim_row(
        "C5-other-case",
        Malformed,
        "`sub` must equal `user_id`",
        sub=format_id(USER).upper(),
    ),
    claim_row("C5-client", Malformed, "`user_id` must name", without("user_id")),
    claim_row("C5-nobody", Malformed, "`user_id` must name", user_id=NOBODY),
    *(
        claim_row(f"C5-{name}-{i}", Malformed, f"`{name}` {UUID_RULE}", **{name: value})
        for name in ("user_id", "tenant_id", "sid")
        for i, value in enumerate(NOT_UUIDS)
    ),
    *(
        claim_row(f"C7-{scope!r:.20}", Malformed, "`scope` must be", scope=scope)
        for scope in any_of(
            ["a", "b"],
            "a  b",
            " a",
            "a ",
            " ",
            None,
            7,
            {"a": True},
        )
    ),
    claim_row(
        "C9-id-token",
        WrongAudienceError,
        "`aud` doesn't name",
        {
            "iss": ISSUER,
            "sub": format_id(USER),
            "aud": "client",
            "tenant_id": format_id(TENANT),
            "exp": NOW + 9,
            "iat": NOW,
        },
    ),
    (
        "C9-foreign",
        issuer.sign(claims(), key=STRANGER),
        UnknownSigningKeyError,
        UNKNOWN,
    ),
    claim_row(
        "C11-twice",
        Malformed,
        f"payload {TWICE}",
        as_json(claims())[:-1] + b',"sub":"x"}',
    ),
    claim_row(
        "C11-twice-deep",
        Malformed,
        f"payload {TWICE}",
        as_json(claims())[:-1] + b',"claims":[{"a":{"b":1,"b":1}}]}',
    ),
    claim_row(
        "C11-deep",
        Malformed,
        "payload is nested too deeply",
        as_json(claims())[:-1] + b',"claims":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ),
    claim_row("C11-open", Malformed, "payload is nested too deeply", b"[" * 90_000),
    *(
        claim_row(f"C11-{text!r}", Malformed, "payload isn't a JSON object", text)
        for text in (b"[]", b"null", b'"sub"', b"1")
    ),
    claim_row("C11-cut", Malformed, "payload isn't JSON", as_json(claims())[:-1]),
    claim_row("C11-nan", Malformed, "payload isn't JSON", b'{"a":NaN}'),
    claim_row("C11-utf8", Malformed, "payload isn't UTF-8", b'{"a":"\xc3"}'),
    claim_row("C11-utf8-surrogate", Malformed, "isn't UTF-8", b'{"a":"\xed\xa0\x80"}'),
    claim_row(
        "C11-surrogate",
        Malformed,
        "payload has half a surrogate pair",
        as_json(claims(scope="\ud800")),
    ),
    claim_row(
        "C11-surrogate-deep",
        Malformed,
        "payload has half a surrogate pair",
        as_json(claims(claims=[{"\udfff": 1}])),
    ),
    *(
        claim_row(f"kind-{kind!r}", Malformed, "`actor_type` must be", actor_type=kind)
        for kind in any_of("User", "api_key", "", None, 7, ["user"], {})
    ),
    *(
        claim_row(f"act-{act!r:.9}", Malformed, "`act` must be an object", act=act)
        for act in any_of(format_id(ACTOR), [], None, 7, True)
    ),
    *(
        claim_row(f"act-{i}", Malformed, "`act` must be an object", act=act)
        for i, act in enumerate(
            {"sub": format_id(ACTOR), "act": inner} for inner in any_of([], None, "a")
        )
    ),
    *(
        claim_row(f"act-sub-{i}", Malformed, "`sub` of `act` must be", act={"sub": sub})
        for i, sub in enumerate(NOT_UUIDS)
    ),
    claim_row("act-nobody", Malformed, "`sub` of `act` must name", act={"sub": NOBODY}),
    claim_row(
        "act-only-inside",
        Malformed,
        "`sub` of `act` must name",
        act={"act": {"sub": format_id(ACTOR)}},
    ),
    claim_row("act-9", Malformed, "`act` must hold at most 8", act=nested(9)),
    claim_row(
        "act-500",
        Malformed,
        "`act` must hold at most 8",
        act=nested(500),
    ),
    *(
        claim_row(f"{kind}-{name}", Malformed, reason, make(**over))
        for kind, make in (("service", service), ("agent", agent))
        for name, reason, over in (
            ("tenantless", "`tenant_id` must name a tenant", {"tenant_id": NOBODY}),
            ("user", "`user_id` and `sid` must be left", {"user_id": format_id(USER)}),
            ("session", "`user_id` and `sid` must be", {"sid": format_id(SESSION)}),
            ("bad-user", f"`user_id` {UUID_RULE}", {"user_id": 7}),
            ("bad-session", f"`sid` {UUID_RULE}", {"sid": "x"}),
        )
    ),
    claim_row(
        "service-nowhere",
        Malformed,
        "`tenant_id` must name a tenant",
        without("tenant_id", service()),
    ),
    claim_row("service-nobody", Malformed, "`sub` must name", service(sub=NOBODY)),
    claim_row(
        "service-anonymous", Malformed, "`sub` must name", without("sub", service())
    ),
    claim_row("service-client", Malformed, f"`sub` {UUID_RULE}", service(sub="admin")),
    claim_row(
        "agent-other",
        Malformed,
        "`agent_id` must equal `sub`",
        agent(agent_id=format_id(USER)),
    ),
    claim_row("agent-null", Malformed, "`agent_id` must equal", agent(agent_id=None)),
]

CHECKLIST = ALGORITHMS + KEY_SELECTION + HEADERS + ENCODINGS + CLAIMS


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [pytest.param(*row[1:], id=ascii(row[0])[1:-1][:60]) for row in CHECKLIST],
)
def test_an_adversarial_token_is_refused_for_its_own_reason(
    text: str, error: type[AuthenticationError], reason: str
) -> None:
    """Each token of the checklist has its error class and its rule in the message."""
    with refused(error, reason):
        accept(text)


@pytest.mark.parametrize(
    "text", [pytest.param(row[1], id=f"{i}") for i, row in enumerate(CHECKLIST)]
)
def test_no_refusal_quotes_the_token(text: str) -> None:
    """Neither a message nor a traceback has six characters in a row of the token."""
    pieces = {text[at : at + 6] for at in range(min(len(text), 4000) - 5)}
    with pytest.raises(AuthenticationError) as caught:
        accept(text)
    causes = "".join(traceback.format_exception_only(caught.value))

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert not [at for at in range(len(causes) - 5) if causes[at : at + 6] in pieces]


SECRET = "Zr7xQ2-vW9kLp4"


@pytest.mark.parametrize(
    "text",
    [
        issuer.sign(claims(), header={name: SECRET})
        for name in ("alg", "typ", "jku", "crit", "jwk")
    ]
    + [issuer.sign(claims(), header={"kid": [SECRET]})]
    + [
        issuer.sign(claims(**{name: value}))
        for name in claims()
        if name != "jti"
        for value in (SECRET, [SECRET, 7], {SECRET: SECRET})
    ]
    + [
        issuer.sign(claims(), header=f'{{"{SECRET}":1,"{SECRET}":2}}'.encode()),
        issuer.sign(f'{{"{SECRET}":"\\q"}}'.encode()),
        issuer.sign(f'{{"{SECRET}":"\\ud800"}}'.encode()),
        issuer.sign(claims(act={"sub": SECRET})),
        issuer.sign(claims(actor_type=SECRET)),
        issuer.sign(claims(scope=f"{SECRET}  {SECRET}")),
    ],
)
def test_no_refusal_quotes_what_a_token_says(text: str) -> None:
    """Whatever claim or header member is wrong, its value isn't told."""
    with pytest.raises(AuthenticationError) as caught:
        accept(text)

    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_token_as_text_shows_nothing() -> None:
    """A token that gets into a log by accident tells nothing about itself."""
    assert "Token()" == repr(read_token(GOOD))


def test_the_twin_of_a_signature_is_good() -> None:
    """A9: (r, n - s) verifies as well, so a token's text isn't its identity."""
    r, s = int.from_bytes(raw(R, S)[:32], "big"), ORDER - S
    twin = signed_with(raw(r, s))

    assert twin != signed_with(raw(R, S))
    assert accept(twin)[1] == accept(signed_with(raw(R, S)))[1]


def test_a_signature_of_another_curve_is_bad() -> None:
    """A5: a key that isn't on P-256 never verifies, even were it handed in."""
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(BadSignatureError, match=NOT_THE_KEYS):
        verify_signature(read_token(GOOD), key.public_key())


@pytest.mark.parametrize("kid", STRANGERS, ids=range(len(STRANGERS)))
def test_a_kid_is_any_text(kid: str) -> None:
    """A `kid` is handed on as it is, to be looked up and nothing else."""
    assert kid == read_token(issuer.sign(claims(), header={"kid": kid})).kid


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "jwt"},
        {"typ": "AT+JWT"},
        {"typ": "application/at+jwt"},
        {"typ": "Application/AT+jwt"},
        {"other": [1, {"a": 0.5}]},
        {"other": "\u2028é<>"},
    ],
)
def test_a_header_may_be_written_otherwise(header: Object) -> None:
    """H5: the types of an access token in any case, and members that mean nothing."""
    assert USER == accept(issuer.sign(claims(), header=header))[1].subject


def test_spaces_in_json_are_no_fault() -> None:
    """A token whose JSON is laid out otherwise claims the same."""
    spaced = json.dumps(claims(), indent=2).encode() + b"\n"
    escaped = as_json(claims()).replace(b"qeet-id", b"q\\u0065et-id")

    assert read(claims()) == read(spaced) == read(escaped)


def test_a_token_is_taken_apart() -> None:
    """What is signed is the text up to the last dot."""
    token = read_token(GOOD)

    assert (KEY.kid, SIGNED.encode()) == (token.kid, token.signed)
    assert (64, claims()) == (len(token.signature), json.loads(token.payload))


def test_a_users_claims_are_read() -> None:
    """A user's token gives user, tenant, session and times."""
    assert Claims(
        kind=Kind.USER,
        subject=USER,
        tenant=TENANT,
        session=SESSION,
        scope="",
        actor=None,
        act=None,
        issuer=ISSUER,
        audiences=(AUDIENCE,),
        expires_at=NOW + LIFETIME,
        not_before=NOW,
        issued_at=NOW,
    ) == read(claims())


@pytest.mark.parametrize(
    ("kind", "subject", "claimed"),
    [
        (Kind.SERVICE, MACHINE, service(scope="a:b c:d")),
        (Kind.SERVICE, MACHINE, service(scope="a:b c:d", user_id=NOBODY, sid=NOBODY)),
        (Kind.AGENT, ACTOR, agent(scope="a:b c:d")),
        (Kind.AGENT, ACTOR, without("agent_id", agent(scope="a:b c:d"))),
        (Kind.USER, USER, without("sid", claims(scope="a:b c:d", actor_type="user"))),
        (Kind.USER, USER, claims(scope="a:b c:d", sid=NOBODY)),
    ],
)
def test_each_kind_is_read(kind: Kind, subject: bytes, claimed: Object) -> None:
    """A token's kind says which claim names who acts; an all-zero id names nobody."""
    found = read(claimed)

    assert (kind, subject, TENANT, None) == found[:4]
    assert "a:b c:d" == found.scope


@pytest.mark.parametrize("claimed", [claims(tenant_id=NOBODY), without("tenant_id")])
def test_a_users_token_may_be_of_no_tenant(claimed: Object) -> None:
    """An absent or all-zero tenant is no tenant."""
    assert read(claimed).tenant is None


@pytest.mark.parametrize("aud", ["qeet-id", ["qeet-id"], ["https://api", "qeet-id"]])
def test_any_audience_that_is_ours_will_do(aud: str | list[str]) -> None:
    """C4: a string or a list with ours among others."""
    assert (aud if isinstance(aud, list) else [aud]) == list(
        read(claims(aud=aud)).audiences
    )


@pytest.mark.parametrize("scope", ["", "read", "thread", "a b", "Ä ö"])
def test_a_scope_is_read_as_written(scope: str) -> None:
    """C7: one space between two; what a scope means isn't the token's business."""
    assert scope == read(claims(scope=scope)).scope


def test_a_scope_may_be_long() -> None:
    """Ten thousand scopes are many, and no reason to refuse."""
    scope = " ".join(f"r{number}" for number in range(10_000))
    assert scope == read(claims(scope=scope)).scope


@pytest.mark.parametrize(
    "over",
    [
        {"roles": ["admin"], "groups": ["admins"], "permissions": ["*"]},
        {"jti": ["any"], "claims": {"a": [0.5, None]}, "nonce": 1},
        {"__proto__": {"sub": "admin"}, "constructor": None},
        {"may_act": {"sub": "admin"}, "agent_id": "admin"},
    ],
)
def test_other_claims_count_for_nothing(over: Object) -> None:
    """C8: roles and the like come from the database alone."""
    assert read(claims()) == read(claims(**over))


@pytest.mark.parametrize("depth", [1, 2, ACTOR_DEPTH_LIMIT])
def test_the_outermost_actor_counts(depth: int) -> None:
    """Actors inside the current one are told, and mean nothing."""
    found = read(claims(act=nested(depth)))

    assert (ACTOR, nested(depth)) == (found.actor, found.act)


def test_an_admin_further_inside_is_no_actor() -> None:
    """Who only acted before isn't looked at, not even at how they are written."""
    act = {"sub": format_id(ACTOR), "act": {"sub": "admin"}}
    assert ACTOR == read(claims(act=act)).actor


def test_without_expiry_where_none_is_required() -> None:
    """Where the hosted server is mirrored, a token may live for ever."""
    assert read(without("exp"), requires_expiry=False).expires_at is None
    with refused(TokenExpiredError, "`exp` is past"):
        read(claims(), NOW + LIFETIME, requires_expiry=False)


def test_without_the_other_times() -> None:
    """`nbf` and `iat` may be left out."""
    claimed = without("nbf", without("iat"))
    assert (None, None) == (read(claimed).not_before, read(claimed).issued_at)


LATER = NOW + LIFETIME
INSTANT = 1e-6


@pytest.mark.parametrize("leeway", [0.0, 30.0])
@pytest.mark.parametrize(
    ("after", "error"),
    [(-INSTANT, None), (0, TokenExpiredError), (INSTANT, TokenExpiredError)],
)
def test_a_token_ends_at_its_expiry(
    leeway: float, after: float, error: type[AuthenticationError] | None
) -> None:
    """Valid up to the moment of `exp` plus the leeway, and no longer."""
    now = LATER + leeway + after
    if error is None:
        assert LATER == read(claims(), now, leeway=leeway).expires_at
        return
    with refused(error, "`exp` is past"):
        read(claims(), now, leeway=leeway)


@pytest.mark.parametrize("leeway", [0.0, 30.0])
@pytest.mark.parametrize(("name", "other"), [("nbf", "iat"), ("iat", "nbf")])
def test_a_token_begins_at_its_times(leeway: float, name: str, other: str) -> None:
    """Valid from `nbf` and `iat` less the leeway, each by itself."""
    claimed = without(other, claims(**{name: NOW + 100}))
    begins = NOW + 100 - leeway

    for now in (begins, begins + INSTANT):
        assert USER == read(claimed, now, leeway=leeway).subject
    with refused(TokenNotYetValidError, f"`{name}` is still to come"):
        read(claimed, begins - INSTANT, leeway=leeway)


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ({"iss": "x", "aud": "x", "scope": 7, "nbf": 2**40, "exp": 1}, "issuer"),
        ({"aud": "x", "scope": 7, "nbf": 2**40, "exp": 1}, "audience"),
        ({"scope": 7, "nbf": 2**40, "exp": 1}, "scope"),
        ({"nbf": 2**40, "exp": 1}, "nbf"),
        ({"exp": 1}, "exp"),
    ],
)
def test_the_first_fault_is_told(faults: Object, error: str) -> None:
    """Issuer, audience, consistency, beginning, end: in that order."""
    with pytest.raises(AuthenticationError, match=f"{error}.*;"):
        read(claims(**faults))


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(
    at=st.integers(0, len(GOOD) - 1),
    character=st.sampled_from(f"{ALPHABET}.=+/ \n\0é") | st.characters(),
)
def test_another_character_makes_no_other_claims(at: int, character: str) -> None:
    """A token with one character changed is refused, whichever it is."""
    mutant = f"{GOOD[:at]}{character}{GOOD[at + 1 :]}"
    if mutant == GOOD:
        return
    with pytest.raises(AuthenticationError):
        accept(mutant)


@given(text=st.text() | st.text(f"{ALPHABET}.{{="))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever is sent instead of a token is refused by an authentication error."""
    with pytest.raises(AuthenticationError):
        accept(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
wrong = st.dictionaries(
    st.sampled_from([*claims(), "actor_type", "agent_id", "scope", "act"]), anything
)


@given(header=st.binary(), payload=st.binary(), signature=st.binary(max_size=80))
def test_no_bytes_break_the_reader(
    header: bytes, payload: bytes, signature: bytes
) -> None:
    """Three segments of whatever bytes are refused by an authentication error."""
    with pytest.raises(AuthenticationError):
        accept(encode(header, payload, signature))
    with pytest.raises(AuthenticationError):
        read_claims(payload, EXPECTED, NOW)


@given(over=wrong, header=st.dictionaries(st.sampled_from([*HEADER]), anything))
def test_no_value_breaks_the_reader(over: Object, header: Object) -> None:
    """A well signed token with whatever values is read or refused, never a crash."""
    for claimed, head in ((claims(**over), {}), (claims(), header)):
        try:
            found = accept(issuer.sign(claimed, header=head))[1]
        except AuthenticationError:
            continue
        assert (ISSUER, Kind.USER, USER) == (found.issuer, found.kind, found.subject)


def test_the_key_id_is_the_thumbprint() -> None:
    """The test issuer names keys as Qeet ID does, by RFC 7638."""
    assert base64url(sha256(as_json(KEY.point)).digest()) == KEY.kid


def test_a_sessions_token_lives_no_longer_than_revocations_are_remembered() -> None:
    """One that does is refused at first sight, as is one that doesn't say how long."""
    sid = format_id(SESSION)
    for life, max_life in ((600, 600.0), (601, inf)):
        found = read(claims(sid=sid, iat=NOW, exp=NOW + life), max_life=max_life)
        assert NOW + life == found.expires_at
    with pytest.raises(TokenTooLongLivedError, match="raise max_token_life"):
        read(claims(sid=sid, iat=NOW, exp=NOW + 601), max_life=600.0)
    silent = claims(sid=sid, exp=NOW + 600)
    del silent["iat"]
    with pytest.raises(MalformedCredentialError, match="`iat` and `exp` must be there"):
        read(silent, max_life=600.0)


def test_a_token_of_no_session_may_live_long() -> None:
    """What no session revokes needn't be remembered for its sake."""
    without = claims(iat=NOW, exp=NOW + 10**6)
    del without["sid"]

    assert read(without, max_life=600.0).session is None
