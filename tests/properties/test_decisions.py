"""Properties of decisions, over random facts with every quirk, in both semantics."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import format_id
from qeetid_authz.index import index
from qeetid_authz.index.applying import apply_changes
from qeetid_authz.index.compiler import compile_snapshot
from qeetid_authz.index.facts import Facts
from qeetid_authz.model import Semantics
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import DOCUMENT_REVISION, Revision
from tests import oracle
from tests.described import describe
from tests.tables import Seeded, Tables, named
from tests.writes import KEYS, TENANTS, USERS, random_tables, random_write


@pytest.fixture(autouse=True, scope="module")
def few_are_many() -> Iterator[None]:
    """What is kept of profiles in many groups is kept of those in any."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(index, "_MANY", 0)
        yield


randoms = st.integers(0, 2**32 - 1).map(Seeded)
semantics = st.sampled_from(list(Semantics))
STRANGER = named("user", "stranger")
QUESTIONS = list(product([*TENANTS, STRANGER], [*USERS, STRANGER], [*KEYS, "no:such"]))


def principal(tenant: bytes, user: bytes) -> Principal:
    return Principal.of(Kind.USER, user, tenant)


def engine_over(tables: Tables, how: Semantics) -> Engine:
    engine = Engine(how)
    engine.publish(tables.snapshot(), 0.0)
    return engine


@given(randoms, semantics, st.booleans())
def test_can_is_the_oracle(random: Random, how: Semantics, foreign_keys: bool) -> None:
    """Every question gets the naive evaluator's answer."""
    tables = random_tables(random, foreign_keys=foreign_keys)
    engine = engine_over(tables, how)

    expected = [oracle.check(tables, how, *question) for question in QUESTIONS]
    got = [engine.can(principal(t, u), key) for t, u, key in QUESTIONS]

    assert expected == got


@given(randoms, semantics, st.booleans())
def test_answers_follow_changes(
    random: Random, how: Semantics, foreign_keys: bool
) -> None:
    """Answers given before don't outlive the changes that make them wrong."""
    tables = random_tables(random, foreign_keys=foreign_keys)
    engine = engine_over(tables, how)
    asked = random.sample(QUESTIONS, 60)
    for _ in range(12):
        former = tables.copy()
        for _ in range(random.choice((1, 1, 1, 4))):
            random_write(tables, random, foreign_keys=foreign_keys)
        engine.publish(tables.changes_since(former, random), 0.0)

        expected = [oracle.check(tables, how, *question) for question in asked]
        got = [engine.can(principal(t, u), key) for t, u, key in asked]

        assert expected == got


@given(randoms, semantics, st.booleans())
@settings(max_examples=300)
def test_applying_is_recompiling(
    random: Random, how: Semantics, foreign_keys: bool
) -> None:
    """An index with changes applied is the index compiled from the later facts."""
    tables = random_tables(random, foreign_keys=foreign_keys)
    index = compile_snapshot(tables.snapshot(), how)
    for _ in range(10):
        former = tables.copy()
        for _ in range(random.choice((1, 1, 2, 6))):
            random_write(tables, random, foreign_keys=foreign_keys)
        apply_changes(index, tables.changes_since(former, random))

        assert describe(compile_snapshot(tables.snapshot(), how)) == describe(index)


@given(randoms, semantics, st.booleans())
def test_an_index_tells_its_facts(
    random: Random, how: Semantics, foreign_keys: bool
) -> None:
    """The facts of an index make the same again, whatever has changed it meanwhile."""
    tables = random_tables(random, foreign_keys=foreign_keys)
    index = compile_snapshot(tables.snapshot(), how)
    for _ in range(4):
        facts, told = Facts(index, nullcontext()), tables.copy()
        for _ in range(4):
            former = tables.copy()
            random_write(tables, random, foreign_keys=foreign_keys)
            apply_changes(index, tables.changes_since(former, random))

        again = compile_snapshot(facts.snapshot(DOCUMENT_REVISION), how)
        assert describe(compile_snapshot(told.snapshot(), how)) == describe(again)


@given(randoms, semantics, st.booleans())
def test_explain_walks_the_oracles_paths(
    random: Random, how: Semantics, foreign_keys: bool
) -> None:
    """An explanation has exactly the grant paths there are, in the defined order."""
    tables = random_tables(random, foreign_keys=foreign_keys)
    engine = engine_over(tables, how)
    for tenant, user, key in random.sample(QUESTIONS, 60):
        paths = oracle.explain(tables, how, tenant, user, key)
        expected = sorted(
            (
                group is not None,
                group or "",
                role,
                format_id(group_id or b"") if group_id else "",
                format_id(role_id),
            )
            for role, role_id, group, group_id in paths
        )

        explanation = engine.explain(principal(tenant, user), key)

        got = [
            (p.group is not None, p.group or "", p.role, p.group_id or "", p.role_id)
            for p in explanation.paths
        ]
        assert expected == got
        assert bool(paths) == explanation.allowed


