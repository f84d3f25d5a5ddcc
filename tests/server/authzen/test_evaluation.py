"""One evaluation, by the clauses of the Authorization API 1.0 (facts 1.1 to 1.7)."""

import json
from typing import Any

import pytest

from tests.server.authzen.asking import (
    ACTION,
    QUESTION,
    RESOURCE,
    SUBJECT,
    evaluate,
    post,
    told,
)
from tests.server.bearers import Office
from tests.server.sidecars import request, sidecar
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    BOB,
    EVE,
    GUS,
    KEY,
    NOBODY,
    OTHER_KEY,
    SUE,
    uuid,
)


def test_m1_m2_a_permit_is_a_200_with_a_boolean(strict: str) -> None:
    """POST over JSON; its context tells code and revision, as the headers do."""
    reply = post(strict, "evaluation", QUESTION)
    body = told(reply)

    assert body["decision"] is True
    assert {"code": "granted", "revision": reply.header("X-Qeetid-Revision")} == body[
        "context"
    ]
    assert float(reply.header("X-Qeetid-Age") or "") >= 0


@pytest.mark.parametrize(
    ("user", "code"),
    [(EVE, "no_grant"), (SUE, "user_inactive"), (NOBODY, "unknown_user")],
)
def test_m3_a_denial_is_a_200_with_false(strict: str, user: str, code: str) -> None:
    """Never a 403; it says why, as a code and in words."""
    body = told(
        post(strict, "evaluation", QUESTION | {"subject": {"type": "user", "id": user}})
    )

    assert (False, code) == (body["decision"], body["context"]["code"])
    assert body["context"]["reason"]


@pytest.mark.parametrize("entity", ["subject", "action", "resource"])
@pytest.mark.parametrize(
    "given", [None, {}, [], "x", 1, {"type": 1, "id": "x", "name": 2}]
)
def test_m4_what_must_be_there_is_there(strict: str, entity: str, given: Any) -> None:
    """A 400 for an entity that is null, empty or ill-typed, by its name."""
    reply = post(strict, "evaluation", QUESTION | {entity: given})

    assert 400 == reply.status
    error = json.loads(reply.body)["error"]
    assert ("bad_request", entity) == (error["code"], error["detail"].split(":")[0])


@pytest.mark.parametrize("entity", ["subject", "action", "resource"])
def test_m4_nothing_is_left_out(strict: str, entity: str) -> None:
    """A 400 for an entity that isn't there."""
    body = {name: it for name, it in QUESTION.items() if name != entity}

    assert 400 == post(strict, "evaluation", body).status


@pytest.mark.parametrize(
    ("entity", "member"),
    [
        ("subject", "type"),
        ("subject", "id"),
        ("action", "name"),
        ("resource", "type"),
        ("resource", "id"),
    ],
)
def test_m4_nor_is_a_member_of_one(strict: str, entity: str, member: str) -> None:
    """A 400 for each that is required."""
    given = {name: it for name, it in QUESTION[entity].items() if name != member}

    assert 400 == post(strict, "evaluation", QUESTION | {entity: given}).status


@pytest.mark.parametrize("given", [[], "x", 1, True])
def test_m4_optional_members_are_objects(strict: str, given: Any) -> None:
    """A 400 for properties or a context that is none."""
    for body in (
        QUESTION | {"context": given},
        QUESTION | {"subject": SUBJECT | {"properties": given}},
        QUESTION | {"action": ACTION | {"properties": given}},
        QUESTION | {"resource": RESOURCE | {"properties": given}},
    ):
        assert 400 == post(strict, "evaluation", body).status


def test_m5_unknown_members_are_ignored(strict: str) -> None:
    """At any level, whatever they hold; so are properties."""
    odd = {"x": [1, {"y": None}], "": "é", "decision": False, "evaluations": "?"}
    odd_entity = {"properties": {"role": "admin"}, **odd}
    body = {name: it | odd_entity for name, it in QUESTION.items()}

    assert evaluate(strict, {**body, "context": odd, **odd})


def test_s10_what_is_null_was_left_out(strict: str) -> None:
    """Of the members that may be."""
    body = {name: it | {"properties": None} for name, it in QUESTION.items()}

    assert evaluate(strict, {**body, "context": None})


