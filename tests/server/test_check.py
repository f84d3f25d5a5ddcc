"""`GET /v1/check`, byte for byte (facts 1.1 to 1.5)."""

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from qeetid_authz.document import read_document
from qeetid_authz.document.resolution import resolve
from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import format_id
from qeetid_authz.principal import Principal
from qeetid_authz_server.outgoing.responses import SECURITY_HEADERS
from qeetid_authz_server.outgoing.wire import explanation_body
from tests.integration.world import AGENT, OTHERS_AGENT, SERVICE, SERVICE_KEY
from tests.server.bearers import Office
from tests.server.sidecars import Reply, exchange, request, sidecar
from tests.server.town import (
    ABROAD,
    ACME,
    ACME_KEY,
    ANN,
    AUDITOR,
    BOB,
    CLERK,
    CLOSED,
    EVE,
    GUS,
    KEY,
    NOBODY,
    ODD_KEY,
    OTHER_KEY,
    STAFF,
    SUE,
    UNHELD_KEY,
    target,
)

HOSTED_SENTENCE = "no role grants this permission for this user in this tenant"


def ask(base_url: str, key: str = ACME_KEY, **parameters: str | None) -> Reply:
    """The reply to such a check."""
    return request(base_url, target(**parameters), key=key)


def error(code: str, message: str, detail: str | None, request_id: str) -> bytes:
    """An envelope written by hand, in the order of fact 1.5."""
    middle = f'"detail":"{detail}",' if detail else ""
    return (
        f'{{"error":{{"code":"{code}","message":"{message}",{middle}'
        f'"translation_key":"{code}","request_id":"{request_id}"}}}}\n'
    ).encode()


BAD_REQUEST = ("bad_request", "The request was invalid.")
UNAUTHORIZED = ("unauthorized", "Please sign in to continue.")
KEY_INVALID = ("apikey.invalid", "Invalid API key.")
FORBIDDEN = ("forbidden", "You don't have permission to do that.")
REQUIRED = ("rbac.permission_required", "Specify the permission to check.")


@pytest.mark.parametrize(
    ("user", "permission", "allowed"),
    [
        (ANN, KEY, True),
        (BOB, KEY, True),
        (EVE, KEY, False),
        (SUE, KEY, False),
        (GUS, KEY, False),
        (NOBODY, KEY, False),
        (ANN, ODD_KEY, True),
        (ANN, UNHELD_KEY, False),
        (ANN, "billing:WRITE", False),
        (ANN, " billing:write", False),
        (ANN, "billing.write", False),
        (ANN, "billing:*", False),
        (ANN, "no such key", False),
    ],
)
def test_plain_answer(strict: str, user: str, permission: str, allowed: bool) -> None:
    """An answer is one member, allowed or not, and status 200."""
    reply = ask(strict, user_id=user, permission=permission)

    assert reply.status == 200
    assert reply.body == b'{"allowed":%s}\n' % (b"true" if allowed else b"false")


@pytest.mark.parametrize("user", [SUE, GUS])
def test_mirror_knows_no_status_and_no_owner(mirror: str, user: str) -> None:
    """Mirror allows the suspended, and counts a group of another tenant."""
    assert ask(mirror, user_id=user).body == b'{"allowed":true}\n'


def test_headers_of_a_decision(strict: str) -> None:
    """A decision has exactly the headers that are promised."""
    reply = ask(strict)

    headers = dict(reply.headers)
    assert len(headers) == len(reply.headers)
    assert {k: headers.pop(k) for k in SECURITY_HEADERS} == SECURITY_HEADERS
    assert headers.pop("Content-Type") == "application/json"
    assert headers.pop("Content-Length") == str(len(reply.body))
    assert re.fullmatch(
        r"\w+@\d+:\d+(:[0-9a-f]{12})?", headers.pop("X-Qeetid-Revision")
    )
    assert re.fullmatch(r"\d+\.\d{3}", headers.pop("X-Qeetid-Age"))
    assert re.fullmatch(r"[\w-]{10}-\d{6}", headers.pop("X-Request-Id"))
    assert headers.pop("Date")
    assert headers == {"Server": "qeetid-authz"}


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ("abc-123/~!", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("two words", False),
        ("é", False),
    ],
)
def test_request_id_is_echoed(strict: str, given: str, is_kept: bool) -> None:
    """A decent request id comes back in header and envelope; another is replaced."""
    reply = request(strict, "/v1/check", key=ACME_KEY, X_Request_Id=given)

    echoed = reply.header("X-Request-Id")
    assert (echoed == given) is is_kept
    assert json.loads(reply.body)["error"]["request_id"] == echoed


