"""A client and a real sidecar: over TCP, a Unix socket and TLS, and what they can't ask."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import psycopg
import pytest

import qeetid_authz
from qeetid_authz import (
    AsyncSidecarClient,
    Authorizer,
    NotOpenError,
    Principal,
    Reason,
    SidecarClient,
)
from qeetid_authz.errors import (
    ApiKeyExpiredError,
    AuthenticationError,
    MalformedCredentialError,
    RevisionForeignError,
    RevisionUnseenError,
    SidecarRefusedError,
    SidecarUnavailableError,
    TenantlessTokenError,
)
from qeetid_authz.principal import Kind
from qeetid_authz.sidecar import listing
from tests.integration.world import AGENT, AGENT_KEY, ANNS_KEY, SERVICE, SESSION
from tests.server.bearers import Office, now
from tests.server.sidecars import eventually, request, sidecar
from tests.server.test_ownwrites import QUIET, revoke
from tests.server.test_tls import make_pair
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    BOB,
    KEY,
    NOBODY,
    OTHER,
    OTHER_KEY,
    UNHELD_KEY,
    target,
)
from tests.sidecar.asked import QUESTIONS
from tests.sidecar.clients import hurry
from tests.sidecar.conftest import LATE_KEY, Opening

ann, bob = Principal.user(ANN, ACME), Principal.user(BOB, ACME)


def assert_answers(client: Any) -> None:
    """It allows Ann what is hers and nothing else."""
    assert client.can(ann, KEY)
    assert not client.can(ann, UNHELD_KEY)
    assert client.check(ann, KEY)
    client.require(ann, KEY)


def test_over_tcp(opening: Opening, here: Office) -> None:
    """By address and port."""
    with opening(here.base_url, api_key=ACME_KEY) as client:
        assert_answers(client)


def test_over_a_unix_socket(
    opening: Opening, settled_database: str, tmp_path: Path
) -> None:
    """By its path, where everybody who reaches it may ask."""
    at = f"unix:{tmp_path}/socket"
    with (
        sidecar(settled_database, listen=at, caller_auth="off") as base_url,
        opening(base_url) as client,
    ):
        assert base_url == at
        assert_answers(client)


def test_over_tls(opening: Opening, settled_database: str, tmp_path: Path) -> None:
    """The sidecar is known by its certificate, for its name, and no other is asked."""
    pair, other = make_pair(tmp_path), make_pair(tmp_path, "other")
    with sidecar(settled_database, caller_auth="off", **pair._asdict()) as base_url:
        with opening(base_url, ca_file=pair.tls_certificate) as client:
            assert_answers(client)
            assert_answers(client)
        for ca_file, address in (
            (other.tls_certificate, base_url),
            (None, base_url),
            (pair.tls_certificate, base_url.replace("127.0.0.1", "localhost")),
        ):
            with (
                pytest.raises(SidecarUnavailableError, match="ertificate") as caught,
                opening(address, ca_file=ca_file),
            ):
                pass
            assert "unreachable" == caught.value.cause


def test_revision_and_age(
    opening: Opening, settled_database: str, here: Office
) -> None:
    """They are the sidecar's own; a transaction that still runs is in the revision."""
    with (
        psycopg.connect(settled_database) as running,
        psycopg.connect(settled_database, autocommit=True) as later,
        opening(here.base_url, api_key=ACME_KEY) as client,
    ):
        for each in (running, later):
            each.execute("SELECT pg_current_xact_id()")
        eventually(lambda: bool(client.revision.running))

        assert 0 <= client.age < 10
        decision = client.check(ann, KEY)
        told = request(here.base_url, target(), key=ACME_KEY)
        assert told.header("X-Qeetid-Revision") == str(decision.revision)
        assert decision.revision == client.explain(ann, KEY).revision


