"""Several evaluations, by facts 1.3 and 1.8 (batch-core)."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.server.authzen.asking import (
    ACTION,
    QUESTION,
    RESOURCE,
    SUBJECT,
    evaluate_all,
    post,
    told,
)
from tests.server.bearers import Office
from tests.server.sidecars import request
from tests.server.town import ANN, BOB, CLOSED, EVE, NOBODY, SUE, UNHELD_KEY

YES, NO = {"decision": True}, {"decision": False}
EVES = {"subject": {"type": "user", "id": EVE}}
BOBS = {"subject": {"type": "user", "id": BOB}}
ROBOTS = {"subject": {"type": "robot", "id": "x"}}
OF_ANN: dict[str, Any] = {}
SEMANTICS = ["execute_all", "deny_on_first_deny", "permit_on_first_permit"]


def by(semantic: str) -> dict[str, str]:
    return {"evaluations_semantic": semantic}


def failing(decision: Any, message: str) -> bool:
    """Whether a question failed with a 400 of its own that says so."""
    error = decision["context"]["error"]
    return (
        decision["decision"] is False
        and error["status"] == 400
        and message in error["message"]
    )


def test_m9_answers_come_in_the_order_of_the_questions(strict: str) -> None:
    """As many, each bare."""
    items = [BOBS, EVES, OF_ANN, ROBOTS, EVES, BOBS]

    assert [YES, NO, YES, NO, NO, YES] == evaluate_all(
        strict, **QUESTION, evaluations=items
    )


@pytest.mark.parametrize("entity", ["subject", "action", "resource"])
def test_m10_what_an_item_leaves_out_is_that_of_all(strict: str, entity: str) -> None:
    """Each of the three, as each may be all that an item has."""
    rest = {name: it for name, it in QUESTION.items() if name != entity}
    common = {entity: QUESTION[entity]}

    assert [YES] == evaluate_all(strict, **common, evaluations=[rest])
    assert [YES] == evaluate_all(strict, **rest, evaluations=[common])


def test_m10_items_may_have_everything(strict: str) -> None:
    """And nothing is in common."""
    assert [YES, NO] == evaluate_all(strict, evaluations=[QUESTION, QUESTION | EVES])


def test_an_entity_is_overridden_as_a_whole(strict: str) -> None:
    """Its members aren't merged: an item's subject needs its own type."""
    items = [{"subject": {"id": BOB}}, {"resource": {"id": "2"}}, {"action": {}}]
    answers = evaluate_all(strict, **QUESTION, evaluations=items)

    for answer, name in zip(answers, ("subject", "resource", "action"), strict=True):
        assert failing(answer, name)


def test_so_is_the_context(strict: str) -> None:
    """One that is empty asks for nothing any more; one that is null was left out."""
    bare, explained, same = evaluate_all(
        strict,
        **QUESTION,
        context={"explain": True},
        evaluations=[{"context": {}}, {}, {"context": None}],
    )

    assert YES == bare
    assert ["direct", "group:Staff"] == [
        p["via"] for p in explained["context"]["paths"]
    ]
    assert explained == same


def test_trap_3_4_1_an_item_without_a_resource_is_denied(strict: str) -> None:
    """It fails, with a message, and the request doesn't."""
    common = {"subject": SUBJECT, "action": ACTION}
    good, bad = evaluate_all(strict, **common, evaluations=[{"resource": RESOURCE}, {}])

    assert YES == good
    assert failing(bad, "evaluations[1]: resource is missing")


@pytest.mark.parametrize(
    "item",
    [
        None,
        1,
        "x",
        [],
        {"subject": None},
        {"subject": []},
        {"subject": {"type": "user", "id": 1}},
        {"action": {"name": None}},
        {"resource": {"type": "billing"}},
        {"context": 1},
        {"context": {"client_ip": "x"}},
        {"subject": {"type": "user", "id": ANN, "properties": 1}},
    ],
)
def test_what_is_wrong_with_an_item_fails_it_alone(strict: str, item: Any) -> None:
    """Null is no entity, and takes none from the rest."""
    good, bad, also_good = evaluate_all(
        strict, **QUESTION, evaluations=[OF_ANN, item, OF_ANN]
    )

    assert [YES, YES] == [good, also_good]
    assert failing(bad, "evaluations[1]")


@pytest.mark.parametrize(
    "common",
    [
        {"subject": None},
        {"subject": {"type": "user"}},
        {"action": 1},
        {"resource": {}},
        {"context": []},
        {"context": {"client_ip": None}},
        {"evaluations": {}},
        {"evaluations": "x"},
        {"options": []},
    ],
)
def test_what_is_wrong_with_all_fails_all(strict: str, common: Any) -> None:
    """A 400, though items may override it."""
    body = {"evaluations": [QUESTION]} | common

    assert 400 == post(strict, "evaluations", body).status


@pytest.mark.parametrize("rest", [{}, {"evaluations": []}, {"evaluations": None}])
def test_without_items_it_is_a_single_evaluation(strict: str, rest: Any) -> None:
    """Answered and refused as one."""
    assert told(post(strict, "evaluation", QUESTION)) == told(
        post(strict, "evaluations", QUESTION | rest)
    )
    assert 400 == post(strict, "evaluations", {"subject": SUBJECT, **rest}).status