@pytest.mark.parametrize(
    ("parameters", "key", "status", "expected", "detail"),
    [
        ({"user_id": "x"}, None, 401, UNAUTHORIZED, None),
        ({"user_id": "x"}, "qk_no.good", 401, KEY_INVALID, None),
        (
            {"user_id": "x", "tenant_id": "x"},
            ACME_KEY,
            400,
            BAD_REQUEST,
            "invalid user_id",
        ),
        ({"user_id": None}, ACME_KEY, 400, BAD_REQUEST, "invalid user_id"),
        ({"user_id": ""}, ACME_KEY, 400, BAD_REQUEST, "invalid user_id"),
        (
            {"tenant_id": "x", "permission": ""},
            ACME_KEY,
            400,
            BAD_REQUEST,
            "invalid tenant_id",
        ),
        ({"tenant_id": None}, ACME_KEY, 400, BAD_REQUEST, "invalid tenant_id"),
        ({"permission": ""}, OTHER_KEY, 403, FORBIDDEN, "tenant mismatch"),
        ({"tenant_id": NOBODY}, ACME_KEY, 403, FORBIDDEN, "tenant mismatch"),
        ({"permission": ""}, ACME_KEY, 400, REQUIRED, None),
        ({"permission": None}, ACME_KEY, 400, REQUIRED, None),
        ({"permission": "a\0b"}, ACME_KEY, 400, BAD_REQUEST, "invalid permission"),
    ],
)
def test_which_error_wins(  # noqa: PLR0917
    strict: str,
    parameters: dict[str, str | None],
    key: str | None,
    status: int,
    expected: tuple[str, str],
    detail: str | None,
) -> None:
    """Errors come in Qeet ID's order, in its envelope, with explain or without."""
    for explain in (None, "true"):
        asked = target(**parameters, explain=explain)
        reply = request(strict, asked, key=key, X_Request_Id="r")

        assert reply.status == status
        assert reply.body == error(*expected, detail, "r")
        assert reply.header("Content-Type") == "application/json"
        assert reply.header("X-Qeetid-Revision") is None


@pytest.mark.parametrize(
    "spelling",
    [
        "{}",
        "urn:uuid:{}",
        "URN:uUiD:{}",
        "{{{}}}",
        "<{}]",
        "usr_{}",
    ],
)
@pytest.mark.parametrize("change", [str, str.upper, lambda id_: id_.replace("-", "")])
def test_spellings_of_an_id(strict: str, spelling: str, change: Any) -> None:
    """An id is taken in four spellings, in either case, and behind `usr_`."""
    undashed = "-" not in change(ANN)
    taken = not undashed or spelling in ("{}", "usr_{}")

    reply = ask(strict, user_id=spelling.format(change(ANN)))

    assert reply.status == (200 if taken else 400)
    if taken:
        assert reply.body == b'{"allowed":true}\n'


@pytest.mark.parametrize(
    "spelling",
    [
        ANN[:-1],
        ANN + "0",
        ANN.replace("-", "_"),
        ANN[:8] + ANN[9:13] + "-" + ANN[13:] + "0",
        "g" + ANN[1:],
        "urn:uid_:" + ANN,
        " " + ANN,
        ANN.replace("-", "") + "\n",
        "٣" * 32,
    ],
)
def test_no_spelling_of_an_id(strict: str, spelling: str) -> None:
    """Nothing else is taken, though other parsers would."""
    assert ask(strict, user_id=spelling).status == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"user_id={ANN}&tenant_id={ACME}&permission=billing%3Awrite", 200),
        (f"user_id={ANN}&user_id=x&tenant_id={ACME}&permission={KEY}", 200),
        (f"user_id=x&user_id={ANN}&tenant_id={ACME}&permission={KEY}", 400),
        (f"user_id=%zz&user_id={ANN}&tenant_id={ACME}&permission={KEY}", 200),
        (f"user_id={ANN};&tenant_id={ACME}&permission={KEY}", 400),
        (f"user_id={ANN};x=1&user_id={ANN}&tenant_id={ACME}&permission={KEY}", 200),
        (f"User_Id={ANN}&tenant_id={ACME}&permission={KEY}", 400),
        (f"user%5Fid={ANN}&tenant_id={ACME}&permission={KEY}", 200),
        (f"user_id={ANN}&tenant_id={ACME}&permission=%FF", 400),
        (f"user_id={ANN}&tenant_id={ACME}&permission={KEY}%", 400),
    ],
)
def test_query_off_the_wire(strict: str, query: str, status: int) -> None:
    """The query string reaches the sidecar's own parser as it was sent."""
    reply = request(strict, f"/v1/check?{query}", key=ACME_KEY)

    assert reply.status == status
    if status == 200:
        assert reply.body == b'{"allowed":true}\n'