def test_an_age_grows_with_the_decision(opening: Opening, here: Office) -> None:
    """A decision that is kept grows old, and was never younger than its facts."""
    with opening(here.base_url, api_key=ACME_KEY) as client:
        decision = client.check(ann, KEY)
        first = decision.age
        assert 0 < first < decision.age < 10


def test_many_at_once(opening: Opening, here: Office) -> None:
    """Several tenants' principals can't be asked about by a key of one."""
    with opening(here.base_url, api_key=ACME_KEY) as client:
        narrow = Principal.user(ANN, ACME, limit=[KEY])
        asked = [(ann, KEY), (bob, UNHELD_KEY), (narrow, UNHELD_KEY)]
        reasons = [each.reason for each in client.check_many(asked)]
        assert [Reason.GRANTED, Reason.NO_GRANT, Reason.OUT_OF_SCOPE] == reasons
        assert [] == client.check_many([])
        with pytest.raises(SidecarRefusedError, match="tenant of its `api_key`"):
            client.check_many([*asked, (Principal.user(ANN, OTHER), KEY)])
        with pytest.raises(SidecarRefusedError, match="ask fewer questions") as caught:
            client.check_many([(ann, KEY)] * 21)
        assert "batch_too_large" == caught.value.problem


def test_own_writes(
    opening: Opening, town: str, connection: psycopg.Connection
) -> None:
    """What was written is in the answer, whichever way it is asked for."""
    with sidecar(town, **QUIET) as base_url, opening(base_url) as client:
        token = revoke(connection)

        assert client.can(ann, KEY)
        assert client.check(ann, KEY)
        client.wait_for(token)
        assert not client.check(ann, KEY)
        for ask in (client.can, client.check, client.explain):
            assert not ask(ann, KEY, at_least=revoke(connection))
        assert not client.check_many([(ann, KEY)], at_least=revoke(connection))[0]


def test_writes_that_do_not_arrive(
    opening: Opening, town: str, connection: psycopg.Connection
) -> None:
    """They are waited for longer than other answers, and then refused by their code."""
    with (
        sidecar(town, at_least_timeout=0.2, caller_auth="off") as base_url,
        opening(base_url, at_least_timeout=5) as client,
        connection.transaction(force_rollback=True),
    ):
        token = revoke(connection)
        hurry(client, 0.1)
        for ask in (client.can, client.check):
            with pytest.raises(RevisionUnseenError, match="ask again"):
                ask(ann, KEY, at_least=token)
        with pytest.raises(RevisionForeignError):
            client.wait_for("000000000000@790")


@pytest.mark.parametrize(
    ("key", "problem", "remedy"),
    [
        (None, "unauthorized", "give the client an `api_key`"),
        ("qk_acmeAAAA.wrong", "apikey.invalid", "`api_key` that exists"),
        (LATE_KEY, "apikey.expired", "`api_key` that hasn't expired"),
    ],
)
def test_a_client_that_is_refused_hears_of_it_when_it_is_opened(
    opening: Opening, here: Office, key: str | None, problem: str, remedy: str
) -> None:
    """No silent denial hides a key that is of no use."""
    with (
        pytest.raises(SidecarRefusedError, match=remedy) as caught,
        opening(here.base_url, api_key=key),
    ):
        pass

    assert problem == caught.value.problem
    assert key is None or key not in str(caught.value)


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_client_that_may_not_ask_hears_of_it(
    opening: Opening, here: Office, ask: Callable[[Any], Any]
) -> None:
    """A key of another tenant is a mistake of who configured it, and no denial."""
    with (
        opening(here.base_url, api_key=OTHER_KEY) as client,
        pytest.raises(SidecarRefusedError, match="tenant of its `api_key`"),
    ):
        ask(client)