def test_m6_the_order_of_members_is_nothing(strict: str) -> None:
    """Backwards as well."""
    turned = {
        name: dict(reversed(it.items())) for name, it in reversed(QUESTION.items())
    }

    assert list(turned) != list(QUESTION)
    assert evaluate(strict, turned)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"1", b"{", b"x"])
def test_m7_bodies_are_objects(strict: str, body: bytes) -> None:
    """A 400 for anything else, in an object as well."""
    reply = post(strict, "evaluation", body)

    assert 400 == reply.status
    assert isinstance(json.loads(reply.body), dict)


@pytest.mark.parametrize("id_", ["a", "with a space", "x" * 1000, 'a;b,c="d"'])
def test_m8_s12_the_request_id_comes_back(strict: str, id_: str) -> None:
    """Unchanged, on a good answer, a bad request and an unknown caller."""
    for body, key in ((QUESTION, ACME_KEY), ({}, ACME_KEY), (QUESTION, None)):
        reply = post(strict, "evaluation", body, key=key, X_Request_ID=id_)
        assert id_ == reply.header("X-Request-Id")


def test_m8_without_one_there_is_one(strict: str) -> None:
    """Of our own."""
    assert post(strict, "evaluation", QUESTION).header("X-Request-Id")


@pytest.mark.parametrize("key", [None, "qk_acmeAAAA.wrong", "x"])
def test_m15_s1_s2_callers_are_authenticated(
    strict: str, strict_office: Office, key: str | None
) -> None:
    """A 401 that says which credentials would do."""
    reply = post(strict, "evaluation", QUESTION, key=key)
    assert (401, 'ApiKey realm="qeetid-authz"') == (
        reply.status,
        reply.header("WWW-Authenticate"),
    )

    reply = post(strict_office.base_url, "evaluation", QUESTION, key=key)
    assert (401, 'Bearer realm="qeetid-authz"') == (
        reply.status,
        reply.header("WWW-Authenticate"),
    )


def test_a_user_may_ask_who_may_ask(strict_office: Office) -> None:
    """By `role.read`, as on the other routes; a 403 otherwise."""
    for user, status in ((ANN, 200), (BOB, 403)):
        reply = post(
            strict_office.base_url,
            "evaluation",
            QUESTION,
            key=None,
            Authorization=strict_office.user(user),
        )
        assert status == reply.status


@pytest.mark.parametrize(
    "tenant", [ACME, ACME.upper(), ACME.replace("-", ""), f"usr_{ACME}"]
)
def test_a_tenant_can_be_named(strict: str, tenant: str) -> None:
    """In any spelling of its id, by its own callers and nobody else's."""
    path = f"/{tenant}/access/v1/evaluation"

    assert told(post(strict, path, QUESTION))["decision"] is True
    assert 403 == post(strict, path, QUESTION, key=OTHER_KEY).status


def test_what_is_no_tenant(strict: str) -> None:
    """A 400 for who asks about it."""
    assert 400 == post(strict, "/acme/access/v1/evaluation", QUESTION).status


def test_by_itself_a_path_is_about_the_callers_tenant(strict: str) -> None:
    """Ann has nothing in the other one."""
    body = told(post(strict, "evaluation", QUESTION, key=OTHER_KEY))

    assert body["decision"] is False


def test_who_isnt_asked_names_the_tenant(town_database: str) -> None:
    """Where callers aren't asked for, the path must say it."""
    with sidecar(town_database, caller_auth="off") as base_url:
        reply = post(base_url, "evaluation", QUESTION, key=None)
        assert 400 == reply.status
        assert (
            "/TENANT/access/v1/evaluation" in json.loads(reply.body)["error"]["detail"]
        )

        path = f"/{ACME}/access/v1/evaluation"
        assert told(post(base_url, path, QUESTION, key=None))["decision"] is True


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/json; charset=latin-1", 400),
        ("text/plain", 400),
        ("application/x-www-form-urlencoded", 400),
        ("application/problem+json", 400),
        ("x", 400),
    ],
)
def test_trap_2_4_3_another_content_type_is_a_400(
    strict: str, content_type: str, status: int
) -> None:
    """Not a 415."""
    reply = post(strict, "evaluation", QUESTION, Content_Type=content_type)

    assert status == reply.status


