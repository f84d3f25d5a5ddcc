"""`/v1/decisions`, `/v1/effective-permissions`, `who-can` and `/v1/principal`."""

import json
from typing import Any

import pytest

from qeetid_authz.sidecar.wire import DECISIONS, HELD, PAGE, PRINCIPAL
from tests.integration.world import AGENT, AGENT_KEY, ANNS_KEY, SESSION
from tests.server.bearers import ASKING, READING_AGENT, Office, now
from tests.server.sidecars import Reply, request
from tests.server.test_batch import JSON, problem
from tests.server.test_metrics import risen
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    AUDITOR,
    BOB,
    CLERK,
    EVE,
    KEY,
    NOBODY,
    ODD_KEY,
    OTHER,
    OTHER_KEY,
    STAFF,
    UNHELD_KEY,
)

ann: dict[str, Any] = {"kind": "user", "id": ANN, "tenant_id": ACME}
QUESTION = {"principal": ann, "permission": KEY}
LONE: dict[str, Any] = {"questions": [QUESTION]}


def post(base_url: str, path: str, body: Any, **given: Any) -> Reply:
    """Post JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"key": ACME_KEY, "Content_Type": JSON} | given
    return request(base_url, path, method="POST", body=raw, **given)


def decided(base_url: str, body: Any) -> list[dict[str, Any]]:
    """The decisions of an answer, whose revision and age are those of its head."""
    reply = post(base_url, DECISIONS, body)
    assert reply.status == 200, reply.body
    said = json.loads(reply.body)
    assert ["decisions", "snapshot", "age_s"] == list(said)
    snapshot = said["snapshot"]
    text = f"{snapshot['incarnation']}@{snapshot['xmin']}:{snapshot['xmax']}"
    assert str(reply.header("X-Qeetid-Revision")).startswith(text)
    assert f"{said['age_s']:.3f}" == reply.header("X-Qeetid-Age")
    decisions: list[dict[str, Any]] = said["decisions"]
    return decisions


def test_decisions_have_reasons(strict_office: Office) -> None:
    """In the order of the questions, each with the bounds of its principal."""
    asked: list[tuple[dict[str, Any], str, str]] = [
        ({}, KEY, "granted"),
        ({"id": f"usr_{ANN.upper()}"}, KEY, "granted"),
        ({}, UNHELD_KEY, "no_grant"),
        ({}, "no\0such", "unknown_permission"),
        ({}, "", "unknown_permission"),
        ({"limit": []}, KEY, "out_of_scope"),
        ({"limit": [KEY]}, KEY, "granted"),
        ({"actor": {"kind": "agent", "id": AGENT}}, KEY, "granted"),
        ({"actor": {"kind": "agent", "id": AGENT}}, ODD_KEY, "actor_lacks"),
        ({"expires_at": now() + 60.5}, KEY, "granted"),
        ({"expires_at": 1}, KEY, "credential_expired"),
        ({"session_id": SESSION}, KEY, "granted"),
        ({"kind": "agent", "id": AGENT}, AGENT_KEY, "granted"),
        ({"kind": "service", "id": AGENT}, AGENT_KEY, "service_inactive"),
        ({"kind": "api_key", "id": NOBODY}, KEY, "credential_revoked"),
        ({"id": NOBODY}, KEY, "unknown_user"),
    ]
    body = {
        "questions": [
            {"principal": ann | bounds, "permission": key} for bounds, key, _ in asked
        ]
    }

    assert [
        {"allowed": reason == "granted", "reason": reason} for _, _, reason in asked
    ] == decided(strict_office.base_url, body)


def test_an_explanation_has_every_path(strict: str) -> None:
    """The grant paths of an allowance, and of a denial what would be enough."""
    step = {"permission": KEY, "granted_by": "role:Clerk & <Co>", "role_id": CLERK}
    (allowed,) = decided(strict, LONE | {"explain": True})
    lacking = {"principal": ann | {"id": EVE}, "permission": KEY}
    (denied,) = decided(strict, {"questions": [lacking], "explain": True})

    assert {
        "allowed": True,
        "reason": "granted",
        "paths": [
            step | {"via": "direct"},
            step | {"via": "group:Staff", "group_id": STAFF},
        ],
    } == allowed
    carriers = [{"group": "Staff", "group_id": STAFF}]
    missing = [{"role": "Clerk & <Co>", "role_id": CLERK, "groups": carriers}]
    assert {"allowed": False, "reason": "no_grant", "missing": missing} == denied
    assert AUDITOR not in json.dumps(denied)


def test_no_question_tells_the_revision(strict: str) -> None:
    """Nothing asked is answered with nothing, but the revision."""
    assert [] == decided(strict, {"questions": []})


def test_effective_permissions(strict_office: Office) -> None:
    """All that a principal of any kind holds within its bounds, sorted."""
    for who, held in (
        (ann, [ODD_KEY, KEY, ASKING]),
        (ann | {"limit": [KEY, "x"]}, [KEY]),
        (ann | {"kind": "agent", "id": AGENT}, [KEY, AGENT_KEY]),
        (ann | {"id": NOBODY}, []),
    ):
        reply = post(strict_office.base_url, HELD, who)
        assert held == json.loads(reply.body)["permissions"]
        assert reply.header("X-Qeetid-Revision")


def who_can(query: str, tenant: str = ACME) -> str:
    """The path to who holds what."""
    return f"/v1/tenants/{tenant}/who-can{query}"


def test_holders_come_in_pages(strict: str) -> None:
    """Ids ascend; a page says where the next begins, and the last that there is none."""
    both = sorted([ANN, BOB])
    for query, ids, following in (
        ("", both, None),
        ("&limit=2", both, None),
        ("&limit=1", both[:1], both[0]),
        (f"&limit=1&after={both[0]}", both[1:], None),
        (f"&after=usr_{both[1].upper()}", [], None),
        (f"&limit={PAGE}", both, None),
    ):
        target = who_can(f"?permission={KEY}{query}")
        said = json.loads(request(strict, target, key=ACME_KEY).body)
        assert (ids, following) == (said["ids"], said.get("next"))
        assert {"snapshot", "age_s"} < said.keys()
    for key in ("", "%00", "no:such"):
        target = who_can(f"?permission={key}")
        assert [] == json.loads(request(strict, target, key=ACME_KEY).body)["ids"]


def test_the_principal_of_a_credential(strict_office: Office) -> None:
    """With all bounds, and as it was recognised: that it is an agent's is judged later."""
    end = now() + 600
    header = strict_office.user(sid=SESSION, scope=f"z {KEY}", exp=end)
    principal = {
        **ann,
        "limit": [KEY, "z"],
        "session_id": SESSION,
        "expires_at": float(end),
    }
    assert principal == json.loads(strict_office.ask(header, at=PRINCIPAL).body)

    acting = strict_office.user(READING_AGENT, act={"sub": AGENT})
    said = json.loads(strict_office.ask(acting, at=PRINCIPAL).body)
    assert ("user", {"kind": "user", "id": AGENT}) == (said["kind"], said["actor"])
    key = json.loads(strict_office.ask(f"ApiKey {ANNS_KEY}", at=PRINCIPAL).body)
    assert ["kind", "id", "tenant_id"] == list(key)
    assert "api_key" == key["kind"]
    assert 401 == strict_office.ask("Bearer x", at=PRINCIPAL).status
    assert (
        403 == strict_office.ask(strict_office.user(ANN, NOBODY), at=PRINCIPAL).status
    )


