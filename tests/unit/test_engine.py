"""The engine as an application meets it, over a document."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import qeetid_authz
from qeetid_authz import (
    DocumentError,
    Engine,
    NotOpenError,
    PermissionDenied,
    Principal,
    Reason,
)
from qeetid_authz.document import read_document, snapshot
from qeetid_authz.ids import format_id
from qeetid_authz.index.permissions import Vocabulary, mask_of, positions
from qeetid_authz.model import Changes, Machine, Owned
from qeetid_authz.revision import DOCUMENT_REVISION, Revision
from tests.tables import Tables, named

ACME = "7a0d5c1e-4a57-4d0c-9b0e-5a8f3f5c0001"
ANN, BOB, EVE = (f"7a0d5c1e-4a57-4d0c-9b0e-5a8f3f5c001{n}" for n in range(3))
DOCUMENT = {
    "users": [
        {"email": "ann@x.test", "id": ANN},
        {"email": "bob@x.test", "id": BOB},
        {"email": "eve@x.test", "id": EVE, "status": "suspended"},
    ],
    "tenants": [
        {
            "slug": "acme",
            "id": ACME,
            "roles": [
                {"name": "biller", "permissions": ["billing:read", "billing:write"]},
                {"name": "reader", "permissions": ["billing:read"]},
            ],
            "groups": [
                {"name": "staff", "roles": ["reader"], "members": ["bob@x.test"]}
            ],
            "assignments": [
                {"user": "ann@x.test", "roles": ["biller"]},
                {"user": "eve@x.test", "roles": ["biller"]},
            ],
        }
    ],
}


@pytest.fixture
def engine() -> Engine:
    """An engine over the document."""
    return Engine.from_facts(DOCUMENT)


def user(id_: str) -> Principal:
    return Principal.user(id_, ACME)


def test_direct_and_group_grants(engine: Engine) -> None:
    """A role held directly and one held through a group both grant."""
    assert engine.can(user(ANN), "billing:write")
    assert engine.can(user(BOB), "billing:read")
    assert not engine.can(user(BOB), "billing:write")


def test_which_permissions_there_are(engine: Engine) -> None:
    """By their keys, verbatim."""
    assert engine.is_permission("billing:write")
    assert not engine.is_permission("billing:Write")
    engine.close()
    with pytest.raises(NotOpenError):
        engine.is_permission("billing:write")


def test_a_decision_says_why_and_when(engine: Engine) -> None:
    """A decision is true when allowed, and carries reason, revision and age."""
    decision = engine.check(user(EVE), "billing:write")

    assert not decision
    assert Reason.USER_INACTIVE is decision.reason
    assert DOCUMENT_REVISION == decision.revision
    assert 0.0 == decision.age


def test_an_explanation_reads_like_qeet_ids(engine: Engine) -> None:
    """Paths have the members of Qeet ID's explain, a denial what is missing."""
    (path,) = engine.explain(user(BOB), "billing:read").paths
    denied = engine.explain(user(BOB), "billing:write")

    assert ("role:reader", "group:staff") == (path.granted_by, path.via)
    assert (
        "no role grants this permission for this user in this tenant" == denied.sentence
    )
    assert ["biller"] == [role.role for role in denied.missing]


def test_require_raises_with_the_decision(engine: Engine) -> None:
    """`require` returns when allowed and raises the denial otherwise."""
    engine.require(user(ANN), "billing:write")
    with pytest.raises(PermissionDenied, match="billing:write") as caught:
        engine.require(user(BOB), "billing:write")

    assert Reason.NO_GRANT is caught.value.decision.reason


def test_who_can_is_complete_and_ordered(engine: Engine) -> None:
    """Everybody who holds the permission is listed, by id, and nobody else."""
    assert [ANN, BOB] == list(engine.who_can(ACME, "billing:read"))
    assert [] == list(engine.who_can(EVE, "billing:read"))


