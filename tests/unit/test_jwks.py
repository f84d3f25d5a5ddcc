"""Key sets: good keys serve, whatever stands beside them."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.credentials.jose import (
    decode_base64url,
    encode_base64url,
    read_object,
)
from qeetid_authz.credentials.jwks import KEY_SET_SIZE_LIMIT, KeySet, parse_key_set
from qeetid_authz.errors import KeySetError
from tests.issuer import Issuer, Object, SigningKey, as_json, base64url

GOOD, OTHER = SigningKey(), SigningKey()
PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
"""Of P-256, p in SEC 2."""
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def jwks(*jwks: Any) -> KeySet:
    return parse_key_set(as_json({"keys": jwks}))


def spki(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def certificate(key: SigningKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signing")])
    builder = x509.CertificateBuilder(
        name,
        name,
        key.public,
        1,
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2021, 1, 1, tzinfo=UTC),
    )
    return builder.sign(key.private, SHA256()).public_bytes(Encoding.PEM)


def coordinate(number: int) -> str:
    return base64url(number.to_bytes(32, "big"))


def unreduced() -> Object:
    """A point on the curve whose x is spelt with the prime added."""
    for x in range(1, 100):
        square = (pow(x, 3, PRIME) - 3 * x + B) % PRIME
        y = pow(square, (PRIME + 1) // 4, PRIME)
        if y * y % PRIME == square:
            return {"x": coordinate(x + PRIME), "y": coordinate(y)}
    raise AssertionError("half of all x are on the curve")


def short() -> str:
    """A coordinate without its leading zero byte."""
    return base64url(b"\x01" * 31)


def but(**members: Any) -> Object:
    """A good key with some members other; None leaves one out."""
    return {k: v for k, v in {**OTHER.jwk, **members}.items() if v is not None}


X, Y = OTHER.point["x"], OTHER.point["y"]
RULES: dict[str, tuple[Any, str]] = {
    "list": ([], "must be an object"),
    "null": (None, "must be an object"),
    "text": ("key", "must be an object"),
    "empty": ({}, "must have `kty` EC"),
    "oct": ({"kty": "oct", "k": "AAAA", "kid": "a"}, "must have `kty` EC"),
    "rsa": ({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a"}, "must have `kty` EC"),
    "kty-case": (but(kty="ec"), "must have `kty` EC"),
    "kty-list": (but(kty=["EC"]), "must have `kty` EC"),
    "crv": (but(crv="P-384"), "must have `crv` P-256"),
    "crv-missing": (but(crv=None), "must have `crv` P-256"),
    "secp256k1": (but(crv="secp256k1"), "must have `crv` P-256"),
    "private": (but(d=coordinate(7)), "must be public, without `d`"),
    "alg": (but(alg="ES384"), "must have `alg` ES256 or none"),
    "alg-case": (but(alg="es256"), "must have `alg` ES256 or none"),
    "alg-list": (but(alg=["ES256"]), "must have `alg` ES256 or none"),
    "use": (but(use="enc"), "must have `use` sig or none"),
    "ops": (but(key_ops=["encrypt"]), "must have verify among its `key_ops`, or none"),
    "ops-none": (but(key_ops=[]), "must have verify among its `key_ops`, or none"),
    "ops-text": (but(key_ops="verify"), "must have verify among its `key_ops`"),
    "kid-missing": (but(kid=None), "must have a `kid` of 1 to 256 characters"),
    "kid-empty": (but(kid=""), "must have a `kid` of 1 to 256 characters"),
    "kid-long": (but(kid="k" * 257), "must have a `kid` of 1 to 256 characters"),
    "kid-number": (but(kid=7), "must have a `kid` of 1 to 256 characters"),
    "kid-list": (but(kid=["a"]), "must have a `kid` of 1 to 256 characters"),
    "x-missing": (but(x=None), "must have `x` as 32 bytes in base64url"),
    "x-number": (but(x=7), "must have `x` as 32 bytes in base64url"),
    "x-short": (but(x=short()), "must have `x` as 32 bytes in base64url"),
    "x-long": (but(x=base64url(bytes(33))), "must have `x` as 32 bytes in base64url"),
    "x-padded": (but(x=f"{X}="), "must have `x` as 32 bytes in base64url"),
    "y-empty": (but(y=""), "must have `y` as 32 bytes in base64url"),
    "y-loose": (but(y=f"{Y[:-1]}{chr(ord(Y[-1]) + 1)}"), "must have `y` as 32 bytes"),
    "off-curve": (but(y=X), "must be a point on P-256"),
    "zero": (but(x=coordinate(0), y=coordinate(0)), "must be a point on P-256"),
    "unreduced": (but(**unreduced()), "must be a point on P-256"),
}


@pytest.mark.parametrize(("broken", "rule"), RULES.values(), ids=RULES)
def test_a_broken_key_takes_no_good_one_with_it(broken: Any, rule: str) -> None:
    """A key that breaks a rule is left out with its position; the others serve."""
    found = jwks(GOOD.jwk, broken)

    assert {GOOD.kid: GOOD.public} == found.keys
    assert 1 == len(found.problems)
    assert found.problems[0].startswith(f"key 2 {rule}")


@pytest.mark.parametrize(("broken", "rule"), RULES.values(), ids=RULES)
def test_a_broken_key_alone_is_no_key_set(broken: Any, rule: str) -> None:
    """Without a good key the set is refused, and the rule told."""
    with pytest.raises(KeySetError, match="so give one: key 1") as caught:
        jwks(broken)

    assert rule in str(caught.value)
    if isinstance(broken, dict):
        told = str(caught.value)
        texts = [each for each in broken.values() if isinstance(each, str)]
        assert not [each for each in texts if len(each) > 7 and each in told]


@pytest.mark.parametrize(
    "members",
    [
        {"alg": None},
        {"use": None},
        {"key_ops": ["sign", "verify"]},
        {"kid": "k" * 256},
        {"x5c": ["AA=="], "note": {"a": 1}},
    ],
)
def test_what_a_key_may_leave_out_and_add(members: Object) -> None:
    """`alg` and `use` may be missing; members without meaning here are none."""
    jwk = but(**members)
    found = jwks(jwk)

    assert ({jwk["kid"]: OTHER.public}, ()) == (found.keys, found.problems)


def test_keys_that_share_a_kid_are_left_out() -> None:
    """Nobody can tell which of two keys a `kid` means, so it means neither."""
    found = jwks(OTHER.jwk, GOOD.jwk, {**SigningKey().jwk, "kid": OTHER.kid})

    assert {GOOD.kid: GOOD.public} == found.keys
    assert tuple(
        f"key {position} must have a `kid` that no other key has" for position in (1, 3)
    ) == (found.problems)
    with pytest.raises(KeySetError, match="key 1 must have a `kid` that no other"):
        jwks(OTHER.jwk, {**GOOD.jwk, "kid": OTHER.kid})


def test_the_same_key_twice_counts_once() -> None:
    """A key that is served twice under one `kid` is that key."""
    found = jwks(GOOD.jwk, but(kid=GOOD.kid, **GOOD.point), GOOD.jwk)
    assert ({GOOD.kid: GOOD.public}, ()) == (found.keys, found.problems)


def test_problems_come_in_the_order_of_the_keys() -> None:
    """Every key left out has its sentence, those of one `kid` among them."""
    twin = {**SigningKey().jwk, "kid": GOOD.kid}
    found = jwks(GOOD.jwk, [], OTHER.jwk, twin, {})

    assert [1, 2, 4, 5] == [int(each.split()[1]) for each in found.problems]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the key set isn't JSON"),
        (b"<!doctype html><html></html>", "the key set isn't JSON"),
        (b"\xff\xfe{", "the key set isn't UTF-8"),
        (b"\xef\xbb\xbf" + Issuer().as_jwks(), "the key set isn't JSON"),
        (Issuer().as_jwks()[:-2], "the key set isn't JSON"),
        (b'{"keys":[NaN]}', "the key set isn't JSON"),
        (b'{"keys":[1e999]}', "the key set has a number beyond measure"),
        (b'{"keys":[' + b"9" * 5000 + b"]}", "has a number beyond measure"),
        (b'{"keys":["\\ud800"]}', "the key set has half a surrogate pair"),
        (b"[" * 100_000, "the key set is nested too deeply"),
        (b'{"keys":[],"keys":[]}', "the key set has a member twice"),
        (b'{"keys":[{"kid":"a","kid":"a"}]}', "the key set has a member twice"),
        (b"[]", "the key set isn't a JSON object"),
        (b"null", "the key set isn't a JSON object"),
        (b"{}", "the key set must have a list `keys`"),
        (b'{"keys":{}}', "the key set must have a list `keys`"),
        (b'{"keys":null}', "the key set must have a list `keys`"),
        (as_json(GOOD.jwk), "the key set must have a list `keys`"),
        (
            b'{"keys":[]}',
            "holds no key that can verify ES256, so give one: it is empty",
        ),
        (b" " * KEY_SET_SIZE_LIMIT + b" ", "the key set has more than 1048576 bytes"),
        (b"-----BEGIN ", "key 1 must be a whole PEM block"),
    ],
)
def test_what_is_no_key_set_is_refused(data: bytes, reason: str) -> None:
    """Whatever an endpoint or a file may hold instead has its own reason."""
    with pytest.raises(KeySetError, match=reason):
        parse_key_set(data)


def test_a_key_set_may_be_as_large_as_the_limit() -> None:
    """Spaces fill a set up to the last byte."""
    data = as_json({"keys": [GOOD.jwk]})
    assert [GOOD.kid] == list(parse_key_set(data.ljust(KEY_SET_SIZE_LIMIT)).keys)


def test_a_refusal_tells_of_the_first_keys_only() -> None:
    """A set of nothing but broken keys has a message that can be read."""
    with pytest.raises(KeySetError) as caught:
        jwks(*[{}] * 1000)

    assert 5 == str(caught.value).count("must have `kty` EC")


def test_pem_holds_keys_and_certificates() -> None:
    """Public keys and certificates in a row, each under its thumbprint."""
    third = SigningKey()
    data = GOOD.pem + b"\n" + certificate(OTHER) + GOOD.pem + third.pem.rstrip()
    found = parse_key_set(data)

    assert {each.kid: each.public for each in (GOOD, OTHER, third)} == found.keys
    assert () == found.problems


PEM_RULES = {
    "private": (
        OTHER.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "must be public, without its private part",
    ),
    "private-sec1": (
        OTHER.private.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ),
        "must be public, without its private part",
    ),
    "rsa": (spki(rsa.generate_private_key(65537, 2048)), "must be an EC key on P-256"),
    "ed25519": (spki(ed25519.Ed25519PrivateKey.generate()), "must be an EC key on"),
    "p384": (spki(ec.generate_private_key(ec.SECP384R1())), "must be an EC key on"),
    "k1": (spki(ec.generate_private_key(ec.SECP256K1())), "must be an EC key on P-256"),
    "other-label": (
        OTHER.pem.replace(b"PUBLIC KEY", b"CERTIFICATE REQUEST"),
        "must be a whole PEM block, PUBLIC KEY or CERTIFICATE",
    ),
    "broken-key": (
        OTHER.pem[:60] + b"AAAA" + OTHER.pem[64:],
        "must be a readable public key or certificate",
    ),
    "broken-certificate": (
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "must be a readable public key or certificate",
    ),
    "cut": (OTHER.pem[:-20], "must be a whole PEM block"),
    "text": (b"what is this", "must be a whole PEM block"),
}


@pytest.mark.parametrize(("broken", "rule"), PEM_RULES.values(), ids=PEM_RULES)
def test_a_broken_pem_block_takes_no_good_one_with_it(broken: bytes, rule: str) -> None:
    """A block that breaks a rule is left out with its position; the others serve."""
    third = SigningKey()
    found = parse_key_set(GOOD.pem + broken + b"\n" + third.pem)

    assert {GOOD.kid: GOOD.public, third.kid: third.public} == found.keys
    assert 1 == len(found.problems)
    assert found.problems[0].startswith(f"key 2 {rule}")


def test_a_key_set_is_written_as_it_is_served() -> None:
    """Public members only, sorted, and read back as the same keys."""
    served = [{**GOOD.jwk, "kid": kid} for kid in ("a", "b", "c")]
    found = jwks(served[1], {**served[2], "x5c": []}, served[0])

    assert {"keys": served} == found.as_jwks()
    assert found == jwks(*found.as_jwks()["keys"])


@given(data=st.binary(max_size=200))
def test_base64url_has_one_spelling(data: bytes) -> None:
    """What is written is read again, and no other text is read as the same."""
    text = encode_base64url(data)

    assert urlsafe_b64encode(data).decode().rstrip("=") == text
    assert data == decode_base64url(text)


@given(text=st.text() | st.text("AQgwBM_-+/=. \n", max_size=12))
def test_text_in_base64url_is_canonical(text: str) -> None:
    """Whatever is read is written again as the same text."""
    try:
        data = decode_base64url(text)
    except ValueError:
        return
    assert text == encode_base64url(data)


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(
    value=st.dictionaries(st.text(max_size=3), values),
    compact=st.booleans(),
    ascii_only=st.booleans(),
)
def test_json_is_read_as_python_reads_it(
    value: Object, compact: bool, ascii_only: bool
) -> None:
    """However an object is laid out, it is what Python's reader makes of it."""
    separators = (",", ":") if compact else None
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only)

    assert repr(json.loads(text)) == repr(read_object(text.encode()))