@pytest.mark.parametrize("path", [DECISIONS, HELD, who_can(f"?permission={KEY}")])
def test_who_may_ask(strict_office: Office, path: str) -> None:
    """A caller of the tenant; a user among them only with the permission to ask."""

    def ask(**given: Any) -> tuple[int, str]:
        here = strict_office.base_url
        if path.startswith("/v1/tenants"):
            reply = request(here, path, **{"key": ACME_KEY} | given)
        else:
            reply = post(here, path, LONE if path == DECISIONS else ann, **given)
        said = json.loads(reply.body)
        return reply.status, said.get("error", {}).get("code", "")

    assert (200, "") == ask()
    assert (401, "unauthorized") == ask(key=None)
    assert (401, "apikey.invalid") == ask(key="qk_acmeAAAA.wrong")
    assert (403, "forbidden") == ask(key=OTHER_KEY)
    asking = {"key": None, "Authorization": strict_office.user()}
    assert (200, "") == ask(**asking)
    asking["Authorization"] = strict_office.user(BOB)
    assert (403, "rbac.permission_denied") == ask(**asking)
    assert (409, "revision_foreign") == ask(X_Qeetid_At_Least="000000000000@790")
    assert (400, "bad_request") == ask(X_Qeetid_At_Least="790")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "invalid body"),
        (b"[]", "invalid body"),
        (b"\xff", "invalid body"),
        ({}, "invalid body: Object missing required field `questions`"),
        (LONE | {"explains": True}, "unknown field `explains`"),
        ({"questions": [QUESTION | {"limit": []}]}, "unknown field `limit`"),
        ({"questions": [{"permission": KEY}]}, "required field `principal`"),
        ({"questions": [{"principal": ann}]}, "required field `permission`"),
        ({"questions": [QUESTION] * 2, "explain": True}, "one question at a time"),
        (LONE | {"client_ip": "nowhere"}, "invalid client_ip"),
        (LONE | {"client_ip": None}, "invalid body"),
    ],
)
def test_bodies_that_are_none(strict: str, body: Any, said: str) -> None:
    """The refusal says what is wrong with it."""
    status, code, detail = problem(post(strict, DECISIONS, body))

    assert (400, "bad_request") == (status, code)
    assert said in str(detail)


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"id": "x"}, "`x` is no UUID"),
        ({"tenant_id": "x"}, "`x` is no UUID"),
        ({"kind": "root"}, "Invalid enum value 'root'"),
        ({"session_id": "x"}, "`x` is no UUID"),
        ({"limit": KEY}, "Expected `array`, got `str`"),
        ({"limit": None}, "Expected `array`, got `null`"),
        ({"expires_at": "x"}, "Expected `float`, got `str`"),
        ({"actor": {"kind": "user", "id": "x"}}, "`x` is no UUID"),
        ({"actor": {**ann}}, "unknown field `tenant_id`"),
        ({"scopes": []}, "unknown field `scopes`"),
    ],
)
def test_principals_that_are_none(
    strict: str, bound: dict[str, Any], said: str
) -> None:
    """A bound that isn't understood is refused, and so is the question of it."""
    who = ann | bound
    for path, body in (
        (HELD, who),
        (DECISIONS, {"questions": [QUESTION, {"principal": who, "permission": KEY}]}),
    ):
        status, code, detail = problem(post(strict, path, body))
        assert (400, "bad_request") == (status, code)
        assert said in str(detail)
        assert path == HELD or "questions[1]" in str(detail)


