"""Who there is: rows by name, and sessions that stay revoked."""

from math import inf

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.index.compiler import compile_snapshot
from qeetid_authz.index.directory import Directory
from qeetid_authz.index.identities import Identities
from qeetid_authz.model import SESSION_MEMORY, ApiKey, Changes, Semantics, Snapshot
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision
from tests.server.town import ACME, ANN, KEY, town, uuid
from tests.tables import named

NOW = Revision("life", 1, 1)
ONE, TWO = named("key", 1), named("key", 2)


def key(prefix: str) -> ApiKey:
    return ApiKey(named("tenant", 1), None, prefix, "hash", (), None, False)


def test_rows_are_found_by_a_name_that_several_share() -> None:
    """They come by id, and each goes alone."""
    keys: Directory[ApiKey] = Directory(lambda row: row.prefix)
    for id_ in (TWO, ONE):
        keys.put(id_, key("qk_a"))

    assert sorted([ONE, TWO]) == [id_ for id_, _ in keys.named("qk_a")]
    assert keys.put(ONE, None) == key("qk_a")
    assert [TWO] == [id_ for id_, _ in keys.named("qk_a")]
    assert keys.get(ONE) is None


def test_a_row_that_changes_its_name_leaves_the_former() -> None:
    """Under the former name it isn't found any more."""
    keys: Directory[ApiKey] = Directory(lambda row: row.prefix)
    keys.put(ONE, key("qk_a"))
    keys.put(ONE, key("qk_b"))

    assert [] == keys.named("qk_a")
    assert [(ONE, key("qk_b"))] == keys.named("qk_b")


def test_a_revocation_is_forgotten_when_it_can_not_matter() -> None:
    """Long after it, by the time of later ones, no token of the session is alive."""
    identities = Identities()
    for number, revoked_at in enumerate((1.0, 2.0, 2.0 + SESSION_MEMORY)):
        session = named("session", number)
        changes = Changes(NOW, revoked_sessions={session: revoked_at})
        identities.change(changes, now=inf)

    assert {named("session", 1), named("session", 2)} == set(
        identities.revoked_sessions
    )


def test_a_clock_that_jumps_takes_no_revocation_back() -> None:
    """What a database says of the future makes nothing forgotten before its time."""
    identities, former = Identities(), Identities()
    first, odd = named("session", 1), named("session", 2)
    identities.change(Changes(NOW, revoked_sessions={first: 100.0}), now=200.0)
    jumped = Changes(NOW, revoked_sessions={odd: 100.0 + 2 * SESSION_MEMORY})
    identities.change(jumped, now=200.0)
    former.remember(identities, now=200.0)

    assert {first, odd} == set(identities.revoked_sessions)
    assert {first, odd} == set(former.revoked_sessions)


def test_scopes_of_a_users_key_are_no_authority() -> None:
    """They limit only, so that nobody's keys make the vocabulary grow."""
    bound = ApiKey(named("tenant", 1), TWO, "qk_a", "x", ("bound",), None, False)
    free = bound._replace(user=None, scopes=("free",))
    index = compile_snapshot(
        Snapshot(NOW, api_keys={ONE: bound, TWO: free}), Semantics.STRICT
    )

    assert index.vocabulary.position("bound") is None
    assert index.vocabulary.position("free") is not None


def test_nothing_takes_a_revocation_back() -> None:
    """Neither a row that says so, nor one that is gone when all is loaded anew."""
    session = uuid("session", "of ann")
    engine = Engine()
    engine.publish(town().snapshot(), 0.0)
    ann = Principal.user(ANN, ACME, session_id=session)
    assert engine.can(ann, KEY)

    revoked: dict[bytes, float | None] = {named("session", "of ann"): 5.0}
    engine.publish(Changes(NOW, revoked_sessions=revoked), 0.0)
    assert not engine.can(ann, KEY)
    engine.publish(Changes(NOW, revoked_sessions=dict.fromkeys(revoked)), 0.0)
    assert not engine.can(ann, KEY)
    engine.publish(town().snapshot(), 0.0)
    assert not engine.can(ann, KEY)

    assert engine.check(ann, KEY).reason is Reason.SESSION_REVOKED


def test_an_empty_snapshot_knows_nobody() -> None:
    """What a later snapshot doesn't have is gone, but for revocations."""
    engine = Engine()
    engine.publish(Snapshot(NOW, api_keys={ONE: key("qk_a")}), 0.0)
    engine.publish(Snapshot(NOW), 0.0)

    assert engine.api_key(ONE) is None
    assert [] == engine.api_keys("qk_a")
    assert [] == engine.clients("qci_a")
