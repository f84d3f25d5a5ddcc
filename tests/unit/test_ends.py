"""The end of credentials, to the instant."""

from typing import Any

import pytest

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.engine.published import CREDENTIAL_MARGIN
from qeetid_authz.model import ApiKey, Semantics
from qeetid_authz.principal import Principal
from tests.server.town import ACME, ANN, KEY, town, uuid
from tests.tables import named

END = 1_800_000_000.5
KEY_ID = uuid("api key", "of ann")


class Clock:
    """A wall clock that stands where a test puts it."""

    def __init__(self) -> None:
        self.now = END - 100

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(Semantics))
def engine(request: pytest.FixtureRequest, clock: Clock) -> Engine:
    tables = town()
    tables.api_keys[named("api key", "of ann")] = ApiKey(
        named("tenant", "acme"), named("user", "ann"), "qk_a", "x", (), END, False
    )
    made = Engine(request.param, wall_clock=clock)
    made.publish(tables.snapshot(), 0.0)
    return made


def test_a_token_ends_at_its_end(engine: Engine, clock: Clock) -> None:
    """Up to the instant it counts, from it on it doesn't (RFC 7519, section 4.1.4)."""
    ann = Principal.user(ANN, ACME, expires_at=END)
    for now, expected in ((END - 1e-6, True), (END, False), (END + 1, False)):
        clock.now = now
        assert expected is engine.can(ann, KEY)
    assert engine.check(ann, KEY).reason is Reason.CREDENTIAL_EXPIRED


def test_an_api_key_ends_after_its_end(engine: Engine, clock: Clock) -> None:
    """At the instant it still counts, after it not (fact 6)."""
    key = Principal.api_key(KEY_ID, ACME)
    for now, expected in ((END, True), (END + 1e-6, False)):
        clock.now = now
        assert expected is engine.can(key, KEY)
    assert engine.check(key, KEY).reason is Reason.CREDENTIAL_EXPIRED


def test_a_seat_is_given_up_before_the_end(engine: Engine, clock: Clock) -> None:
    """Who was asked about long before is judged anew when the end is near."""
    principals = [
        Principal.user(ANN, ACME, expires_at=END),
        Principal.api_key(KEY_ID, ACME),
    ]
    assert all(engine.can(each, KEY) for each in principals)
    assert {each.key for each in principals} <= engine._answers.keys()

    clock.now = END - CREDENTIAL_MARGIN
    engine.expire_credentials()

    assert not engine._answers
    assert all(engine.can(each, KEY) for each in principals)
    assert all(engine.check(each, KEY) for each in principals)
    assert not engine._answers
    assert not engine._reasons


def test_an_end_must_be_a_time() -> None:
    """What is no time isn't taken for none."""
    for ends in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="can't expire at"):
            Principal.user(ANN, ACME, expires_at=ends)


def test_bounds_make_another_principal() -> None:
    """Principals that differ in a bound differ in their key, others don't."""
    ann = Principal.user(ANN, ACME)
    session = uuid("session", "of ann")
    bounded = [
        Principal.user(ANN, ACME, limit=[]),
        Principal.user(ANN, ACME, limit=["a"]),
        Principal.user(ANN, ACME, session_id=session),
        Principal.user(ANN, ACME, actor=Principal.agent(ANN, ACME)),
        Principal.user(ANN, ACME, actor=ann),
        Principal.user(ANN, ACME, expires_at=END),
        Principal.agent(ANN, ACME),
        Principal.service(ANN, ACME),
        Principal.api_key(ANN, ACME),
    ]

    assert len({each.key for each in [ann, *bounded]}) == len(bounded) + 1
    assert all(each.key.startswith(ann.key) for each in bounded)
    again = Principal.user(ANN, ACME, limit=None, session_id=None)
    assert (ann, ann.key) == (again, again.key)
    same = Principal.user(ANN, ACME, limit=("b", "a", "b"))
    assert same.key == Principal.user(ANN, ACME, limit={"a", "b"}).key
    assert Principal.user(ANN, ACME, session_id=session.upper()).session_id == session


def test_bounds_are_checked() -> None:
    """A limit that is a string, and an actor from elsewhere, are mistakes."""
    with pytest.raises(TypeError, match="collection of strings"):
        Principal.user(ANN, ACME, limit="billing:write")
    with pytest.raises(TypeError, match="collection of strings"):
        Principal.user(ANN, ACME, limit=[1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="must be a Principal"):
        Principal.user(ANN, ACME, actor="agent")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be in seconds"):
        Principal.user(ANN, ACME, expires_at="soon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be of the tenant"):
        Principal.user(ANN, ACME, actor=Principal.agent(ANN, ANN))
    with pytest.raises(ValueError, match="is no UUID"):
        Principal.user(ANN, ACME, session_id="x")


@pytest.mark.parametrize(
    "build", [Principal.user, Principal.api_key, Principal.service, Principal.agent]
)
def test_a_misspelt_bound_is_no_principal_without_bounds(build: Any) -> None:
    """Who limits by a word that isn't known must not get more than was meant."""
    with pytest.raises(TypeError, match="scopes"):
        build(ANN, ACME, scopes=["billing:read"])
    engine = Engine()
    engine.publish(town().snapshot(), 0.0)
    with pytest.raises(TypeError, match="scopes"):
        engine.principal_for(ANN, ACME, scopes=["billing:read"])  # type: ignore[call-arg]