def test_s8_there_is_no_decision_about_all(strict: str) -> None:
    """Only those of the items."""
    body = told(post(strict, "evaluations", QUESTION | {"evaluations": [{}]}))

    assert {"evaluations": [YES]} == body


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        (None, 4),
        ({}, 4),
        ({"evaluations_semantic": None}, 4),
        ({"x": 1}, 4),
        (by("execute_all"), 4),
        (by("deny_on_first_deny"), 3),
        (by("permit_on_first_permit"), 1),
    ],
)
def test_semantics(strict: str, options: Any, answers: int) -> None:
    """All by default, or up to the one that settles it, which is included."""
    items = [OF_ANN, BOBS, EVES, OF_ANN]

    assert [YES, YES, NO, YES][:answers] == evaluate_all(
        strict, **QUESTION, evaluations=items, options=options
    )


@pytest.mark.parametrize("items", [[OF_ANN, {"resource": 1}, OF_ANN]])
def test_a_failure_is_a_denial_and_no_permit(strict: str, items: Any) -> None:
    """It ends the one semantic, and not the other."""
    failed_first = [items[1], items[0], items[2]]
    for semantic, given, answers in (
        ("deny_on_first_deny", items, [True, False]),
        ("deny_on_first_deny", failed_first, [False]),
        ("permit_on_first_permit", failed_first, [False, True]),
        ("execute_all", items, [True, False, True]),
    ):
        got = evaluate_all(strict, **QUESTION, evaluations=given, options=by(semantic))
        assert answers == [each["decision"] for each in got]


@pytest.mark.parametrize("semantic", SEMANTICS)
def test_nobody_permits(strict: str, semantic: str) -> None:
    """All denials, or the first."""
    expected = [NO] if semantic == "deny_on_first_deny" else [NO, NO, NO]

    assert expected == evaluate_all(
        strict, **QUESTION, evaluations=[EVES, ROBOTS, EVES], options=by(semantic)
    )


@pytest.mark.parametrize("semantic", ["", "Execute_All", "all", 1, True, [], {}])
def test_there_is_no_other_semantic(strict: str, semantic: Any) -> None:
    """A 400, as which of three is meant can't be told."""
    options = {"evaluations_semantic": semantic}
    body = QUESTION | {"evaluations": [{}], "options": options}

    assert 400 == post(strict, "evaluations", body).status


def test_s11_there_are_so_many_at_most(strict: str) -> None:
    """As many as checks in a batch; a 400 says how many."""
    answers = evaluate_all(strict, **QUESTION, evaluations=[{}] * 20)
    assert [YES] * 20 == answers

    reply = post(strict, "evaluations", QUESTION | {"evaluations": [{}] * 21})
    assert 400 == reply.status
    assert "at most 20" in json.loads(reply.body)["error"]["detail"]


def test_an_item_is_answered_as_if_alone(strict: str) -> None:
    """Explained, each has the very answer of a single evaluation."""
    explained = {"context": {"explain": True}}
    people = [ANN, BOB, EVE, SUE, NOBODY, "x", f"{ANN.replace('-', '')}@x.test", "a@b"]
    items = [
        {
            "subject": {"type": type_, "id": id_},
            "action": {"name": name},
            "resource": {"type": resource, "id": "1"},
        }
        for type_, id_ in [*(("user", each) for each in people), ("robot", "x")]
        for name, resource in (("write", "billing"), (UNHELD_KEY, "permission"))
    ]
    alone = [told(post(strict, "evaluation", item | explained)) for item in items]

    assert alone[:18] == evaluate_all(strict, **explained, evaluations=items)


def test_decisions_are_counted(strict: str) -> None:
    """By their reasons; failures and strangers have none."""
    before = counted(strict)
    evaluate_all(strict, **QUESTION, evaluations=[{}, EVES, ROBOTS, {"action": 1}, {}])
    after = counted(strict)
    new = {name: int(n - before.get(name, 0)) for name, n in after.items()}

    assert {"granted": 2, "no_grant": 1, "unstated": 2} == {
        name: n for name, n in new.items() if n
    }


def counted(base_url: str) -> dict[str, float]:
    """How many decisions of AuthZEN's have which reason."""
    text = request(base_url, "/metrics").body.decode()
    lines = [
        line
        for line in text.splitlines()
        if line.startswith('qeetid_authz_decisions_total{api="authzen"')
    ]
    return {
        line.partition('reason="')[2].partition('"')[0]: float(line.split()[-1])
        for line in lines
    }


def test_a_closed_tenant_permits_nothing(strict: str) -> None:
    """Nor may others ask about it."""
    path = f"/{CLOSED}/access/v1/evaluations"
    body = QUESTION | {"evaluations": [{}]}

    assert 403 == post(strict, path, body).status


def test_s11_a_large_body_is_read_in_good_time(strict_office: Office) -> None:
    """A member that comes twice is found among many, and others are answered."""
    many = ",".join(f'"{n}":{n}' for n in range(200_000))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(
            post, strict_office.base_url, "evaluations", f'{{{many},"9":1}}'.encode()
        )
        answered = 0
        while not reading.done():
            assert 200 == request(strict_office.base_url, "/livez").status
            answered += 1

    assert 400 == reading.result().status
    assert '\\"9\\" twice' in reading.result().body.decode()
    assert answered > 0