@given(
    name=st.text(max_size=3),
    first=values,
    second=values,
    depth=st.integers(0, 4),
    compact=st.booleans(),
)
def test_a_member_twice_is_found_at_any_depth(
    name: str, first: Any, second: Any, depth: int, compact: bool
) -> None:
    """Wherever an object names a member twice, alike or not, it is refused."""
    space = "" if compact else " "
    member = json.dumps(name, ensure_ascii=False)
    one, two = (json.dumps(each, ensure_ascii=False) for each in (first, second))
    text = f"{{{member}:{space}{one},{space}{member}:{space}{two}}}"
    for _ in range(depth):
        text = f'{{"a":[{text}]}}'

    with pytest.raises(ValueError, match="has a member twice"):
        read_object(text.encode())


@given(data=st.binary() | st.text('{}[]",:\\ud80-1eE.tn').map(str.encode))
def test_no_bytes_break_the_json_reader(data: bytes) -> None:
    """Any bytes are an object or a plain refusal."""
    try:
        found = read_object(data)
    except ValueError:
        return
    assert json.loads(data) == found


@given(data=st.binary())
def test_no_bytes_break_the_key_set_reader(data: bytes) -> None:
    """Any bytes, alone or behind the beginning of a key, are refused plainly."""
    for start in (b"", b"-----BEGIN PUBLIC KEY-----\n", b'{"keys":['):
        with pytest.raises(KeySetError):
            parse_key_set(start + data)
