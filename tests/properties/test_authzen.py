"""Properties of AuthZEN's evaluations and searches, over random facts."""

from collections.abc import Iterable
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import format_id
from qeetid_authz.model import Semantics
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.authzen.judging import Judge
from qeetid_authz_server.authzen.mapping import KeyMapping, KeyPattern
from qeetid_authz_server.authzen.messages import (
    Action,
    Context,
    Evaluation,
    Resource,
    Subject,
)
from qeetid_authz_server.authzen.paging import Place, Tokens, choose, turn
from qeetid_authz_server.authzen.seeking import Seeker
from tests import principals
from tests.principals import ADDRESSES, NOW, STRANGER
from tests.tables import Seeded, Tables
from tests.writes import (
    API_KEYS,
    KEYS,
    MACHINES,
    TENANTS,
    USERS,
    random_tables,
)

randoms = st.integers(0, 2**32 - 1).map(Seeded)
semantics = st.sampled_from(list(Semantics))

TYPES = ["doc", "doc:1", "permission", "x"]
IDS = ["1", "2", "1:read", ""]
ACTIONS = ["read", "write", "1:read", "doc:read", ""]
PATTERNS = ["{type}:{action}", "{action}@{type}", "-{type}.{action}-"]
WORDS = [
    "doc:read",
    "doc:1:read",
    "doc:2:read",
    "doc:2:write",
    "doc::read",
    "doc:1:1:read",
    "doc:",
    "read@doc",
    "@doc@doc",
    "-doc.read-",
    "-doc.-",
    "permission:1:read",
]
SUBJECTS = [*USERS, STRANGER, *MACHINES, *API_KEYS]
ASKABLE = [
    (kind, subject)
    for kind, subject in product(Kind, SUBJECTS)
    if kind is not Kind.USER or subject not in MACHINES
]
"""Each by a type that it may have; a machine is no user, though it may be gone."""
Question = tuple[Kind, bytes, bytes, str, str, str, str | None]
QUESTIONS: list[Question] = [
    (kind, subject, tenant, action, type_, id_, ip)
    for kind, subject in ASKABLE
    for tenant, action, type_ in product(TENANTS, ACTIONS, TYPES)
    for id_, ip in product(IDS, ADDRESSES)
]


class Office:
    """A town in other words, its rules by the book, and what is to follow them."""

    def __init__(self, random: Random, how: Semantics) -> None:
        self.how = how
        self.tables = in_other_words(random_tables(random), random)
        self.pattern = random.choice(PATTERNS)
        self.has_instances = random.random() < 0.7
        self.engine = Engine(how, wall_clock=lambda: NOW)
        self.engine.publish(self.tables.snapshot(), 0.0)
        mapping = KeyMapping(KeyPattern.parse(self.pattern), self.has_instances)
        self.judge = Judge(self.engine, mapping)
        self.seeker = Seeker(self.engine, mapping, self.judge)

    def keys(self, action: str, type_: str, id_: str) -> set[str]:
        """The permission keys of which one is enough, as they are documented."""
        if type_ == "permission":
            return {action}
        of_all = self.pattern.format(type=type_, action=action)
        if not self.has_instances:
            return {of_all}
        keys = {of_all} if len(of_all.split(":")) != 3 else set()
        if ":" not in type_ + id_ + action:
            keys.add(f"{type_}:{id_}:{action}")
        return keys

    def permits(
        self, who: Principal, action: str, type_: str, id_: str, ip: str | None
    ) -> bool:
        """The decision, by the naive evaluator."""
        if who.kind is Kind.USER and self.engine.kind_of(who.subject) is not Kind.USER:
            return False
        return any(
            principals.can(self.tables, self.how, who, key, ip)
            for key in self.keys(action, type_, id_)
        )

    def evaluated(
        self, who: Principal, action: str, type_: str, id_: str, ip: str | None
    ) -> bool:
        """The decision, as it is answered."""
        asked = Evaluation(
            Subject(who.kind, who.id),
            Action(action),
            Resource(type_, id_),
            Context(client_ip=ip),
        )
        return self.judge.judge(who, asked).allowed

    def instances(self, who: Principal, type_: str) -> set[str]:
        """The ids that are known: of keys that the tenant's roles bundle, or held."""
        t = self.tables
        own = {id_ for id_, role in t.roles.items() if role.tenant == who.tenant}
        bundled = {
            t.permissions[permission]
            for role, permission in t.role_permissions
            if role in own and permission in t.permissions
        }
        held = {w for w in WORDS if principals.can(t, self.how, who, w, None)}
        parts = [key.split(":") for key in bundled | held]
        return {
            each[1]
            for each in parts
            if len(each) == 3 and each[0] == type_ and type_ != "permission"
        }


def in_other_words(t: Tables, random: Random) -> Tables:
    """The same town with keys that stand for actions on resources."""
    words = dict(zip(KEYS, random.sample(WORDS, len(KEYS)), strict=True))

    def scopes(given: Iterable[str]) -> tuple[str, ...]:
        return tuple(words.get(scope, scope) for scope in given)

    t.permissions = {id_: words[key] for id_, key in t.permissions.items()}
    for rows in (t.services, t.agents):
        for id_, machine in rows.items():
            rows[id_] = machine._replace(scopes=scopes(machine.scopes))
    for id_, key in t.api_keys.items():
        t.api_keys[id_] = key._replace(scopes=scopes(key.scopes))
    return t


