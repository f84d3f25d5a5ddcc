"""Properties of principals of every kind, over random facts, in both semantics."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.decision.standing import obstacle
from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import format_id
from qeetid_authz.model import Semantics
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision
from tests import principals
from tests.principals import ADDRESSES, NOW, random_principal
from tests.tables import Seeded, Tables
from tests.writes import (
    AGENTS,
    KEYS,
    SCOPES,
    SERVICES,
    TENANTS,
    USERS,
    random_tables,
    random_write,
)

randoms = st.integers(0, 2**32 - 1).map(Seeded)
semantics = st.sampled_from(list(Semantics))
ASKED = [*SCOPES, "no:such"]


def engine_over(tables: Tables, how: Semantics) -> Engine:
    engine = Engine(how, wall_clock=lambda: NOW)
    engine.publish(tables.snapshot(), 0.0)
    return engine


@given(randoms, semantics)
def test_can_is_the_oracle(random: Random, how: Semantics) -> None:
    """Every kind of principal, with every bound, gets the naive evaluator's answer."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    for _ in range(40):
        who, ip = random_principal(random), random.choice(ADDRESSES)
        for key in ASKED:
            expected = principals.can(tables, how, who, key, ip)

            assert expected is engine.can(who, key, ip)
            assert expected is engine.can(who, key, ip)


@given(randoms, semantics)
def test_answers_follow_changes(random: Random, how: Semantics) -> None:
    """Answers given before don't outlive the changes that make them wrong."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    asked = [random_principal(random) for _ in range(25)]
    for _ in range(12):
        former = tables.copy()
        for _ in range(random.choice((1, 1, 1, 4))):
            random_write(tables, random)
        engine.publish(tables.changes_since(former, random), 0.0)
        for who in asked:
            for key in SCOPES:
                assert principals.can(tables, how, who, key, None) is engine.can(
                    who, key
                )


@given(randoms, semantics)
def test_all_ways_of_asking_agree(random: Random, how: Semantics) -> None:
    """Asking, checking, explaining, listing: one answer, and one reason."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    for _ in range(30):
        who, ip = random_principal(random), random.choice(ADDRESSES)
        for key in ASKED:
            allowed = engine.can(who, key, ip)
            decision = engine.check(who, key, ip)
            explanation = engine.explain(who, key, ip)

            assert allowed is decision.allowed
            assert allowed is (decision.reason is Reason.GRANTED)
            assert decision.allowed is explanation.allowed or how is Semantics.MIRROR
            assert explanation.allowed is bool(explanation.paths)
            if explanation.allowed is allowed:
                assert decision.reason is explanation.reason
        expected = [key for key in sorted(SCOPES) if engine.can(who, key)]
        assert expected == engine.effective_permissions(who)
        account, _, _ = engine.account(who)
        assert expected == list(account.permissions)
        explained = {key for grant in account.grants for key in grant.permissions}
        assert explained == {key for key in expected if engine.explain(who, key)}


@given(randoms)
def test_standing_is_what_keeps_from_everything(random: Random) -> None:
    """Who has no standing may nothing, and is told the reason that decisions give."""
    engine = engine_over(random_tables(random), Semantics.STRICT)
    for _ in range(60):
        who = random_principal(random)
        if random.random() < 0.5:
            engine.can(who, random.choice(KEYS))  # which seats some
        reason = engine.standing(who)
        assert reason is (obstacle(engine._require_index(), who, NOW))
        if reason is not None:
            assert {reason} == {engine.check(who, key).reason for key in ASKED}


@given(randoms)
def test_a_limit_only_narrows(random: Random) -> None:
    """With more bounds a principal may never more; with all scopes as limit, the same."""
    engine = engine_over(random_tables(random), Semantics.STRICT)
    for _ in range(40):
        who = random_principal(random)
        plain = Principal.of(who.kind, who.subject, who.tenant)
        everything = Principal.of(who.kind, who.subject, who.tenant, limit=ASKED)
        for key in ASKED:
            assert engine.can(plain, key) or not engine.can(who, key)
            assert engine.can(plain, key) is engine.can(everything, key)
            if who.limit is not None and key not in who.limit:
                assert not engine.can(who, key)


@given(randoms)
def test_delegation_exceeds_neither_side(random: Random) -> None:
    """Who acts for another may what both may; an actor's own actor changes nothing."""
    engine = engine_over(random_tables(random), Semantics.STRICT)
    for _ in range(40):
        tenant = random.choice(TENANTS)
        subject = Principal.of(Kind.USER, random.choice(USERS), tenant)
        kind, among = random.choice(((Kind.AGENT, AGENTS), (Kind.SERVICE, SERVICES)))
        actor = Principal.of(kind, random.choice(among), tenant)
        chained = Principal.of(kind, actor.subject, tenant, actor=subject, limit=[])
        for key in ASKED:
            both = engine.can(subject, key) and engine.can(actor, key)
            for each in (actor, chained):
                delegated = Principal.of(Kind.USER, subject.subject, tenant, actor=each)
                assert both is engine.can(delegated, key)