def test_plus_is_a_space_and_bytes_stay_bytes(strict: str) -> None:
    """An odd key is found when it is escaped, and not when its plus is bare."""
    escaped = quote(ODD_KEY, safe="")
    query = f"/v1/check?user_id={ANN}&tenant_id={ACME}&permission="

    assert request(strict, query + escaped, key=ACME_KEY).body == b'{"allowed":true}\n'
    bare = escaped.replace("%2B", "+")
    assert request(strict, query + bare, key=ACME_KEY).body == b'{"allowed":false}\n'


def parts(reply: Reply) -> tuple[str, str, str]:
    """The parts of an explanation that can't be known beforehand, as written."""
    body = json.loads(reply.body)
    age = re.search(r'"age_s":([\d.e-]+)}\n$', reply.body.decode())
    assert age is not None
    assert f"{body['age_s']:.3f}" == reply.header("X-Qeetid-Age")
    assert body["revision"] == reply.header("X-Qeetid-Revision")
    return body["revision"], age[1], reply.body.decode()


def test_explanation_of_an_allowed_check(strict: str) -> None:
    """Paths come direct first, with Go's escapes and in Qeet ID's order of members."""
    revision, age, body = parts(ask(strict, explain="true", permission=ODD_KEY))

    key = r"a\u0026b \u003cc\u003e\u2028;+%\u2029é"
    role = r"role:Clerk \u0026 \u003cCo\u003e"
    assert body == (
        '{"allowed":true,"paths":['
        f'{{"permission":"{key}","granted_by":"{role}","via":"direct",'
        f'"role_id":"{CLERK}"}},'
        f'{{"permission":"{key}","granted_by":"{role}","via":"group:Staff",'
        f'"group_id":"{STAFF}","role_id":"{CLERK}"}}],'
        f'"code":"granted","revision":"{revision}","age_s":{age}}}\n'
    )


def test_explanation_of_a_missing_grant(strict: str) -> None:
    """A missing grant has Qeet ID's sentence, and then what would be enough."""
    revision, age, body = parts(ask(strict, user_id=EVE, explain="true"))

    role = r"Clerk \u0026 \u003cCo\u003e"
    assert body == (
        f'{{"allowed":false,"paths":[],"reason":"{HOSTED_SENTENCE}",'
        '"code":"no_grant","missing":['
        f'{{"role":"{role}","role_id":"{CLERK}",'
        f'"groups":[{{"group":"Staff","group_id":"{STAFF}"}}]}}],'
        f'"revision":"{revision}","age_s":{age}}}\n'
    )


def test_missing_without_a_group(strict: str) -> None:
    """A role that no group carries is enough by itself."""
    body = json.loads(ask(strict, explain="true", permission=UNHELD_KEY).body)

    assert body["missing"] == [{"role": "Auditor", "role_id": AUDITOR, "groups": []}]


@pytest.mark.parametrize(
    ("parameters", "code", "sentence"),
    [
        ({"user_id": SUE}, "user_inactive", "the user is suspended or deleted"),
        ({"user_id": NOBODY}, "unknown_user", "no user has this id"),
        ({"permission": "x"}, "unknown_permission", "no permission has this key"),
    ],
)
def test_strict_denials_name_their_reason(
    strict: str, parameters: dict[str, str], code: str, sentence: str
) -> None:
    """Under strict each reason has its own sentence, and nothing is missing."""
    body = json.loads(ask(strict, explain="true", **parameters).body)

    assert list(body) == ["allowed", "paths", "reason", "code", "revision", "age_s"]
    assert (body["reason"], body["code"]) == (sentence, code)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"user_id": EVE}, "no_grant"),
        ({"user_id": NOBODY}, "no_grant"),
        ({"permission": "x"}, "unknown_permission"),
    ],
)
def test_mirror_denials_have_one_sentence(
    mirror: str, parameters: dict[str, str], code: str
) -> None:
    """Under mirror every denial has the hosted sentence; the code still tells."""
    body = json.loads(ask(mirror, explain="true", **parameters).body)

    assert (body["reason"], body["code"]) == (HOSTED_SENTENCE, code)