def test_who_can_comes_in_pages(engine: Engine) -> None:
    """A page begins after the last of the one before, and has no more than it may."""
    assert [ANN] == list(engine.who_can(ACME, "billing:read", limit=1))
    assert [BOB] == list(engine.who_can(ACME, "billing:read", after=ANN, limit=1))
    assert [] == list(engine.who_can(ACME, "billing:read", after=BOB, limit=1))
    assert [] == list(engine.who_can(ACME, "no:such"))
    with pytest.raises(ValueError, match="limit must be at least 1, not `0`"):
        engine.who_can(ACME, "billing:read", limit=0)
    with pytest.raises(ValueError, match="`ann` is no UUID"):
        engine.who_can(ACME, "billing:read", after="ann")


def test_who_can_tells_of_the_revision_it_was_asked_at() -> None:
    """A user, a service and an agent who are stopped while it is read are in it."""
    tenant, role, key = named("tenant", 1), named("role", 1), named("permission", 1)
    holders = sorted(named(kind, 1) for kind in ("user", "service", "agent"))
    user_, service, agent = (named(kind, 1) for kind in ("user", "service", "agent"))
    active, disabled = (Machine(tenant, (), each) for each in ("active", "disabled"))
    tables = Tables(
        permissions={key: "a:b"},
        roles={role: Owned(tenant, "r")},
        tenants={tenant: "active"},
        users={user_: "active"},
        services={service: active},
        agents={agent: active},
        role_permissions={(role, key)},
        user_roles={(tenant, holder, role) for holder in holders},
    )
    engine = Engine()
    engine.publish(tables.snapshot(), 0.0)
    asked = engine.who_can(format_id(tenant), "a:b")
    later = Changes(
        Revision("life", 2, 2),
        users={user_: "suspended"},
        services={service: disabled},
        agents={agent: disabled},
    )
    engine.publish(later, 0.0)

    assert [format_id(holder) for holder in holders] == list(asked)
    assert [] == list(engine.who_can(format_id(tenant), "a:b"))


def test_equal_questions_share_a_decision_until_the_next_revision() -> None:
    """One object for all who ask the same; a later revision has another, and its age."""
    now = [10.0]
    engine = Engine(clock=lambda: now[0])
    engine.publish(snapshot(read_document(DOCUMENT)), 10.0)
    allowed, denied = (
        engine.check(user(ANN), "billing:write"),
        engine.check(user(BOB), "billing:write"),
    )

    assert engine.check(user(ANN), "billing:write") is allowed
    assert engine.check(user(BOB), "billing:write") is denied
    now[0] = 12.5
    assert (allowed.age, allowed.revision) == (2.5, DOCUMENT_REVISION)
    engine.publish(DOCUMENT_REVISION, 12.0)
    assert engine.check(user(ANN), "billing:write") is allowed
    assert allowed.age == 0.5

    later = Revision("life", 2, 2)
    engine.publish(later, 12.5)
    again = engine.check(user(ANN), "billing:write")
    assert (True, later, 0.0) == (again.allowed, again.revision, again.age)
    assert (DOCUMENT_REVISION, 0.5) == (allowed.revision, allowed.age)


def test_a_kept_decision_is_not_given_past_the_staleness_bound() -> None:
    """It counts for as long as its snapshot does, whether or not somebody watches."""
    now = [0.0]
    engine = Engine(clock=lambda: now[0], max_staleness=5.0)
    engine.publish(snapshot(read_document(DOCUMENT)), 0.0)
    for _ in range(2):
        assert engine.check(user(ANN), "billing:write")
    now[0] = 5.1
    assert Reason.STALE is engine.check(user(ANN), "billing:write").reason


def test_decisions_on_what_nobody_has_are_not_kept(engine: Engine) -> None:
    """Who makes up ids or keys fills no memory."""
    for number in range(100):
        engine.check(user(ANN), f"made:up{number}")
        engine.check(
            user(f"7a0d5c1e-4a57-4d0c-9b0e-5a8f3f5d{number:04}"), "billing:read"
        )
    assert {} == engine._reasons


def test_a_revision_that_changes_nothing_costs_no_judgement(engine: Engine) -> None:
    """What was decided is said of the later revision as well, without the lock."""
    engine.check(user(ANN), "billing:write")
    engine.check(user(BOB), "billing:write")
    later = Revision("life", 2, 2)
    engine.publish(later, 0.0)
    first = engine.check(user(ANN), "billing:read")  # makes the decision to be shared

    with engine._lock:
        again = engine.check(user(ANN), "billing:write")

    assert first is again
    assert (True, later) == (again.allowed, again.revision)