def test_a_time_that_is_none(strict: str) -> None:
    """An end beyond all numbers is refused."""
    body = json.dumps(ann | {"expires_at": 1}).replace(": 1}", ": 1e999}").encode()

    assert 400 == post(strict, HELD, body).status


@pytest.mark.parametrize("path", [DECISIONS, HELD])
def test_bodies_of_another_type(strict: str, path: str) -> None:
    """Only JSON is taken, and only as it is."""
    for more in ({"Content_Type": "text/plain"}, {"Content_Encoding": "gzip"}):
        assert 415 == post(strict, path, LONE, **more).status


def test_too_many_questions(strict: str) -> None:
    """As many are taken as checks in a batch, about whichever tenant is the caller's."""
    full = {"questions": [QUESTION] * 20}
    assert 20 == len(decided(strict, full))
    over = {"questions": [QUESTION] * 21}
    assert (413, "batch_too_large", "21 questions; at most 20 are taken") == problem(
        post(strict, DECISIONS, over)
    )
    other = {"principal": ann | {"tenant_id": OTHER}, "permission": KEY}
    assert (403, "forbidden", "tenant mismatch") == problem(
        post(strict, DECISIONS, {"questions": [QUESTION, other]})
    )


@pytest.mark.parametrize(
    ("target", "code", "detail"),
    [
        (who_can("?permission=x", "x"), "bad_request", "invalid tenantID"),
        (who_can(""), "rbac.permission_required", None),
        (who_can("?permission=%FF"), "bad_request", "invalid permission"),
        (who_can("?permission=x&after=y"), "bad_request", "invalid after"),
        (who_can("?permission=x&tenant_id=y"), "bad_request", "unknown parameter"),
        *(
            (
                who_can(f"?permission=x&limit={limit}"),
                "bad_request",
                "limit must be from 1 to 1000",
            )
            for limit in ("", "0", "-1", "1001", "00001", "1e2", "%C2%B2", "x")
        ),
    ],
)
def test_lists_that_are_none(
    strict: str, target: str, code: str, detail: str | None
) -> None:
    """The refusal names the parameter."""
    assert (400, code, detail) == problem(request(strict, target, key=ACME_KEY))


def test_they_are_counted(strict: str) -> None:
    """Each decision with its reason, under an `api` of its own."""
    body = {"questions": [QUESTION, QUESTION | {"permission": UNHELD_KEY}]}

    assert {
        "decisions_total,api=decisions,reason=granted,result=allow": 1,
        "decisions_total,api=decisions,reason=no_grant,result=deny": 1,
        "http_requests_total,code=200,method=POST,route=/v1/decisions": 1,
    }.items() <= risen(strict, lambda: post(strict, DECISIONS, body)).items()