@given(randoms, semantics)
def test_a_decision_is_the_oracles(random: Random, how: Semantics) -> None:
    """Of every kind of subject, by any pattern, with instances and without."""
    office = Office(random, how)
    for kind, subject, tenant, action, type_, id_, ip in random.sample(QUESTIONS, 80):
        who = Principal.of(kind, subject, tenant)
        what = (action, type_, id_, ip)

        assert office.permits(who, *what) is office.evaluated(who, *what)


@given(randoms, semantics)
def test_s5_subjects_found_are_those_that_are_permitted(
    random: Random, how: Semantics
) -> None:
    """All of them, each once, in the order of their ids, of the type sought."""
    office = Office(random, how)
    asked = list(product(Kind, TENANTS, ACTIONS, TYPES, IDS, ADDRESSES))
    for kind, tenant, action, type_, id_, ip in random.sample(asked, 30):
        expected = sorted(
            format_id(subject)
            for subject in SUBJECTS
            if office.permits(
                Principal.of(kind, subject, tenant), action, type_, id_, ip
            )
        )
        what = (tenant, kind, Action(action), Resource(type_, id_), Context(False, ip))

        assert expected == list(office.seeker.subjects(*what))
        assert [each for each in expected if each > format_id(STRANGER)] == list(
            office.seeker.subjects(*what, after=format_id(STRANGER))
        )


@given(randoms, semantics)
def test_s5_actions_found_are_those_that_are_permitted(
    random: Random, how: Semantics
) -> None:
    """All of them, each once, in the order of their names."""
    office = Office(random, how)
    names = {*ACTIONS, *WORDS}
    for kind, subject, tenant, _, type_, id_, ip in random.sample(QUESTIONS, 40):
        who = Principal.of(kind, subject, tenant)

        found = office.seeker.actions(who, Resource(type_, id_), Context(False, ip))

        assert found == sorted(set(found))
        assert {
            name
            for name in names | set(found)
            if office.permits(who, name, type_, id_, ip)
        } == set(found)


@given(randoms, semantics)
def test_s5_resources_found_are_those_that_are_permitted(
    random: Random, how: Semantics
) -> None:
    """All that are known, each once, in the order of their ids."""
    office = Office(random, how)
    office.has_instances = True
    mapping = KeyMapping(KeyPattern.parse(office.pattern), has_instances=True)
    office.seeker = Seeker(office.engine, mapping, Judge(office.engine, mapping))
    for kind, subject, tenant, action, type_, _, ip in random.sample(QUESTIONS, 60):
        who = Principal.of(kind, subject, tenant)

        found = office.seeker.resources(who, Action(action), type_, Context(False, ip))

        assert found == sorted(set(found))
        assert {
            id_
            for id_ in office.instances(who, type_)
            if office.permits(who, action, type_, id_, ip)
        } == set(found)


def test_permissions_have_no_instances() -> None:
    """Their ids are ignored, so that none is worth finding."""
    mapping = KeyMapping(KeyPattern.parse("{type}:{action}"), has_instances=True)

    assert {"1"} == mapping.ids("doc", ["doc:1:read", "permission:2:doc", "doc:x"])
    assert set() == mapping.ids("permission", ["permission:1:read"])


@given(
    st.lists(st.text(max_size=3), unique=True, max_size=12).map(sorted),
    st.one_of(st.none(), st.integers(0, 14)),
    st.randoms(),
)
def test_s6_pages_are_the_whole_whatever_comes_and_goes(
    whole: list[str], limit: int | None, random: Random
) -> None:
    """Who is there on every page is told once, with every limit, in order."""
    tokens = Tokens(b"k" * 32, lambda: 0.0)
    read = lambda token: tokens.read(token, b"q")  # noqa: E731
    comers = [word + "+" for word in whole if random.random() < 0.3]
    told: list[str] = []
    place = choose(None, limit, read)
    for page_number in range(2 + 2 * len(whole)):
        now = sorted(whole + (comers if page_number % 2 else []))
        behind = [each for each in now if place.after is None or each > place.after]
        page, following = turn(behind, place)
        told += page
        if following is None:
            break
        place = choose(tokens.make(following, b"q"), None, read)
    else:
        raise AssertionError("it never ends")

    assert whole == [each for each in told if each in whole]
    assert told == sorted(set(told))


def test_m12_a_page_of_none_goes_on() -> None:
    """Behind it comes everything, unless nothing is asked for again."""
    tokens = Tokens(b"k" * 32, lambda: 0.0)
    page, following = turn(["a", "b"], Place(None, 0))
    assert [] == page
    assert following is not None
    token = tokens.make(following, b"q")

    for limit, results in ((None, ["a", "b"]), (0, [])):
        place = choose(token, limit, lambda given: tokens.read(given, b"q"))
        assert results == turn(["a", "b"], place)[0]


def test_s6_a_token_is_good_for_ten_minutes() -> None:
    """By its own clock, and for what it was made about."""
    clock = [1000.0]
    tokens = Tokens(b"k" * 32, lambda: clock[0])
    place = Place("x", 3)
    token = tokens.make(place, b"q")

    for clock[0] in (1000.0, 1600.0):
        assert place == tokens.read(token, b"q")
    for clock[0], about in ((1000.0, b"p"), (1600.1, b"q")):
        with pytest.raises(ValueError, match="page.token"):
            tokens.read(token, about)
    clock[0] = 1000.0
    with pytest.raises(ValueError, match="page.token"):
        Tokens(b"x" * 32, lambda: clock[0]).read(token, b"q")