@given(randoms)
def test_revocation_is_monotone(random: Random) -> None:
    """Once a session is revoked, whatever is written, its principal may nothing."""
    tables = random_tables(random)
    engine = engine_over(tables, Semantics.STRICT)
    asked = [random_principal(random) for _ in range(25)]
    refused: set[bytes] = set()
    for _ in range(10):
        former = tables.copy()
        for _ in range(3):
            random_write(tables, random)
        engine.publish(tables.changes_since(former, random), 0.0)
        for who in asked:
            if who.session is not None and who.session in tables.revoked_sessions:
                refused.add(who.key)
            if who.key in refused:
                assert engine.standing(who) is not None
                assert not any(engine.can(who, key) for key in ASKED)


@given(randoms)
def test_strict_only_denies_users(random: Random) -> None:
    """Whatever strict allows to a user, with whatever bounds, mirror allows."""
    tables = random_tables(random)
    strict = engine_over(tables, Semantics.STRICT)
    mirror = engine_over(tables, Semantics.MIRROR)
    for _ in range(60):
        who, ip = random_principal(random), random.choice(ADDRESSES)
        if who.kind is Kind.USER and who.subject not in (SERVICES[0], AGENTS[0]):
            for key in ASKED:
                assert mirror.can(who, key, ip) or not strict.can(who, key, ip)


@given(randoms, semantics)
def test_a_user_id_names_anybody(random: Random, how: Semantics) -> None:
    """An id given for a user's is judged as what it is under strict, in all ways."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    for tenant in TENANTS:
        everybody = [*USERS, *SERVICES, *AGENTS]
        for key in SCOPES:
            holders = set(engine.who_can(format_id(tenant), key))
            batch, _, _ = engine.can_many(tenant, [(each, key) for each in everybody])
            for subject, allowed in zip(everybody, batch, strict=True):
                who = Principal.of(Kind.USER, subject, tenant)
                assert allowed is engine.can(who, key)
                assert allowed is (who.id in holders)
                named = engine.principal_for(who.id, who.tenant_id)
                if how is Semantics.STRICT:
                    assert allowed is engine.can(named, key)


@given(randoms, semantics)
def test_holders_are_those_of_the_call(random: Random, how: Semantics) -> None:
    """What changes while they are read makes no difference to who they are."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    asked = [(format_id(tenant), key) for tenant in TENANTS for key in SCOPES]
    before = [set(engine.who_can(*each)) for each in asked]
    begun = [engine.who_can(*each) for each in asked]
    first = [next(each, None) for each in begun]
    for turn in range(6):
        former = tables.copy()
        for _ in range(random.choice((1, 4, 40))):
            random_write(tables, random)
        revision = Revision("life", turn, turn)
        engine.publish(tables.changes_since(former, random, revision), 0.0)

    after = [{one, *rest} - {None} for one, rest in zip(first, begun, strict=True)]
    assert before == after


@given(randoms)
def test_what_is_missing_would_be_enough(random: Random) -> None:
    """A role that an explanation names turns it to allow, for subject or actor."""
    tables = random_tables(random)
    engine = engine_over(tables, Semantics.STRICT)
    for _ in range(40):
        who = random_principal(random)
        if who.kind is Kind.API_KEY:
            continue
        for key in KEYS:
            explanation = engine.explain(who, key)
            lacking = who
            if explanation.reason is Reason.ACTOR_LACKS:
                assert who.actor is not None
                lacking = who.actor
            elif who.actor is not None:
                continue
            if engine.standing(lacking) is not None:
                continue
            for role in explanation.missing:
                helped = tables.copy()
                role_id = bytes.fromhex(role.role_id.replace("-", ""))
                helped.user_roles.add((who.tenant, lacking.subject, role_id))
                assert principals.can(helped, "strict", who, key, None)


@given(randoms, semantics)
def test_answers_are_kept(random: Random, how: Semantics) -> None:
    """What was asked about a principal is answered from its seat the next time."""
    engine = engine_over(random_tables(random), how)
    for who in [random_principal(random) for _ in range(20)]:
        asked = {key: engine.can(who, key) for key in KEYS}
        if who.key in engine._answers:
            seat = engine._answers[who.key]
            known = {key: seat[key] for key in asked if key in seat}
            assert asked | known == asked
            assert all(key in seat for key, allowed in asked.items() if allowed)