def test_trap_2_4_3_so_is_none(strict: str) -> None:
    """A body that isn't said to be JSON isn't read."""
    body = json.dumps(QUESTION).encode()
    reply = request(
        strict, "/access/v1/evaluation", method="POST", body=body, key=ACME_KEY
    )

    assert 400 == reply.status


def test_an_encoded_body_is_refused(strict: str) -> None:
    """It may unfold to anything."""
    assert 400 == post(strict, "evaluation", QUESTION, Content_Encoding="gzip").status


VALID = json.dumps(QUESTION).encode()[1:-1]


MALFORMED = {
    "an entity twice": (b',"subject":{"type":"user","id":"x"}', "twice"),
    "a member twice, deep inside": (b',"x":{"y":[{"z":1,"z":1}]}', "twice"),
    "a member twice, spelt differently": (b',"\\u0078":1,"x":1', "twice"),
    "no number": (b',"x":NaN', "NaN"),
    "an infinite one": (b',"x":-Infinity', "Infinity"),
    "one too large": (b',"x":1e400', "number"),
    "a whole one too large": (b',"x":' + b"9" * 400, "number"),
    "an enormous one": (b',"x":' + b"9" * 5000, "number"),
    "half a pair": (b',"x":"\\ud800"', "surrogate"),
    "two halves turned round": (b',"x":["\\uDC00\\uD800"]', "surrogate"),
    "half a pair in a name": (b',"\\udfff":1', "surrogate"),
    "not UTF-8": (b',"x":"\xff"', "UTF-8"),
    "a half in UTF-8": (b',"x":"\xed\xa0\x80"', "UTF-8"),
    "another object": (b"}{", "JSON"),
    "something behind it": (b"} {x", "JSON"),
    "33 levels": (b',"x":' + b"[" * 32 + b"]" * 32, "deeper"),
    "10,000 levels": (b',"x":' + b"[" * 10_000 + b"]" * 10_000, "deeper"),
    "3,000 objects": (b',"x":' + b'{"x":' * 3000 + b"1" + b"}" * 3000, "deeper"),
}
FINE = {
    "a whole pair, a backslash": b',"x":"\\ud83d\\ude00 \\\\ud800"',
    "numbers that a double can hold": b',"x":[1e308,-0.0,12345678901234567890123]',
    "32 levels": b',"x":' + b"[" * 31 + b"]" * 31,
    "controls": b',"x":"\\u0000\\u2028"',
}


@pytest.mark.parametrize("what", MALFORMED)
def test_s9_s11_what_isnt_i_json_isnt_read(strict: str, what: str) -> None:
    """A 400 that says what is wrong, in the first place that it is."""
    rest, said = MALFORMED[what]
    reply = post(strict, "evaluation", b"{" + VALID + rest + b"}")

    assert 400 == reply.status
    assert said in json.loads(reply.body)["error"]["detail"]