def test_everybody_is_recognised(opening: Opening, here: Office) -> None:
    """The principal of a credential, with all its bounds, as the sidecar sees it."""
    end = now() + 600
    with opening(here.base_url, api_key=ACME_KEY) as client:
        user = client.authenticate(here.user(sid=SESSION, scope=f"a {KEY}", exp=end))
        assert (
            Principal.user(
                ANN, ACME, limit=["a", KEY], session_id=SESSION, expires_at=end
            )
            == user
        )
        assert client.can(user, KEY)
        agent = client.authenticate(here.agent(AGENT, scope=AGENT_KEY))
        assert (Kind.AGENT, AGENT, {AGENT_KEY}) == (agent.kind, agent.id, agent.limit)
        service = client.authenticate(here.service(SERVICE))
        assert (Kind.SERVICE, SERVICE) == (service.kind, service.id)
        acting = client.authenticate(here.user(act={"sub": AGENT}))
        assert acting.actor is not None
        assert (AGENT, Reason.ACTOR_LACKS) == (
            acting.actor.id,
            client.check(acting, "role.read").reason,
        )
        key = client.authenticate(f"ApiKey {ANNS_KEY}")
        assert Kind.API_KEY is key.kind
        assert client.can(key, KEY)


def test_credentials_that_are_refused(opening: Opening, here: Office) -> None:
    """By the class of the cause where that is told, and without a word of them."""
    secret = "Pq4wSx7cDe1rFv9tGb"
    refused = {
        f"ApiKey qk_x.{secret}": AuthenticationError,
        f"Bearer {secret}": AuthenticationError,
        f"Basic {secret}": AuthenticationError,
        "": AuthenticationError,
        f"ApiKey {LATE_KEY}": ApiKeyExpiredError,
        here.user(ANN, NOBODY): TenantlessTokenError,
        f"Bearer {secret}\r\nX: y": MalformedCredentialError,
        f"Bearer é{secret}": MalformedCredentialError,
        f"Bearer {secret * 9000}": MalformedCredentialError,
    }
    with opening(here.base_url, api_key=ACME_KEY) as client:
        for header, error in refused.items():
            with pytest.raises(AuthenticationError) as caught:
                client.authenticate(header)
            assert error is type(caught.value), header[:40]
            assert secret not in str(caught.value)


@pytest.mark.parametrize("ask", ["can", "check", "explain", "require"])
def test_questions_that_make_no_sense(opening: Opening, here: Office, ask: str) -> None:
    """They are refused as the engine refuses them, and nothing is sent."""
    wrong: list[tuple[type[Exception], str, Any, Any]] = [
        (TypeError, "is no principal", "ann", KEY),
        (TypeError, "must be a string", ann, None),
        (TypeError, "must be a string", ann, b"x"),
        (ValueError, "half a character", ann, "\ud800"),
        (ValueError, "half a character", narrowed("\ud800"), KEY),
    ]
    with opening(here.base_url, api_key=ACME_KEY) as client:
        for error, said, who, key in wrong:
            with pytest.raises(error, match=said):
                getattr(client, ask)(who, key)
        with pytest.raises(ValueError, match="is no IP address"):
            getattr(client, ask)(ann, KEY, ip="nowhere")
        with pytest.raises(ValueError, match="is no revision token"):
            getattr(client, ask)(ann, KEY, at_least="790")


def narrowed(scope: str) -> Principal:
    """Ann with one scope."""
    return Principal.user(ANN, ACME, limit=[scope])


def test_other_questions_that_make_no_sense(opening: Opening, here: Office) -> None:
    """So are they."""
    nobody: Any = None
    with opening(here.base_url, api_key=ACME_KEY) as opened:
        client: Any = opened
        with pytest.raises(ValueError, match="half a character"):
            client.effective_permissions(narrowed("\ud800"))
        with pytest.raises(TypeError, match="is no principal"):
            client.effective_permissions(nobody)
        with pytest.raises(TypeError, match="is no principal"):
            client.check_many([(nobody, KEY)])
        with pytest.raises(TypeError, match="must be a string"):
            client.authenticate(nobody)
        with pytest.raises(TypeError, match="must be a string"):
            client.who_can(ACME, nobody)
        with pytest.raises(ValueError, match="is no UUID"):
            client.who_can("acme", KEY)
        with pytest.raises(ValueError, match="is no UUID"):
            client.who_can(ACME, KEY, after="x")
        with pytest.raises(ValueError, match="at least 1, not `0`"):
            client.who_can(ACME, KEY, limit=0)