def test_a_revision_that_comes_amid_a_question_is_heeded(engine: Engine) -> None:
    """A reason that was looked up isn't told of the revision before."""
    later = Revision("life", 2, 2)

    class Meddling(str):
        """A key in the middle of whose lookup a role is taken away."""

        __slots__ = ()

        def __hash__(self) -> int:
            if engine.revision != later:
                triple = (user(ANN).tenant, user(ANN).subject, role)
                engine.publish(Changes(later, user_roles={triple: False}), 0.0)
            return super().__hash__()

    role = next(
        id_
        for id_, role in engine._require_index().roles.items()
        if role.name == "biller"
    )
    assert engine.check(user(ANN), "billing:write")

    decision = engine.check(user(ANN), Meddling("billing:write"))

    assert (Reason.NO_GRANT, later) == (decision.reason, decision.revision)


def test_a_permission_that_comes_or_goes_changes_reasons() -> None:
    """A key nobody holds is unknown but while it is there, whoever asked before."""
    tenant, who, role = named("tenant", 1), named("user", 1), named("role", 1)
    key, other, vain = (named("permission", n) for n in range(3))
    tables = Tables(
        permissions={key: "a:b", other: "c:d", vain: "e:f"},
        roles={role: Owned(tenant, "r")},
        tenants={tenant: "active"},
        users={who: "active"},
        role_permissions={(role, other)},
        user_roles={(tenant, who, role)},
    )
    engine = Engine()
    engine.publish(tables.snapshot(), 0.0)
    principal = Principal.of(user(ANN).kind, who, tenant)
    for turn, (present, expected) in enumerate(
        [("a:b", "no_grant"), (None, "unknown_permission"), ("a:b", "no_grant")]
    ):
        changes = Changes(Revision("life", turn, turn), permissions={key: present})
        engine.publish(changes, 0.0)
        # Those of all reasons are made before what was asked before is asked again.
        assert engine.check(principal, "c:d")
        assert "no_grant" == engine.check(principal, "e:f").reason
        assert "unknown_permission" == engine.check(principal, "no:such").reason

        assert expected == engine.check(principal, "a:b").reason


def test_a_change_takes_decisions_back(engine: Engine) -> None:
    """After a role is taken from its user, whoever asked before gets a denial."""
    assert engine.check(user(ANN), "billing:write")
    role = next(
        id_
        for id_, role in engine._require_index().roles.items()
        if role.name == "biller"
    )
    triple = (user(ANN).tenant, user(ANN).subject, role)
    engine.publish(Changes(Revision("life", 2, 2), user_roles={triple: False}), 0.0)
    assert Reason.NO_GRANT is engine.check(user(ANN), "billing:write").reason


def test_a_change_that_turns_out_to_be_none(engine: Engine) -> None:
    """Taking from somebody what nobody had given is harmless."""
    stranger = Principal.of(user(ANN).kind, named("user", 1), user(ANN).tenant)
    (group,) = engine._require_index().groups
    triple = (stranger.tenant, stranger.subject, group)
    engine.publish(Changes(Revision("life", 2, 2), group_members={triple: False}), 0.0)

    assert [] == engine.effective_permissions(stranger)
    assert engine.can(user(BOB), "billing:read")


def test_effective_permissions_are_sorted(engine: Engine) -> None:
    """All keys of a user, sorted; none for one who may not act."""
    assert ["billing:read", "billing:write"] == engine.effective_permissions(user(ANN))
    assert [] == engine.effective_permissions(user(EVE))


@pytest.mark.parametrize(
    ("principal", "permission"),
    [
        ("ann", "billing:read"),
        (None, "billing:read"),
        ({"id": ANN}, "billing:read"),
        (Principal.user(ANN, ACME), None),
        (Principal.user(ANN, ACME), b"billing:read"),
        (Principal.user(ANN, ACME), ["billing:read"]),
        (Principal.user(ANN, ACME), 7),
    ],
)
def test_arguments_of_another_type_are_refused(
    engine: Engine, principal: Any, permission: Any
) -> None:
    """What is no principal or no string raises a TypeError, asked before or not."""
    engine.can(user(ANN), "billing:read")
    for ask in (engine.can, engine.check, engine.explain, engine.require):
        with pytest.raises(TypeError, match="principal|string"):
            ask(principal, permission)
    with pytest.raises(TypeError, match="principal|string"):
        engine.check_many([(principal, permission)])


