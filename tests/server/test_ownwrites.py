"""`X-Qeetid-At-Least`: what a caller wrote is in the answer, or the answer says not."""

import json
from typing import Any

import psycopg
import pytest

from tests.server.sidecars import Reply, request, sidecar
from tests.server.town import ACME, ANN, KEY

QUIET = {"poll_interval": 30.0, "max_staleness": 600.0, "caller_auth": "off"}
TARGETS = {
    "check": f"/v1/check?user_id={ANN}&tenant_id={ACME}&permission={KEY}",
    "explanation": f"/v1/check?user_id={ANN}&tenant_id={ACME}&permission={KEY}&explain=true",
    "permissions": f"/v1/users/{ANN}/tenants/{ACME}/permissions",
    "batch": "/v1/check/batch",
}


def ask(base_url: str, what: str, token: str | None = None) -> Reply:
    """Ask about Ann in one of the ways there are."""
    headers: dict[str, Any] = {} if token is None else {"X_Qeetid_At_Least": token}
    if what != "batch":
        return request(base_url, TARGETS[what], **headers)
    checks = {"tenant_id": ACME, "checks": [{"user_id": ANN, "permission": KEY}]}
    return request(
        base_url,
        TARGETS[what],
        method="POST",
        body=json.dumps(checks).encode(),
        Content_Type="application/json",
        **headers,
    )


def is_allowed(what: str, reply: Reply) -> bool:
    """Whether an answer allows Ann the key."""
    assert reply.status == 200, reply
    said = json.loads(reply.body)
    if what == "permissions":
        return KEY in said["permissions"]
    return bool((said["results"][0] if what == "batch" else said)["allowed"])


def revoke(connection: psycopg.Connection) -> str:
    """Take from everybody all they have; the token of that transaction."""
    with connection.transaction():
        connection.execute("DELETE FROM tenant.group_members")
        connection.execute("DELETE FROM rbac.user_roles")
        row = connection.execute("SELECT qeetid_authz.revision_token()").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("what", TARGETS)
@pytest.mark.parametrize("fast_path", [True, False])
def test_a_caller_sees_its_own_write(
    town: str, connection: psycopg.Connection, what: str, *, fast_path: bool
) -> None:
    """With the token the answer takes the write into account; without, what is known."""
    with sidecar(town, fast_path=fast_path, **QUIET) as base_url:
        token = revoke(connection)

        assert is_allowed(what, ask(base_url, what))
        assert not is_allowed(what, ask(base_url, what, token))
        assert not is_allowed(what, ask(base_url, what))


@pytest.mark.parametrize("what", TARGETS)
def test_what_has_not_arrived_is_a_conflict(
    town: str, connection: psycopg.Connection, what: str
) -> None:
    """The refusal has a code of its own, and doesn't ask to be repeated blindly."""
    with (
        sidecar(town, at_least_timeout=0.1, caller_auth="off") as base_url,
        connection.transaction(force_rollback=True),
    ):
        reply = ask(base_url, what, revoke(connection))

    error = json.loads(reply.body)["error"]
    assert (409, "revision_unseen") == (reply.status, error["code"])
    assert "retryable" not in error
    assert reply.header("Retry-After") is None


@pytest.mark.parametrize("what", TARGETS)
def test_a_token_of_another_life_is_a_conflict(town: str, what: str) -> None:
    """It is refused, since nobody can tell what it stands for."""
    with sidecar(town, **QUIET) as base_url:
        reply = ask(base_url, what, "000000000000@790")

    assert 409 == reply.status
    assert "revision_foreign" == json.loads(reply.body)["error"]["code"]


@pytest.mark.parametrize("what", TARGETS)
@pytest.mark.parametrize(
    "token", ["", "790", "x@y", "000000000000@790, 000000000000@7"]
)
def test_what_is_no_token_is_a_bad_request(
    town_database: str, what: str, token: str
) -> None:
    """The refusal names the header."""
    with sidecar(town_database, caller_auth="off") as base_url:
        reply = ask(base_url, what, token)

    error = json.loads(reply.body)["error"]
    assert (400, "bad_request") == (reply.status, error["code"])
    assert "invalid X-Qeetid-At-Least" == error["detail"]


def test_a_question_that_is_refused_anyway_waits_for_nothing(
    town: str, connection: psycopg.Connection
) -> None:
    """What is wrong with the question is said first."""
    with (
        sidecar(town, at_least_timeout=60, caller_auth="off") as base_url,
        connection.transaction(force_rollback=True),
    ):
        reply = request(
            base_url,
            f"/v1/check?user_id={ANN}&tenant_id={ACME}",
            X_Qeetid_At_Least=revoke(connection),
        )

    assert 400 == reply.status
