"""The certification scenario of the Authorization API 1.0, by the numbers of its cases.

Levels Basic Core, Batch Core, Search Core and Discovery. Users of Qeet ID have no names
of their own, so the scenario's Alice and Bob are called by their e-mails.
"""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qeetid_authz.ids import format_id
from qeetid_authz.model import Owned
from qeetid_authz.postgres.embedded import Server
from tests.fixtures.postgres import new_database
from tests.server.authzen.asking import post, told
from tests.server.sidecars import EVERYTHING, request, sidecar
from tests.server.town import ACME, ACME_KEY, add_key
from tests.tables import Tables, named, write

ALICE, BOB = "alice@scenario.example", "bob@scenario.example"
HELD = {
    ALICE: ["record:record-1:read", "record:record-1:write", "record:record-2:read"],
    BOB: ["record:record-1:read"],
}


def user(id_: str) -> dict[str, Any]:
    return {"type": "user", "id": id_}


def record(number: int) -> dict[str, Any]:
    return {"type": "record", "id": f"record-{number}"}


def named_action(name: str) -> dict[str, Any]:
    return {"name": name}


def question(who: str, what: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """May somebody do something to a record?"""
    return {
        "subject": user(who),
        "action": named_action(what),
        "resource": record(number),
        **more,
    }


def without(body: dict[str, Any], entity: str, member: str = "") -> dict[str, Any]:
    """The body but for an entity, or but for a member of one."""
    rest = {name: it for name, it in body.items() if name != entity}
    if not member:
        return rest
    kept = {name: it for name, it in body[entity].items() if name != member}
    return {**rest, entity: kept}


ALICE_READS = question(ALICE, "read")


@pytest.fixture(scope="session")
def pdp(cluster: Server, template: str) -> Iterator[str]:
    """The base URL of a decision point with the scenario's fixture, its core rules."""
    tenant = named("tenant", "acme")
    keys = {key: named("permission", key) for held in HELD.values() for key in held}
    tables = Tables(
        permissions={id_: key for key, id_ in keys.items()},
        roles={named("role", who): Owned(tenant, who) for who in HELD},
        tenants={tenant: "active"},
        users={named("user", who): "active" for who in HELD},
        role_permissions={
            (named("role", who), keys[key])
            for who, held in HELD.items()
            for key in held
        },
        user_roles={(tenant, named("user", who), named("role", who)) for who in HELD},
    )
    with new_database(cluster, template) as name:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            write(tables, connection)
            add_key(connection, ACME, ACME_KEY)
            for who in HELD:
                connection.execute(
                    'UPDATE "user".users SET email = %s WHERE id = %s',
                    [who, format_id(named("user", who))],
                )
        settings = {**EVERYTHING, "authzen_subject_id": "email"}
        with sidecar(cluster.dsn(name), **settings) as base_url:
            yield base_url


def decision(pdp: str, body: Any, path: str = "evaluation") -> bool:
    """The decision of a response that is as it must be."""
    answer = told(post(pdp, path, body))
    assert isinstance(answer["decision"], bool)
    assert isinstance(answer.get("context", {}), dict)
    return answer["decision"]


def decisions(pdp: str, body: dict[str, Any]) -> list[bool]:
    """Those of a batch: as many as evaluations, each a boolean (3.3.1, 3.3.3, 3.3.4)."""
    answer = told(post(pdp, "evaluations", body))
    assert "decision" not in answer
    got = [each["decision"] for each in answer["evaluations"]]
    assert len(body["evaluations"]) == len(got)
    assert all(isinstance(each, bool) for each in got)
    return got


@pytest.mark.parametrize(
    ("who", "what", "expected"),
    [
        (ALICE, "read", True),
        (ALICE, "write", True),
        (BOB, "read", True),
        (BOB, "write", False),
    ],
)
def test_basic_core_2_2_1_to_2_the_fixture(
    pdp: str, who: str, what: str, expected: bool
) -> None:
    """Its four rules, again and again (2.6): a stored role makes Bob no writer."""
    for _ in range(3):
        assert expected is decision(pdp, question(who, what))


@pytest.mark.parametrize(
    "more",
    [
        {"context": {"time": "2026-06-27T18:03-07:00", "ip": "192.168.1.1"}},
        {
            "subject": user(ALICE) | {"properties": {"department": "Sales"}},
            "action": named_action("read") | {"properties": {"method": "GET"}},
            "resource": record(1) | {"properties": {"owner": "bob"}},
        },
        {"foo": "bar", "futureField": {"nested": True}},
    ],
)
def test_basic_core_2_2_3_8_9_what_may_be_there(pdp: str, more: Any) -> None:
    """A context, properties and unknown members change nothing."""
    assert decision(pdp, ALICE_READS | more)


def test_basic_core_2_4_1_2_what_is_missing(pdp: str) -> None:
    """A 400 for each entity and each of their members."""
    for body in (
        *(without(ALICE_READS, entity) for entity in ALICE_READS),
        *(
            without(ALICE_READS, entity, member)
            for entity in ALICE_READS
            for member in ALICE_READS[entity]
        ),
    ):
        assert 400 == post(pdp, "evaluation", body).status, body


@pytest.mark.parametrize("path", ["evaluation", "evaluations", "search/subject"])
def test_basic_core_2_4_3_to_6_what_is_wrong(pdp: str, path: str) -> None:
    """A 400 for another content type, no JSON, nothing, and wrong types."""
    assert 400 == post(pdp, path, ALICE_READS, Content_Type="text/plain").status
    for body in (b"{", b"", b" ", b"not json"):
        assert 400 == post(pdp, path, body).status
    for wrong in ({"subject": ALICE}, {"action": {"name": 123}}):
        assert 400 == post(pdp, path, ALICE_READS | wrong).status


@pytest.mark.parametrize(
    "path",
    ["evaluation", "evaluations", "search/subject", "search/action", "search/resource"],
)
def test_basic_core_2_5_request_ids(pdp: str, path: str) -> None:
    """Echoed, on errors too; not needed."""
    for body in (ALICE_READS, {}):
        reply = post(
            pdp, path, body, X_Request_ID="bfe9eb29-ab87-4ca3-be83-a1d5d8305716"
        )
        given = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"
        assert given == reply.header("X-Request-ID")
    assert 200 == post(pdp, path, ALICE_READS).status


def test_batch_core_3_2_1_defaults(pdp: str) -> None:
    """Two resources for one subject and one action."""
    common = without(ALICE_READS, "resource")
    items = [{"resource": record(1)}, {"resource": record(2)}]

    assert [True, True] == decisions(pdp, common | {"evaluations": items})


def test_batch_core_3_2_2_order(pdp: str) -> None:
    """Bob reads and doesn't write, in the order that was asked (3.3.2)."""
    common = without(question(BOB, ""), "action")
    items = [{"action": named_action(name)} for name in ("read", "write")]

    assert [True, False] == decisions(pdp, common | {"evaluations": items})
    turned = {"evaluations": items[::-1]}
    assert [False, True] == decisions(pdp, common | turned)


def test_batch_core_3_2_5_without_defaults(pdp: str) -> None:
    """Each evaluation whole."""
    items = [ALICE_READS, question(BOB, "write")]

    assert [True, False] == decisions(pdp, {"evaluations": items})


def test_batch_core_3_2_6_contexts(pdp: str) -> None:
    """Of all, and of one."""
    common = without(ALICE_READS, "resource") | {"context": {"time": "1"}}
    items = [
        {"resource": record(1)},
        {"resource": record(2), "context": {"time": "2", "source": "batch-override"}},
    ]

    assert [True, True] == decisions(pdp, common | {"evaluations": items})


def test_batch_core_3_4_1_an_evaluation_that_fails(pdp: str) -> None:
    """Denied in its place, with a 200."""
    common = without(ALICE_READS, "resource")
    items = [{"resource": record(1)}, {}]

    assert [True, False] == decisions(pdp, common | {"evaluations": items})


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
def test_batch_core_3_4_2_3_without_evaluations(pdp: str, more: Any) -> None:
    """As a single one."""
    assert decision(pdp, ALICE_READS | more, "evaluations")


CONTEXTS: list[dict[str, Any]] = [{}, {"context": {"time": "1"}}]


def results(pdp: str, what: str, body: dict[str, Any]) -> list[Any]:
    """All that a search finds."""
    found = told(post(pdp, f"search/{what}", body))["results"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("more", CONTEXTS)
def test_search_core_4_2_subjects(pdp: str, more: Any) -> None:
    """Who reads a record, with a context and without."""
    body = ALICE_READS | {"subject": {"type": "user"}} | more
    found = results(pdp, "subject", body)

    assert sorted([ALICE, BOB]) == sorted(each["id"] for each in found)
    assert {"user"} == {each["type"] for each in found}


@pytest.mark.parametrize("more", CONTEXTS)
def test_search_core_4_3_resources(pdp: str, more: Any) -> None:
    """What Alice reads."""
    body = ALICE_READS | {"resource": {"type": "record"}} | more

    assert [record(1), record(2)] == results(pdp, "resource", body)


@pytest.mark.parametrize("more", CONTEXTS)
def test_search_core_4_4_actions(pdp: str, more: Any) -> None:
    """What Alice does to a record."""
    body = without(ALICE_READS, "action") | more
    expected = [named_action("read"), named_action("write")]

    assert expected == results(pdp, "action", body)


def test_search_core_4_5_pages(pdp: str) -> None:
    """One by one; the token comes back without the limit."""
    body = ALICE_READS | {"subject": {"type": "user"}}
    first = told(post(pdp, "search/subject", body | {"page": {"limit": 1}}))
    token = first["page"]["next_token"]
    assert isinstance(token, str)
    assert token

    last = told(post(pdp, "search/subject", body | {"page": {"token": token}}))
    assert "" == last["page"]["next_token"]
    found = [each["id"] for each in first["results"] + last["results"]]
    assert sorted([ALICE, BOB]) == sorted(found)


def test_search_core_4_6_nothing_is_found(pdp: str) -> None:
    """Of an unknown user, and of an unknown type."""
    nobodys = without(question("nonexistent-user", ""), "action")
    assert [] == results(pdp, "action", nobodys)

    ships = ALICE_READS | {"subject": {"type": "spaceship"}}
    assert [] == results(pdp, "subject", ships)


def test_search_core_4_7_what_is_missing(pdp: str) -> None:
    """A 400 for an entity, and for an id that isn't sought."""
    for what, body in (
        ("subject", without(ALICE_READS, "action")),
        ("resource", without(ALICE_READS, "subject")),
        ("action", without(ALICE_READS, "resource")),
        ("subject", without(ALICE_READS, "resource", "id")),
        ("resource", without(ALICE_READS, "subject", "id")),
    ):
        assert 400 == post(pdp, f"search/{what}", body).status


@pytest.mark.parametrize("tenant", ["", f"/{ACME}"])
def test_discovery_6(pdp: str, tenant: str) -> None:
    """The identifier, and endpoints that are HTTPS URLs, of the sidecar and a tenant."""
    reply = request(pdp, f"/.well-known/authzen-configuration{tenant}")
    assert (200, "application/json") == (reply.status, reply.header("Content-Type"))
    metadata = json.loads(reply.body)

    identifier = EVERYTHING["public_url"] + tenant
    assert identifier == metadata.pop("policy_decision_point")
    assert "access_evaluation_endpoint" in metadata
    for name, url in metadata.items():
        assert name.endswith("_endpoint")
        assert url.startswith(f"{identifier}/access/v1/")