def test_unknown_ids_are_denied(engine: Engine) -> None:
    """Nobody, nowhere and nothing are denials, not errors."""
    stranger = "00000000-0000-0000-0000-000000000000"

    assert not engine.can(Principal.user(stranger, ACME), "billing:read")
    assert not engine.can(Principal.user(ANN, stranger), "billing:read")
    assert not engine.can(user(ANN), "no:such")
    assert not engine.can(user(ANN), "")


@pytest.mark.parametrize(
    ("user_id", "tenant_id", "error"),
    [
        ("x", ACME, ValueError),
        (ANN, "", ValueError),
        (ANN.encode(), ACME, TypeError),
        (ANN, None, TypeError),
        (ANN[:-1], ACME, ValueError),
        ("z" * 32, ACME, ValueError),
        (ANN.replace("-", "0"), ACME, ValueError),
    ],
)
def test_a_principal_needs_ids(
    user_id: Any, tenant_id: Any, error: type[Exception]
) -> None:
    """A principal can't be made of what is no UUID."""
    with pytest.raises(error, match="id|UUID"):
        Principal.user(user_id, tenant_id)


@pytest.mark.parametrize(
    "spelling",
    [
        ANN.upper(),
        ANN.replace("-", ""),
        f"urn:uuid:{ANN}",
        f"URN:UUID:{ANN}",
        "{" + ANN + "}",
        f"x{ANN}y",
        f"usr_{ANN}",
    ],
)
def test_ids_have_several_spellings(spelling: str) -> None:
    """A principal of any spelling is the same principal, canonical inside."""
    assert user(ANN) == Principal.user(spelling, ACME)
    assert ANN == Principal.user(spelling, ACME).id
    assert hash(user(ANN)) == hash(Principal.user(spelling, ACME))


def test_a_document_that_is_none_is_refused() -> None:
    """Facts that break a rule make no engine."""
    with pytest.raises(DocumentError, match="tenants"):
        Engine.from_facts({"tenants": [{"name": "no slug"}]})
    with pytest.raises(ValueError, match="loose"):
        Engine.from_facts(DOCUMENT, semantics="loose")


def test_a_closed_engine_answers_nothing(engine: Engine) -> None:
    """After closing, every question says so."""
    with engine:
        assert engine.can(user(ANN), "billing:read")
    engine.close()

    for ask in (engine.can, engine.check, engine.explain, engine.require):
        with pytest.raises(NotOpenError, match="closed"):
            ask(user(ANN), "billing:read")
    with pytest.raises(NotOpenError):
        engine.effective_permissions(user(ANN))
    with pytest.raises(NotOpenError):
        engine.who_can(ACME, "billing:read")
    with pytest.raises(NotOpenError):
        engine.can_many(user(ANN).tenant, [])


def test_a_closed_engine_stays_closed(engine: Engine) -> None:
    """Changes that come after closing open nothing, and disturb nobody."""
    role = next(iter(engine._require_index().roles))
    triple = (user(BOB).tenant, user(BOB).subject, role)
    engine.close()

    engine.publish(Changes(Revision("life", 2, 2), user_roles={triple: True}), 0.0)

    with pytest.raises(NotOpenError, match="closed"):
        engine.can(user(BOB), "billing:read")


@pytest.fixture
def configured(engine: Engine) -> Iterator[Engine]:
    """The module's functions ask this engine."""
    qeetid_authz.configure(engine)
    yield engine
    qeetid_authz.configure(None)


def test_module_functions_ask_the_configured_engine(configured: Engine) -> None:
    """After `configure`, the functions of the package answer like the engine."""
    assert qeetid_authz.can(user(ANN), "billing:write")
    assert qeetid_authz.check(user(ANN), "billing:write")
    assert qeetid_authz.explain(user(ANN), "billing:write")
    qeetid_authz.require(user(ANN), "billing:write")


def test_only_an_authorizer_can_be_configured() -> None:
    """What can't answer is refused at once, not at the first question."""
    with pytest.raises(TypeError, match="no authorizer"):
        qeetid_authz.configure("authz")  # type: ignore[arg-type]