@pytest.mark.parametrize("what", FINE)
def test_s9_what_is_i_json_is(strict: str, what: str) -> None:
    """Whole pairs, numbers that a double can hold, and some depth."""
    body = b"{" + VALID + FINE[what] + b"}"

    assert told(post(strict, "evaluation", body))["decision"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_s9_json_is_in_utf_8(strict: str, encoding: str) -> None:
    """Not in anything else that `json` would guess, and without a mark before it."""
    body = json.dumps(QUESTION).encode(encoding)

    assert 400 == post(strict, "evaluation", body).status


def test_s11_a_body_has_a_size(strict: str, strict_office: Office) -> None:
    """A 413 for one that is larger than 64 KiB, or than a batch may ever be."""
    for base_url, size in ((strict_office.base_url, 65_536), (strict, 24_576)):
        for path, most in (("evaluation", size), ("search/action", size)):
            room = most - len(json.dumps(QUESTION | {"x": ""}))
            assert 200 == post(base_url, path, QUESTION | {"x": "x" * room}).status
            reply = post(base_url, path, QUESTION | {"x": "x" * (room + 1)})
            assert 413 == reply.status
            assert "body_too_large" == json.loads(reply.body)["error"]["code"]


def test_another_method_is_refused(strict: str) -> None:
    """A 405 that names the one there is."""
    reply = request(strict, "/access/v1/evaluation", key=ACME_KEY)

    assert (405, "POST") == (reply.status, reply.header("Allow"))


def test_permissions_are_named_verbatim(strict: str) -> None:
    """Of resources of type `permission`, whatever their id, as Qeet ID has it."""
    resource = {"type": "permission", "id": "anything"}
    assert evaluate(strict, action={"name": KEY}, resource=resource)
    assert not evaluate(strict, resource=resource)


def test_a_subject_has_one_type(strict_office: Office) -> None:
    """Its own: an agent is no user, and no API key."""
    agent = uuid("agent", "helper")
    question = {"action": {"name": "read"}, "resource": {"type": "calendar", "id": "1"}}

    for type_ in ("user", "api_key", "service", "robot", "User", ""):
        assert not evaluate(
            strict_office.base_url, question, subject={"type": type_, "id": agent}
        )
    assert evaluate(
        strict_office.base_url, question, subject={"type": "agent", "id": agent}
    )


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ({"type": "robot", "id": ANN}, "unknown_subject_type"),
        ({"type": "user", "id": "ann"}, "unknown_user"),
        ({"type": "user", "id": ""}, "unknown_user"),
        ({"type": "user", "id": "nobody@x.test"}, "unknown_user"),
        ({"type": "user", "id": "\0@\ud83d\ude00"}, "unknown_user"),
        ({"type": "agent", "id": "ann@x.test"}, "agent_inactive"),
        ({"type": "service", "id": "x"}, "service_inactive"),
        ({"type": "api_key", "id": "x"}, "credential_revoked"),
    ],
)
def test_nobody_is_denied(strict: str, subject: dict[str, str], code: str) -> None:
    """A type or an id that nobody has is no error."""
    body = told(post(strict, "evaluation", QUESTION | {"subject": subject}))

    assert (False, code) == (body["decision"], body["context"]["code"])


def test_users_have_emails(strict: str) -> None:
    """In any case."""
    email = f"{ANN.replace('-', '')}@x.test"

    for id_ in (email, email.upper(), f"usr_{ANN}"):
        assert evaluate(strict, subject={"type": "user", "id": id_})


def test_nobody_learns_who_else_there_is(strict: str) -> None:
    """Who holds nothing in the tenant is as unknown by e-mail as who isn't there.

    That goes for Eve, who exists; Gus, who is in a group here, is told apart.
    """
    answers = [
        told(
            post(
                strict,
                "evaluation",
                QUESTION | {"subject": {"type": "user", "id": id_}},
            )
        )
        for id_ in (
            f"{EVE.replace('-', '')}@x.test",
            "nobody@x.test",
            f"{GUS.replace('-', '')}@x.test",
        )
    ]

    assert answers[0] == answers[1]
    assert "no_grant" == answers[2]["context"]["code"]


@pytest.mark.parametrize("user", [ANN, EVE])
def test_m16_what_is_ours_only_adds(strict: str, user: str) -> None:
    """Whoever asks for none of it finds what it knows as it was, in an answer with it."""
    question = QUESTION | {"subject": {"type": "user", "id": user}}
    more = {"context": {"explain": True, "client_ip": "192.0.2.1"}}

    plain = told(post(strict, "evaluation", question))
    ours = told(post(strict, "evaluation", question | more))

    assert ["decision", "context"] == list(plain) == list(ours)
    assert plain["decision"] is ours["decision"]
    assert plain["context"].items() <= ours["context"].items()


def test_an_explanation_is_given_who_asks(strict: str) -> None:
    """All grant paths of a permit, none of a denial."""
    context = {"explain": True}
    body = told(post(strict, "evaluation", QUESTION | {"context": context}))
    assert body["decision"] is True
    assert ["direct", "group:Staff"] == [
        each["via"] for each in body["context"]["paths"]
    ]
    assert {KEY} == {each["permission"] for each in body["context"]["paths"]}

    for subject in ({"type": "user", "id": EVE}, {"type": "robot", "id": "x"}):
        question = QUESTION | {"subject": subject, "context": context}
        assert [] == told(post(strict, "evaluation", question))["context"]["paths"]

    others: list[Any] = ["true", 1, None, {}]
    for other in others:
        question = QUESTION | {"context": {"explain": other}}
        assert "paths" not in told(post(strict, "evaluation", question))["context"]
