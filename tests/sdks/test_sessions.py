"""`sessions.verify` of the official SDKs, by the keys that the sidecar serves."""

import time
from collections.abc import Iterator

import pytest

from qeetid_authz.credentials import keyring
from qeetid_authz_server.routes import discovery
from tests.issuer import Issuer, SigningKey, user_claims
from tests.keyserver import KeyServer
from tests.sdks.client import SDKS, Sdk, SdkError, Sessions
from tests.server.bearers import now
from tests.server.sidecars import sidecar
from tests.server.town import ACME, ACME_KEY, ANN


class Desk:
    """A sidecar, the issuer whose keys it serves, and a clock that can be turned."""

    def __init__(self, base_url: str, issuer: Issuer, endpoint: KeyServer) -> None:
        self.base_url = base_url
        self.issuer = issuer
        self.endpoint = endpoint
        self.ahead = 0.0

    def clock(self) -> float:
        """The time, and some."""
        return now() + self.ahead

    def sdk(self, name: str) -> tuple[Sdk, Sessions]:
        """An SDK whose base URL is the sidecar's."""
        sdk = Sdk(name, self.base_url, ACME_KEY)
        return sdk, Sessions(sdk, self.clock)

    def token(self, **over: object) -> str:
        """A good token, by the newest key."""
        return self.issuer.sign(user_claims(ANN, ACME, now(), **over))

    def rotate(self) -> None:
        """Sign with a new key from now on, which nobody but the issuer knows yet."""
        self.issuer.rotate()
        self.endpoint.serve(self.issuer.as_jwks())


@pytest.fixture
def desk(settled_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    # Two seconds of which the tests have no need.
    monkeypatch.setattr(keyring, "UNKNOWN_KEY_INTERVAL", 0.05)
    monkeypatch.setattr(discovery, "_FRESH", 0.05)
    issuer = Issuer()
    with KeyServer() as endpoint:
        endpoint.serve(issuer.as_jwks())
        with sidecar(settled_database, jwks=endpoint.url) as base_url:
            yield Desk(base_url, issuer, endpoint)


def test_a_token_is_verified_offline(name: str, desk: Desk) -> None:
    """By one read of the keys for many tokens; the audience is the tokens' own."""
    sdk, sessions = desk.sdk(name)
    for _ in range(3):
        claims = sessions.verify(desk.token(), audience="qeet-id")
        assert (ANN, ACME) == (claims["user_id"], claims["tenant_id"])
    with pytest.raises(SdkError):
        sessions.verify(desk.token(), audience="another")
    with pytest.raises(SdkError):
        sessions.verify(desk.token(exp=now() - 60))
    with pytest.raises(SdkError):
        sessions.verify(
            desk.issuer.sign(user_claims(ANN, ACME, now()), key=SigningKey())
        )

    # One that isn't genuine may have it look once more.
    assert len(sdk.replies) <= 2
    assert "max-age=30" == sdk.replies[0].header("Cache-Control")


def test_a_rotated_key_is_found(name: str, desk: Desk) -> None:
    """A token by a new key has the SDK read again, and the sidecar as well.

    It shows that token to nobody, so that nothing else tells the sidecar.
    """
    sdk, sessions = desk.sdk(name)
    old = desk.token()
    sessions.verify(old)
    desk.rotate()
    time.sleep(0.06)
    if name == "go":
        # It reads once a minute at most.
        with pytest.raises(SdkError):
            sessions.verify(desk.token())
        desk.ahead = 61
    sessions.verify(desk.token())
    sessions.verify(old)

    assert 2 == len(sdk.replies)


def test_a_token_without_a_kid(name: str, desk: Desk) -> None:
    """The SDKs take the first key for it, which is the only one here."""
    claims = user_claims(ANN, ACME, now())
    _, sessions = desk.sdk(name)

    assert ANN == sessions.verify(desk.issuer.sign(claims, header={"kid": None}))["sub"]


@pytest.mark.parametrize("name", [each for each in SDKS if each != "python"])
def test_discovery_leads_to_the_keys(name: str, desk: Desk) -> None:
    """`createFromDiscovery` finds the keys, and where else to ask, at this base URL."""
    sdk, _ = desk.sdk(name)
    found = sdk.call("discovery")

    base = "http://127.0.0.1:4010"
    assert base == found["issuer"]
    assert f"{base}/.well-known/jwks.json" == found["jwks_uri"]
    assert f"{base}/oauth/introspect" == found["introspection_endpoint"]
    assert "ES256" in found["id_token_signing_alg_values_supported"]


def test_keys_that_are_unknown(name: str, settled_database: str) -> None:
    """Before the first load there are no keys to serve: a 503, not an empty set."""
    with (
        KeyServer() as endpoint,
        sidecar(settled_database, jwks=endpoint.url) as base_url,
        pytest.raises(SdkError) as unavailable,
    ):
        Sdk(name, base_url, ACME_KEY).call("keys")

    assert (503, "unavailable") == (unavailable.value.status, unavailable.value.code)