def test_module_functions_need_configuring() -> None:
    """Without `configure` they say what to call."""
    with pytest.raises(NotOpenError, match="configure"):
        qeetid_authz.can(user(ANN), "billing:write")


def test_the_package_has_no_other_names() -> None:
    """A misspelt name of the package is an AttributeError, not a surprise."""
    with pytest.raises(AttributeError, match="Authoriser"):
        _ = qeetid_authz.Authoriser


def test_no_batch_grows_stale_half_way() -> None:
    """However long it takes, all of it is answered or all of it refused."""
    ticks = iter(range(1_000))
    engine = Engine(clock=lambda: float(next(ticks)), max_staleness=10.0)
    tables = Tables(tenants={named("tenant", 1): "active"})
    engine.publish(tables.snapshot(), 0.0)
    who = Principal.of(user(ANN).kind, named("user", 1), named("tenant", 1))
    batches = [engine.check_many([(who, "x")] * 7) for _ in range(30)]

    assert [1] * 30 == [len({each.reason for each in batch}) for batch in batches]
    assert "unknown_user" == batches[0][0].reason
    assert "stale" == batches[-1][0].reason


def test_a_stale_engine_denies_everything() -> None:
    """An engine past its bound denies, by its clock, before anybody tells it to."""
    now = [0.0]
    engine = Engine(clock=lambda: now[0], max_staleness=5.0)
    tables = Tables(tenants={named("tenant", 1): "active"})
    engine.publish(tables.snapshot(), 0.0)
    who = Principal.of(user(ANN).kind, named("user", 1), named("tenant", 1))

    assert engine.check(who, "x").reason == "unknown_user"
    now[0] = 5.1
    assert engine.check(who, "x").reason == "stale"
    assert engine.explain(who, "x").reason == "stale"
    assert engine.can_many(who.tenant, [(who.subject, "x")])[0] == [False]
    assert engine.expire(only_if_old=True)
    engine.publish(Revision("life", 1, 1), 5.1)
    assert engine.check(who, "x").reason == "unknown_user"
    assert not engine.expire(only_if_old=True)


def test_readers_never_see_half_a_change() -> None:
    """While a user moves between two roles that both grant, nobody sees it denied."""
    tenant, who = named("tenant", 1), named("user", 1)
    left, right, key = named("role", 1), named("role", 2), named("permission", 1)
    tables = Tables(
        permissions={key: "a:b"},
        roles={left: Owned(tenant, "left"), right: Owned(tenant, "right")},
        tenants={tenant: "active"},
        users={who: "active"},
        role_permissions={(left, key)},
        user_roles={(tenant, who, left)},
    )
    engine = Engine()
    engine.publish(tables.snapshot(), 0.0)
    principal = Principal.of(user(ANN).kind, who, tenant)
    stop = threading.Event()
    denied: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            batch = engine.check_many([(principal, "a:b")] * 3)
            single = engine.can(principal, "a:b") and engine.check(principal, "a:b")
            explained = engine.explain(principal, "a:b")
            if not single or not explained or not all(batch):
                denied.append((single, explained, batch))
            if len({decision.revision for decision in batch}) != 1:
                denied.append(batch)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    for reader in readers:
        reader.start()
    for turn in range(2000):
        former, latter = (left, right) if turn % 2 == 0 else (right, left)
        engine.publish(
            Changes(
                Revision("life", turn, turn),
                role_permissions={(former, key): False, (latter, key): True},
                user_roles={(tenant, who, former): False, (tenant, who, latter): True},
            ),
            0.0,
        )
    stop.set()
    for reader in readers:
        reader.join()

    assert [] == denied


