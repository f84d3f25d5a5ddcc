"""`client_ip`: the tenant's IP rules on the sidecar's own routes (fact 10)."""

import json
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.server.sidecars import Reply, eventually, request, sidecar
from tests.server.test_batch import problem, send
from tests.server.test_check import BAD_REQUEST, HOSTED_SENTENCE, ask, error
from tests.server.town import ACME, ACME_KEY, ANN, BOB, EVE, KEY, OTHER, target

ENABLE = "INSERT INTO tenant.ip_rules_config (tenant_id, enabled) VALUES (%s, true)"
INSIDE, DENIED, OUTSIDE = "192.0.2.1", "192.0.2.66", "198.51.100.1"


@pytest.fixture
def ruled(town: str, connection: psycopg.Connection) -> str:
    """The DSN of a town where Acme lets in 192.0.2.0/24 but for one address."""
    connection.execute(ENABLE, (ACME,))
    connection.cursor().executemany(
        "INSERT INTO tenant.ip_rules (tenant_id, cidr, action, label)"
        " VALUES (%s, %s, %s, %s)",
        [
            (ACME, "192.0.2.0/24", "allow", "the office"),
            (ACME, f"{DENIED}/32", "deny", "the <lobby>"),
        ],
    )
    return town


def allows(reply: Reply) -> bool:
    """What a check said."""
    assert reply.status == 200, reply.body
    allowed: bool = json.loads(reply.body)["allowed"]
    return allowed


def in_batch(base_url: str, **members: Any) -> Reply:
    """Ask about Ann and Eve, with more members in the body."""
    checks = [{"user_id": user, "permission": KEY} for user in (ANN, EVE)]
    body = {"tenant_id": ACME, "checks": checks, **members}
    return send(base_url, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("address", "is_let_in"),
    [
        (None, True),
        (INSIDE, True),
        (DENIED, False),
        (OUTSIDE, False),
        (f"::ffff:{INSIDE}", True),
        (f"::ffff:{DENIED}", False),
        ("2001:db8::1", False),
    ],
)
def test_rules_can_only_deny(ruled: str, address: str | None, is_let_in: bool) -> None:
    """Strict judges an address where one is given, mirror never (fact 0.11)."""
    given = {} if address is None else {"client_ip": address}
    for semantics, allowed in (("strict", is_let_in), ("mirror", True)):
        with sidecar(ruled, semantics=semantics) as base_url:
            assert allows(ask(base_url, **given)) is allowed
            assert allows(ask(base_url, explain="true", **given)) is allowed
            assert not allows(ask(base_url, user_id=EVE, **given))
            assert json.loads(in_batch(base_url, **given).body)["results"] == [
                {"allowed": allowed},
                {"allowed": False},
            ]


def test_the_rule_is_in_the_explanation(ruled: str) -> None:
    """A denial names the rule that denies, or says that none lets the address in."""
    with sidecar(ruled) as base_url:
        denied = json.loads(ask(base_url, explain="true", client_ip=DENIED).body)
        outside = json.loads(ask(base_url, explain="true", client_ip=OUTSIDE).body)

    members = ["allowed", "paths", "reason", "code", "ip_rule", "revision", "age_s"]
    assert list(denied) == list(outside) == members
    assert denied["code"] == outside["code"] == "ip_denied"
    assert denied["reason"] == "the tenant's IP rules don't let this address in"
    assert denied["ip_rule"] == {
        "cidr": f"{DENIED}/32",
        "action": "deny",
        "label": "the <lobby>",
    }
    assert outside["ip_rule"] is None


def test_rules_are_followed(ruled: str, connection: psycopg.Connection) -> None:
    """A rule that goes, or isn't heeded any more, counts from the next poll on."""
    with sidecar(ruled) as base_url:
        assert not allows(ask(base_url, client_ip=DENIED))
        connection.execute("DELETE FROM tenant.ip_rules WHERE action = 'deny'")
        eventually(lambda: allows(ask(base_url, client_ip=DENIED)))
        assert not allows(ask(base_url, client_ip=OUTSIDE))
        connection.execute("UPDATE tenant.ip_rules_config SET enabled = false")
        eventually(lambda: allows(ask(base_url, client_ip=OUTSIDE)))


def test_the_rules_of_others(ruled: str, connection: psycopg.Connection) -> None:
    """Only the rules of the tenant that is asked about count."""
    connection.execute(ENABLE, (OTHER,))
    connection.execute(
        "INSERT INTO tenant.ip_rules (tenant_id, cidr, action)"
        " VALUES (%s, '0.0.0.0/0', 'deny')",
        (OTHER,),
    )
    with sidecar(ruled) as base_url:
        assert allows(ask(base_url, client_ip=INSIDE))


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
@pytest.mark.parametrize(
    "address",
    ["", " ", "x", "192.0.2", "192.0.2.1/32", "192.0.2.01", " 192.0.2.1", "٣.1.1.1"],
)
def test_no_address(
    request: pytest.FixtureRequest, semantics: str, address: str
) -> None:
    """What is no address is refused under both semantics, explained or in a batch."""
    base_url = request.getfixturevalue(semantics)
    for explain in (None, "true"):
        reply = ask(base_url, client_ip=address, explain=explain)
        assert json.loads(reply.body)["error"]["detail"] == "invalid client_ip"
        assert reply.status == 400
    refused = problem(in_batch(base_url, client_ip=address))
    assert refused == (400, "bad_request", "invalid client_ip")


def test_bytes_that_are_no_text(strict: str) -> None:
    """An address of broken UTF-8 is no address."""
    reply = request(strict, target() + "&client_ip=%FF", key=ACME_KEY, X_Request_Id="r")

    assert reply.body == error(*BAD_REQUEST, "invalid client_ip", "r")


@pytest.mark.parametrize("address", [None, 1, [], {}])
def test_a_batch_says_an_address_or_nothing(strict: str, address: object) -> None:
    """An address that is null would be one that isn't judged: it is refused."""
    status, code, detail = problem(in_batch(strict, client_ip=address))

    assert (status, code) == (400, "bad_request")
    assert "client_ip" in str(detail)


def test_the_address_is_looked_at_last(strict: str) -> None:
    """What the hosted server refuses comes first, in its order."""
    for parameters, detail in (
        ({"user_id": "x"}, "invalid user_id"),
        ({"tenant_id": OTHER}, "tenant mismatch"),
        ({"permission": "a\0"}, "invalid permission"),
    ):
        reply = ask(strict, client_ip="x", **parameters)
        assert json.loads(reply.body)["error"]["detail"] == detail


def test_addresses_in_any_spelling(ruled: str) -> None:
    """An address may come escaped, and the first of several counts."""
    with sidecar(ruled) as base_url:
        escaped = target() + "&client_ip=" + quote(INSIDE, safe="").replace("1", "%31")
        assert allows(request(base_url, escaped, key=ACME_KEY))
        twice = target() + f"&client_ip={DENIED}&client_ip={INSIDE}"
        assert not allows(request(base_url, twice, key=ACME_KEY))


def test_mirror_has_one_sentence(ruled: str) -> None:
    """Under mirror an address changes nothing, the sentence of a denial included."""
    with sidecar(ruled, semantics="mirror") as base_url:
        body = json.loads(
            ask(base_url, user_id=EVE, explain="true", client_ip=DENIED).body
        )
        assert (body["reason"], "ip_rule" in body) == (HOSTED_SENTENCE, False)
        assert allows(ask(base_url, user_id=BOB, client_ip=DENIED))
