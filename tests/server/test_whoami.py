"""`GET /v1/whoami`: how the sidecar sees who asks."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.model import Semantics
from qeetid_authz.principal import Kind, Principal
from tests.integration.world import (
    AGENT,
    AGENT_KEY,
    ANNS_KEY,
    SERVICE,
    SERVICE_KEY,
    SESSION,
    give_key,
)
from tests.server.bearers import ASKING, READING_AGENT, Office, now, office
from tests.server.sidecars import Reply, eventually, request
from tests.server.test_check import BAD_REQUEST, KEY_INVALID, UNAUTHORIZED, error
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    BOB,
    CLERK,
    CLOSED,
    EVE,
    KEY,
    NOBODY,
    ODD_KEY,
    STAFF,
    SUE,
    add_key,
    target,
    town,
    uuid,
)

WHOAMI = "/v1/whoami"


def account(here: Office, header: str) -> dict[str, Any]:
    """What somebody is told, without what can't be known beforehand."""
    reply = here.ask(header, at=WHOAMI)
    assert reply.status == 200, reply.body
    body: dict[str, Any] = json.loads(reply.body)
    assert list(body)[-2:] == ["revision", "age_s"]
    assert body.pop("revision") == reply.header("X-Qeetid-Revision")
    assert f"{body.pop('age_s'):.3f}" == reply.header("X-Qeetid-Age")
    return body


def keys(body: dict[str, Any]) -> list[str]:
    """The permissions of an account."""
    held: list[str] = body["permissions"]
    return held


def by_scope(*held: str) -> dict[str, Any]:
    """How a machine holds permissions."""
    return {"granted_by": "scope", "via": "direct", "permissions": list(held)}


def test_a_user(strict_office: Office) -> None:
    """A user sees session, end and every grant path, keys in order."""
    expires_at = now() + 600
    header = strict_office.user(sid=SESSION, exp=expires_at)

    body = account(strict_office, header)

    assert list(body) == [
        "kind",
        "id",
        "tenant_id",
        "session_id",
        "expires_at",
        "permissions",
        "grants",
    ]
    assert keys(body) == [ODD_KEY, KEY, ASKING]
    own, of_group = (each for each in body["grants"] if each["role_id"] == CLERK)
    assert own == {
        "granted_by": "role:Clerk & <Co>",
        "via": "direct",
        "role_id": CLERK,
        "permissions": [ODD_KEY, KEY],
    }
    assert of_group == {
        "granted_by": "role:Clerk & <Co>",
        "via": "group:Staff",
        "group_id": STAFF,
        "role_id": CLERK,
        "permissions": [ODD_KEY, KEY],
    }
    del body["permissions"], body["grants"]
    assert body == {
        "kind": "user",
        "id": ANN,
        "tenant_id": ACME,
        "session_id": SESSION,
        "expires_at": expires_at,
    }


def test_nobody_needs_a_permission_to_know_themselves(strict_office: Office) -> None:
    """A user without `role.read` may ask who it is."""
    body = account(strict_office, strict_office.user(BOB))

    assert (body["id"], keys(body)) == (BOB, [ODD_KEY, KEY])


def test_a_scope_narrows(strict_office: Office, mirror_office: Office) -> None:
    """A limit is shown sorted; strict semantics heed it, mirror doesn't."""
    scope = f"z {KEY} a"

    in_strict = account(strict_office, strict_office.user(scope=scope))
    in_mirror = account(mirror_office, mirror_office.user(scope=scope))

    assert in_strict["scopes"] == in_mirror["scopes"] == ["a", KEY, "z"]
    assert keys(in_strict) == [KEY]
    assert keys(in_mirror) == [ODD_KEY, KEY, ASKING]


def test_one_who_acts_for_another(strict_office: Office) -> None:
    """The actor is named, and both ways of holding a permission are shown."""
    header = strict_office.user(act={"sub": AGENT})

    body = account(strict_office, header)

    assert body["actor"] == {"id": AGENT}
    assert keys(body) == [KEY]
    assert [[KEY], [KEY]] == [each["permissions"] for each in body["grants"]]
    assert [by_scope(KEY)] == body["actor_grants"]


def test_machines(strict_office: Office) -> None:
    """Service principals and agents hold their scopes, and see so."""
    service = account(strict_office, strict_office.service(SERVICE))
    agent = account(strict_office, strict_office.agent(AGENT, scope=AGENT_KEY))

    assert (service["kind"], service["id"]) == ("service", SERVICE)
    assert service["grants"] == [by_scope(SERVICE_KEY)]
    assert (agent["kind"], agent["id"]) == ("agent", AGENT)
    assert (agent["scopes"], agent["grants"]) == (
        [AGENT_KEY],
        [by_scope(AGENT_KEY)],
    )
    assert "session_id" not in service | agent


def test_a_user_looking_agent(strict_office: Office, mirror_office: Office) -> None:
    """Under strict a token exchanged for an agent's is seen as the agent's (fact 6)."""
    for here, kind in ((strict_office, "agent"), (mirror_office, "user")):
        body = account(here, here.user(READING_AGENT))
        assert (body["kind"], keys(body)) == (kind, [ASKING])