def test_decisions_are_of_the_revision_they_name() -> None:
    """A user holds a role at every other revision: no decision says otherwise of any."""
    tenant, who = named("tenant", 1), named("user", 1)
    role, kept, key = named("role", 1), named("role", 2), named("permission", 1)
    tables = Tables(
        permissions={key: "a:b"},
        roles={role: Owned(tenant, "r"), kept: Owned(tenant, "k")},
        tenants={tenant: "active"},
        users={who: "active"},
        role_permissions={(role, key)},
        user_roles={(tenant, who, role), (tenant, who, kept)},
    )
    engine = Engine()
    engine.publish(tables.snapshot(Revision("life", 0, 0)), 0.0)
    principal = Principal.of(user(ANN).kind, who, tenant)
    stop = threading.Event()
    wrong: list[object] = []
    seen: set[bool] = set()

    def ask() -> None:
        while not stop.is_set():
            decision = engine.check(principal, "a:b")
            seen.add(decision.allowed)
            if decision.allowed is not (decision.revision.xmax % 4 < 2):
                wrong.append(decision)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for reader in readers:
        reader.start()
    for turn in range(1, 4000):
        revision = Revision("life", turn, turn)
        held = {(tenant, who, role): turn % 4 < 2}
        update = revision if turn % 2 else Changes(revision, user_roles=held)
        engine.publish(update, 0.0)
    stop.set()
    for reader in readers:
        reader.join()
    sys.setswitchinterval(interval)

    assert [] == wrong
    assert {True, False} == seen


def test_masks_and_positions_are_inverse() -> None:
    """Positions to a mask and back, across bytes."""
    for ascending in ([], [0], [7, 8], [0, 63, 64, 13_789]):
        assert ascending == list(positions(mask_of(ascending)))


def test_a_vocabulary_never_renumbers() -> None:
    """A key keeps its position, and one that came later gets another."""
    vocabulary = Vocabulary()
    first, second = vocabulary.add("a:b"), vocabulary.add("c:d")

    assert first == vocabulary.add("a:b")
    assert first != second
    assert vocabulary.position("e:f") is None
    assert ["a:b", "c:d"] == vocabulary.keys(mask_of([second, first]))


def test_a_key_that_comes_later_is_not_remembered_as_denied() -> None:
    """Asking for a key before it exists doesn't spoil the answer after."""
    tenant, who = named("tenant", 1), named("user", 1)
    role, key = named("role", 1), named("permission", 1)
    tables = Tables(
        roles={role: Owned(tenant, "r")},
        tenants={tenant: "active"},
        users={who: "active"},
        user_roles={(tenant, who, role)},
    )
    engine = Engine()
    engine.publish(tables.snapshot(), 0.0)
    principal = Principal.of(user(ANN).kind, who, tenant)
    assert not engine.can(principal, "a:b")

    engine.publish(
        Changes(
            Revision("life", 1, 1),
            permissions={key: "a:b"},
            role_permissions={(role, key): True},
        ),
        0.0,
    )

    assert engine.can(principal, "a:b")
    assert format_id(who) in list(engine.who_can(format_id(tenant), "a:b"))


def test_revisions_read_and_write() -> None:
    """A revision reads Postgres's text, and is short however much was running."""
    busy = Revision.parse("life", "10:2000:" + ",".join(map(str, range(10, 1500))))

    assert Revision("life", 5, 7, (5,)) == Revision.parse("life", "5:7:5")
    assert "life@5:7" == str(Revision.parse("life", "5:7:"))
    assert len(str(busy)) < 64
    assert str(busy) != str(Revision.parse("life", "10:2000:10"))


def test_what_was_shut_stays_shut() -> None:
    """An update that was under way when the engine was closed doesn't open it again."""
    engine = Engine()
    engine.close()

    engine.publish(Tables().snapshot(), 0.0)

    assert not engine.is_loaded
    with pytest.raises(NotOpenError, match="closed"):
        engine.can(user(ANN), "a:b")


def test_questions_may_come_from_questions(engine: Engine) -> None:
    """A caller's iterable is read before anything is locked: it may ask as well."""

    def questions() -> Iterator[tuple[bytes, str]]:
        for id_ in (ANN, EVE):
            assert engine.check(user(ANN), "billing:read")
            yield user(id_).subject, "billing:read"

    assert engine.can_many(user(ANN).tenant, questions())[0] == [True, False]


def test_an_index_tells_how_much_is_in_it(engine: Engine) -> None:
    """Entries by kind, of all that a document can name."""
    index = engine._index
    assert index is not None
    sizes = index.sizes()

    assert {"tenants": 1, "users": 3, "roles": 2, "groups": 1, "permissions": 2} == {
        kind: number for kind, number in sizes.items() if number
    }
