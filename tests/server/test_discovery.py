"""The issuer's keys and their whereabouts, served as the official SDKs look for them."""

import json
from collections.abc import Iterator

import jwt
import pytest

from tests.issuer import AUDIENCE, ISSUER, Issuer, user_claims
from tests.keyserver import Answer, KeyServer
from tests.server.sidecars import Reply, eventually, exchange, request, sidecar
from tests.server.test_check import error
from tests.server.test_introspect import now
from tests.server.town import ACME, ANN

JWKS = "/.well-known/jwks.json"
CONFIGURATION = "/.well-known/openid-configuration"


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    """A key endpoint."""
    with KeyServer() as keys:
        yield keys


def kids(base_url: str) -> list[str]:
    """The names of the keys that are served."""
    reply = request(base_url, JWKS)
    assert 200 == reply.status, reply
    return [key["kid"] for key in json.loads(reply.body)["keys"]]


def test_the_keys(town_database: str, keys: KeyServer) -> None:
    """All good keys of the issuer are served, sorted, to anybody, for half a minute."""
    issuer = Issuer()
    issuer.rotate()
    foreign = {"kty": "RSA", "kid": "x", "n": "AQAB", "e": "AQAB"}
    good = [key.jwk for key in issuer.keys]
    keys.serve(json.dumps({"keys": [foreign, *good]}).encode())

    with sidecar(town_database, jwks=keys.url) as base_url:
        reply = request(base_url, JWKS)

    expected = sorted(good, key=lambda key: str(key["kid"]))
    assert (200, {"keys": expected}) == (reply.status, json.loads(reply.body))
    assert b"}\n" == reply.body[-2:]
    assert "application/json" == reply.header("Content-Type")
    assert "max-age=30" == reply.header("Cache-Control")


def test_verifying_offline(town_database: str, keys: KeyServer) -> None:
    """Who finds the keys by discovery verifies the issuer's tokens with them."""
    issuer = Issuer()
    keys.serve(issuer.as_jwks())
    token = issuer.sign(user_claims(ANN, ACME, now()))

    with sidecar(town_database, jwks=keys.url) as base_url:
        host = base_url.removeprefix("http://")
        found = json.loads(request_of(base_url, host).body)
        client = jwt.PyJWKClient(found["jwks_uri"])
        key = client.get_signing_key_from_jwt(token)

    claims = jwt.decode(
        token, key, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE
    )
    assert ANN == claims["user_id"]
    assert base_url == found["issuer"]


def test_a_rotation(town_database: str, keys: KeyServer) -> None:
    """A key that a token brought to notice is served as well from then on."""
    issuer = Issuer()
    keys.serve(issuer.as_jwks())
    with sidecar(town_database, jwks=keys.url) as base_url:
        former = kids(base_url)
        issuer.rotate()
        keys.serve(issuer.as_jwks())
        token = issuer.sign(user_claims(ANN, ACME, now()))
        request(base_url, "/v1/whoami", Authorization=f"Bearer {token}")

        eventually(lambda: former != kids(base_url))
        assert sorted(key.kid for key in issuer.keys) == kids(base_url)


def test_an_endpoint_that_breaks(town_database: str, keys: KeyServer) -> None:
    """The last good set is served on, whatever comes after it."""
    issuer = Issuer()
    keys.serve(issuer.as_jwks())
    with sidecar(town_database, jwks=keys.url) as base_url:
        keys.answer = Answer(b"<html>", 500)
        stranger = Issuer().sign(user_claims(ANN, ACME, now()))
        asked = len(keys.requests)
        request(base_url, "/v1/whoami", Authorization=f"Bearer {stranger}")
        keys.wait_for_requests(asked + 1)

        assert [issuer.keys[0].kid] == kids(base_url)


def test_before_the_first_key(town_database: str, keys: KeyServer) -> None:
    """As long as no key was ever loaded there is no answer, and then there is."""
    issuer = Issuer()
    with sidecar(town_database, jwks=keys.url) as base_url:
        reply = request(base_url, JWKS, X_Request_Id="r")
        said = json.loads(reply.body)["error"]
        assert (503, "unavailable") == (reply.status, said["code"])
        assert "the issuer's keys aren't known" == said["detail"]
        assert "1" == reply.header("Retry-After")
        keys.serve(issuer.as_jwks())
        eventually(lambda: 200 == request(base_url, JWKS).status)

        assert [issuer.keys[0].kid] == kids(base_url)


def test_without_tokens(strict: str) -> None:
    """Where no tokens are taken neither document is there."""
    unknown = request(strict, "/.well-known/nothing")
    for path in (JWKS, CONFIGURATION):
        reply = request(strict, path)
        assert (404, unknown.body) == (reply.status, reply.body)
        assert unknown.header("Content-Type") == reply.header("Content-Type")


@pytest.fixture(scope="module")
def discovered(town_database: str) -> Iterator[str]:
    """The base URL of a sidecar that takes tokens."""
    with KeyServer() as keys:
        keys.serve(Issuer().as_jwks())
        with sidecar(town_database, jwks=keys.url) as base_url:
            yield base_url


def request_of(base_url: str, *hosts: str) -> Reply:
    """Ask for the configuration under such `Host` headers."""
    lines = [f"GET {CONFIGURATION} HTTP/1.1", "X-Request-Id: r"]
    lines += [f"Host: {host}" for host in hosts]
    return exchange(base_url, "\r\n".join([*lines, "", ""]).encode())


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1:4010",
        "authz.internal:80",
        "a_b-c.D",
        "[::1]:4010",
        "[::1]",
    ],
)
def test_the_configuration(discovered: str, host: str) -> None:
    """Everything is offered at the host that was asked, to anybody."""
    reply = request_of(discovered, host)

    expected = {
        "issuer": f"http://{host}",
        "jwks_uri": f"http://{host}{JWKS}",
        "introspection_endpoint": f"http://{host}/oauth/introspect",
        "id_token_signing_alg_values_supported": ["ES256"],
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
        ],
        "subject_types_supported": ["public"],
        "response_types_supported": [],
    }
    assert (200, expected) == (reply.status, json.loads(reply.body))
    assert "max-age=30" == reply.header("Cache-Control")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a/b",
        "a b",
        "user@a",
        "a:b",
        "a:123456",
        "a:1:2",
        "a?b",
        "a#b",
        "<a>",
        'a"',
        "é",
        "[::1",
        "[a/b]",
        "a" * 300,
        "a:",
    ],
)
def test_hosts_that_are_none(discovered: str, host: str) -> None:
    """What isn't just a host and a port goes into no URL."""
    reply = request_of(discovered, host)

    assert 400 == reply.status
    if host:
        refused = ("bad_request", "The request was invalid.", "invalid Host", "r")
        assert error(*refused) == reply.body


def test_not_one_host(discovered: str) -> None:
    """A request that names two hosts or none isn't answered."""
    assert 400 == request_of(discovered, "a", "b").status
    assert 400 == request_of(discovered).status
    old = f"GET {CONFIGURATION} HTTP/1.0\r\n\r\n"
    assert 400 == exchange(discovered, old.encode()).status


def test_other_methods(discovered: str) -> None:
    """Both documents are only got."""
    for path in (JWKS, CONFIGURATION):
        for method in ("HEAD", "DELETE"):
            reply = request(
                discovered, path, method=method, Authorization="Bearer x", Origin="x"
            )
            assert (405, "GET") == (reply.status, reply.header("Allow"))