def test_api_keys(settled: str, connection: psycopg.Connection) -> None:
    """A key has the permissions of its user within its scopes, or else its scopes."""
    end = datetime.fromtimestamp(now() + 1000.5, UTC)
    bound, free = "qk_bound.s", "qk_free.s"
    bound_id = give_key(connection, bound, user=ANN, scopes=[KEY, "x"], expires_at=end)
    free_id = give_key(connection, free, scopes=[SERVICE_KEY, ASKING])
    add_key(connection, ACME, "qk_ever.s", expires_at="infinity")
    with office(settled) as here:
        anns = account(here, f"ApiKey {bound}")
        nobodys = account(here, f"ApiKey {free}")
        for key in (ACME_KEY, "qk_ever.s"):
            assert list(account(here, f"ApiKey {key}")) == [
                "kind",
                "id",
                "tenant_id",
                "permissions",
                "grants",
            ]

    assert (anns["kind"], anns["id"]) == ("api_key", bound_id)
    assert anns["scopes"] == [KEY, "x"]
    assert anns["expires_at"] == int(end.timestamp())
    assert keys(anns) == [KEY]
    assert len(anns["grants"]) == 2
    assert (nobodys["id"], nobodys["grants"]) == (
        free_id,
        [by_scope(SERVICE_KEY, ASKING)],
    )


def test_it_is_current(settled: str, connection: psycopg.Connection) -> None:
    """A role that is taken away is gone from the next account."""
    with office(settled) as here:
        header = here.user()
        assert ASKING in keys(account(here, header))
        connection.execute(
            "DELETE FROM rbac.user_roles WHERE user_id = %s AND role_id = %s",
            (ANN, uuid("role", "reader")),
        )
        eventually(lambda: ASKING not in keys(account(here, header)))


@pytest.mark.parametrize(
    ("presented", "status", "expected"),
    [
        ([], 401, UNAUTHORIZED),
        (["Basic x"], 401, UNAUTHORIZED),
        (["Bearer x.y.z"], 401, UNAUTHORIZED),
        ([f"ApiKey {ACME_KEY}x"], 401, KEY_INVALID),
        ([f"ApiKey {ACME_KEY}"] * 2, 400, BAD_REQUEST),
    ],
)
def test_refusals(
    strict_office: Office,
    settled_database: str,
    presented: list[str],
    status: int,
    expected: tuple[str, str],
) -> None:
    """A credential is needed, and judged, even where callers aren't asked for any."""
    with office(settled_database, caller_auth="off") as trusting:
        for here in (strict_office, trusting):
            reply = here.ask(*presented, at=WHOAMI)
            problem = json.loads(reply.body)["error"]
            assert reply.status == status
            assert (problem["code"], problem["message"]) == expected
        assert account(trusting, trusting.user())["id"] == ANN
        assert account(trusting, f"ApiKey {ANNS_KEY}")["kind"] == "api_key"


def test_addresses(settled: str, connection: psycopg.Connection) -> None:
    """From an address that the tenant's rules deny nobody holds anything."""
    connection.execute(
        "INSERT INTO tenant.ip_rules_config (tenant_id, enabled) VALUES (%s, true)",
        (ACME,),
    )
    connection.execute(
        "INSERT INTO tenant.ip_rules (tenant_id, cidr, action, label)"
        " VALUES (%s, '192.0.2.0/24', 'deny', 'Office')",
        (ACME,),
    )
    with office(settled) as here:
        ask = partial(here.ask, here.user())

        def seen(reply: Reply) -> dict[str, Any]:
            body: dict[str, Any] = json.loads(reply.body)
            return body

        let_in = seen(ask(at=f"{WHOAMI}?client_ip=198.51.100.1"))
        assert keys(let_in) == [ODD_KEY, KEY, ASKING]
        assert not {"code", "ip_rule"} & set(let_in)
        denied = seen(ask(at=f"{WHOAMI}?client_ip=192.0.2.1"))
        assert (keys(denied), denied["grants"]) == ([], [])
        assert list(denied)[-6:] == [
            "permissions",
            "grants",
            "code",
            "ip_rule",
            "revision",
            "age_s",
        ]
        assert denied["code"] == "ip_denied"
        rule = {"cidr": "192.0.2.0/24", "action": "deny", "label": "Office"}
        assert denied["ip_rule"] == rule
        explained = here.ask(
            here.user(), at=target(explain="true", client_ip="192.0.2.1")
        )
        assert json.loads(explained.body)["ip_rule"] == rule
        refused = ask(at=f"{WHOAMI}?client_ip=192.0.2")
        assert refused.body == error(*BAD_REQUEST, "invalid client_ip", "r")


@pytest.mark.parametrize("semantics", list(Semantics))
def test_accounts_say_why_not(semantics: Semantics) -> None:
    """Who may nothing at all is told the obstacle, who merely holds nothing isn't."""
    engine = Engine(semantics)
    engine.publish(town().snapshot(), 0.0)
    is_strict = semantics is Semantics.STRICT
    for user, tenant, reason in (
        (ANN, ACME, None),
        (EVE, ACME, None),
        (SUE, ACME, Reason.USER_INACTIVE),
        (NOBODY, ACME, Reason.UNKNOWN_USER),
        (ANN, CLOSED, Reason.TENANT_INACTIVE),
    ):
        told, _, _ = engine.account(Principal.user(user, tenant))
        assert told.reason == (reason if is_strict else None)
        assert told.kind is Kind.USER
        if told.reason is not None:
            assert (told.permissions, told.grants) == ((), ())


def test_get_only(strict_office: Office) -> None:
    """Another method is refused as on every other route."""
    for method, status in (("HEAD", 405), ("POST", 403)):
        reply = request(strict_office.base_url, WHOAMI, method=method)
        assert reply.status == status