def test_a_list_comes_in_pages(
    opening: Opening, here: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as it takes, each from where the one before ended."""
    monkeypatch.setattr(listing, "PAGE", 1)
    with opening(here.base_url, api_key=ACME_KEY) as client:
        everybody = list(client.who_can(ACME, KEY))
        assert sorted([ANN, BOB, AGENT]) == everybody
        for limit in (1, 2, 3, 4):
            assert everybody[:limit] == list(client.who_can(ACME, KEY, limit=limit))
        assert everybody[1:] == list(client.who_can(ACME, KEY, after=everybody[0]))


def test_after_it_is_closed(opening: Opening, here: Office) -> None:
    """A client answers nothing any more, and closing it again changes nothing."""
    with opening(here.base_url, api_key=ACME_KEY) as client:
        for _ in range(2):
            client.close()
            with pytest.raises(NotOpenError, match="is closed"):
                client.can(ann, KEY)


async def test_closing_without_waiting(here: Office) -> None:
    """A client of tasks is closed at once, too."""
    client = await AsyncSidecarClient.open(here.base_url, api_key=ACME_KEY, timeout=10)
    client.close()
    with pytest.raises(NotOpenError, match="is closed"):
        await client.can(ann, KEY)
    await client.aclose()


def test_before_it_is_open(here: Office) -> None:
    """A client says how to open it, and is opened once."""
    client = SidecarClient(here.base_url, api_key=ACME_KEY, timeout=10)
    with pytest.raises(NotOpenError, match="SidecarClient.open"):
        client.can(ann, KEY)
    with client:
        assert client.can(ann, KEY)
        with client as same:
            assert same is client
    with pytest.raises(NotOpenError, match="is closed"), client:
        pass


def test_it_can_be_the_applications_one_authorizer(here: Office) -> None:
    """Code that asks without passing it around asks the sidecar; no task's client may."""
    url = here.base_url
    try:
        with SidecarClient.open(url, api_key=ACME_KEY, timeout=10) as client:
            qeetid_authz.configure(client)
            assert qeetid_authz.can(ann, KEY)
            assert qeetid_authz.check(ann, UNHELD_KEY).reason is Reason.NO_GRANT
            assert qeetid_authz.explain(ann, KEY).paths
            qeetid_authz.require(ann, KEY)
        with pytest.raises(TypeError, match="is no authorizer"):
            qeetid_authz.configure(AsyncSidecarClient(url))  # type: ignore[arg-type]
    finally:
        qeetid_authz.configure(None)


LEFT_OUT = {
    *("account", "api_key", "api_keys", "agent", "clients", "standing"),
    *("can_many", "holdings", "principal_for", "from_facts"),
    *("belongs", "bundled", "credentialed", "is_permission", "kind_of"),
    *("prepare", "publish", "expire", "expire_credentials", "shut", "chore"),
    *("require_open", "require_seen", "is_loaded", "is_stale", "semantics"),
    *("authentication", "seats", "sizes", "feed_failed"),
}
"""What an authorizer has besides: for its own parts, and for the sidecar."""


@pytest.mark.parametrize("client", [SidecarClient, AsyncSidecarClient])
def test_it_has_the_authorizers_methods(client: Any) -> None:
    """With the same parameters, so that one is taken for the other."""
    public = {name for name in dir(Authorizer) if not name.startswith("_")}
    mine = {name for name in dir(client) if not name.startswith("_")}

    assert public - LEFT_OUT == mine - {"aclose"}
    for name in public - LEFT_OUT - {"open"}:
        method = getattr(Authorizer, name)
        if callable(method):
            given = list(signature(method).parameters.values())
            assert given == list(signature(getattr(client, name)).parameters.values())