@given(randoms)
def test_explain_agrees_with_can(random: Random) -> None:
    """Under strict semantics, explaining and asking never disagree."""
    engine = engine_over(random_tables(random), Semantics.STRICT)
    for tenant, user, key in QUESTIONS:
        who = principal(tenant, user)

        assert engine.can(who, key) is engine.explain(who, key).allowed


@given(randoms)
def test_strict_only_denies(random: Random) -> None:
    """Whatever strict allows, mirror allows."""
    tables = random_tables(random)
    strict = engine_over(tables, Semantics.STRICT)
    mirror = engine_over(tables, Semantics.MIRROR)
    for tenant, user, key in QUESTIONS:
        who = principal(tenant, user)

        assert mirror.can(who, key) or not strict.can(who, key)


@given(randoms, semantics)
def test_every_decision_has_its_reason(random: Random, how: Semantics) -> None:
    """Reasons are the oracle's, from `check` and from `explain`."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    for tenant, user, key in random.sample(QUESTIONS, 60):
        who = principal(tenant, user)
        expected = oracle.reason(tables, how, tenant, user, key)

        decision = engine.check(who, key)

        assert expected == decision.reason
        assert (expected == "granted") is decision.allowed
        if bool(engine.explain(who, key)) is decision.allowed:
            assert expected == engine.explain(who, key).reason


@given(randoms, semantics)
def test_reasons_follow_changes(random: Random, how: Semantics) -> None:
    """Reasons given before don't outlive the changes that make them wrong."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    asked = random.sample(QUESTIONS, 40)
    for turn in range(12):
        former = tables.copy()
        for _ in range(random.choice((0, 1, 1, 4))):
            random_write(tables, random)
        revision = Revision("life", turn, turn)
        engine.publish(tables.changes_since(former, random, revision), 0.0)

        expected = [
            (oracle.reason(tables, how, *question), revision) for question in asked
        ]
        for _ in range(2):
            got = [engine.check(principal(t, u), key) for t, u, key in asked]
            assert expected == [(each.reason, each.revision) for each in got]


@given(randoms, semantics)
def test_all_ways_of_asking_agree(random: Random, how: Semantics) -> None:
    """Batches, effective permissions and holders say what single questions say."""
    tables = random_tables(random)
    engine = engine_over(tables, how)
    asked = [(principal(t, u), key) for t, u, key in QUESTIONS]

    allowed = {(p.tenant, p.subject, k) for p, k in asked if engine.can(p, k)}
    batch = engine.check_many(asked)
    effective = {
        (t, u, key)
        for t, u in {(t, u) for t, u, _ in QUESTIONS}
        for key in engine.effective_permissions(principal(t, u))
    }
    holders = {
        (t, u, key)
        for t, key in {(t, key) for t, _, key in QUESTIONS}
        for u in USERS
        if format_id(u) in set(engine.who_can(format_id(t), key))
    }

    assert holders == {
        (t, u, key)
        for t, key in {(t, key) for t, _, key in QUESTIONS}
        for u in USERS
        if format_id(u) in set(_paged(engine, format_id(t), key))
    }
    assert allowed == {
        (p.tenant, p.subject, k) for (p, k), d in zip(asked, batch, strict=True) if d
    }
    assert allowed == effective
    assert allowed == holders


def _paged(engine: Engine, tenant: str, key: str) -> Iterator[str]:
    """All who hold a key, in pages of two."""
    last = None
    while page := list(engine.who_can(tenant, key, after=last, limit=2)):
        yield from page
        last = page[-1]


@given(randoms)
def test_what_is_missing_would_be_enough(random: Random) -> None:
    """Giving a user a role or group that an explanation names turns it to allow."""
    tables = random_tables(random)
    engine = engine_over(tables, Semantics.STRICT)
    for tenant, user, key in QUESTIONS:
        for role in engine.explain(principal(tenant, user), key).missing:
            role_id = bytes.fromhex(role.role_id.replace("-", ""))
            helped = tables.copy()
            helped.user_roles.add((tenant, user, role_id))
            assert oracle.check(helped, "strict", tenant, user, key)
            for group in role.groups:
                group_id = bytes.fromhex(group.group_id.replace("-", ""))
                helped = tables.copy()
                helped.group_members.add((tenant, user, group_id))
                assert oracle.check(helped, "strict", tenant, user, key)