def test_mirror_disagrees_with_its_explanation(mirror: str) -> None:
    """Qeet ID's explanation joins the group's tenant and its check doesn't."""
    assert ask(mirror, user_id=GUS).body == b'{"allowed":true}\n'

    body = json.loads(ask(mirror, user_id=GUS, explain="true").body)
    assert (body["allowed"], body["paths"]) == (False, [])
    assert ABROAD in str(body["missing"])


@pytest.mark.parametrize("value", ["1", "TRUE", "True", "", "true ", "yes"])
def test_explain_is_exactly_true(strict: str, value: str) -> None:
    """Any other value of `explain` gets the plain answer."""
    assert ask(strict, explain=value).body == b'{"allowed":true}\n'


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
def test_closed_tenant(town_database: str, semantics: str) -> None:
    """A suspended tenant is closed under strict and open under mirror."""
    with sidecar(town_database, semantics=semantics, caller_auth="off") as base_url:
        closed = request(base_url, target(tenant_id=CLOSED))
        unknown = request(base_url, target(tenant_id=NOBODY))

    assert json.loads(closed.body)["allowed"] is (semantics == "mirror")
    assert json.loads(unknown.body)["allowed"] is False


def test_a_body_and_a_fragment_are_harmless(strict: str) -> None:
    """A GET with a body is answered; `#` belongs to the value it stands in."""
    raw = f"GET {target()} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {ACME_KEY}\r\n"

    with_body = exchange(strict, raw.encode() + b"Content-Length: 2\r\n\r\nhi")
    assert with_body.body == b'{"allowed":true}\n'
    with_fragment = request(strict, target() + "#x", key=ACME_KEY)
    assert with_fragment.body == b'{"allowed":false}\n'


def test_machines_are_asked_about_like_users(
    strict_office: Office, mirror_office: Office
) -> None:
    """Strict finds out what an id is; a scope's path has no role. Mirror knows users."""
    asked = target(user_id=AGENT, explain="true")
    key = f"ApiKey {ACME_KEY}"

    revision, age, body = parts(strict_office.ask(key, at=asked))

    assert body == (
        f'{{"allowed":true,"paths":[{{"permission":"{KEY}",'
        f'"granted_by":"scope:{KEY}","via":"direct"}}],'
        f'"code":"granted","revision":"{revision}","age_s":{age}}}\n'
    )
    assert (
        mirror_office.ask(key, at=target(user_id=AGENT)).body == b'{"allowed":false}\n'
    )
    service = target(user_id=SERVICE, permission=SERVICE_KEY)
    assert strict_office.ask(key, at=service).body == b'{"allowed":true}\n'
    strangers = strict_office.ask(key, at=target(user_id=OTHERS_AGENT, explain="true"))
    assert json.loads(strangers.body)["code"] == "agent_inactive"


def test_explanation_of_one_who_acts_for_another() -> None:
    """Both sides' paths are written, or what the actor would need."""
    people = [{"email": "a@x.test"}, {"email": "b@x.test"}]
    tenant = {
        "slug": "t",
        "roles": [{"name": "R", "permissions": ["p"]}],
        "assignments": [{"user": "a@x.test", "roles": ["R"]}],
    }
    for members, code, ours in (
        (["b@x.test"], "granted", ["code", "actor_paths"]),
        ([], "actor_lacks", ["reason", "code", "missing"]),
    ):
        groups = [{"name": "G", "roles": ["R"], "members": members}]
        document = read_document(
            {"users": people, "tenants": [{**tenant, "groups": groups}]}
        )
        rows = resolve(document)
        a, b = (format_id(each.id) for each in rows.users)
        home = format_id(rows.tenants[0].id)
        engine = Engine.from_facts(document)
        acting = Principal.user(a, home, actor=Principal.user(b, home))

        body = explanation_body(engine.explain(acting, "p"), engine.semantics)

        assert body["code"] == code
        assert list(body) == ["allowed", "paths", *ours, "revision", "age_s"]
        for path in body.get("actor_paths", []):
            assert (path["granted_by"], path["via"]) == ("role:R", "group:G")
        for missing in body.get("missing", []):
            assert [each["group"] for each in missing["groups"]] == ["G"]
