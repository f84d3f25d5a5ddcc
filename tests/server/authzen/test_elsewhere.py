"""What answers rest on besides facts: addresses, transactions, time, and a database."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.faults.proxy import Mode, Proxy
from tests.server.authzen.asking import evaluate, evaluate_all, post, search, told
from tests.server.authzen.town import EDITOR, build, email
from tests.server.sidecars import EVERYTHING, eventually, request, sidecar
from tests.server.town import ACME

READ, WRITE = {"name": "read"}, {"name": "write"}
BOOK = {"type": "book", "id": "8"}
EDITORS = {"subject": {"type": "user", "id": EDITOR}, "action": READ, "resource": BOOK}
NAMED = EDITORS | {"subject": {"type": "user", "id": email(EDITOR)}}
INSIDE, OUTSIDE = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def ruled(own_library: str, connection: psycopg.Connection) -> str:
    """The library, where Acme lets in 192.0.2.0/24 only."""
    connection.execute(
        "INSERT INTO tenant.ip_rules (tenant_id, cidr, action, label)"
        " VALUES (%s, '192.0.2.0/24', 'allow', '')",
        (ACME,),
    )
    connection.execute(
        "INSERT INTO tenant.ip_rules_config (tenant_id, enabled) VALUES (%s, true)",
        (ACME,),
    )
    outside = EDITORS | {"context": {"client_ip": OUTSIDE}}
    eventually(lambda: not evaluate(own_library, outside))
    return own_library


def test_ip_rules_can_only_deny(ruled: str) -> None:
    """By `client_ip` in the context: in evaluations, batches and searches."""
    for address, is_let_in in ((None, True), (INSIDE, True), (OUTSIDE, False)):
        context = {} if address is None else {"client_ip": address}
        body = told(post(ruled, "evaluation", EDITORS | {"context": context}))
        assert is_let_in is body["decision"]
        assert ("granted" if is_let_in else "ip_denied") == body["context"]["code"]
        assert [{"decision": is_let_in}] == evaluate_all(
            ruled, **EDITORS, context=context, evaluations=[{}]
        )
        searches: list[tuple[str, dict[str, Any]]] = [
            ("subject", {"subject": {"type": "user"}}),
            ("subject", {"subject": {"type": "service"}, "action": WRITE}),
            ("subject", {"subject": {"type": "api_key"}}),
            ("action", {}),
            ("resource", {}),
        ]
        for what, over in searches:
            found = search(ruled, what, **EDITORS | over, context=context)
            assert is_let_in is bool(found), (what, address)


@pytest.mark.parametrize("address", ["x", "", None, 1, "192.0.2.0/24", " 192.0.2.1"])
def test_what_is_no_address(library: str, address: Any) -> None:
    """A 400, lest it be taken for none."""
    body = EDITORS | {"context": {"client_ip": address}}

    assert 400 == post(library, "evaluation", body).status
    for what in ("subject", "action", "resource"):
        assert 400 == post(library, f"search/{what}", body).status


def test_who_wrote_is_answered_after_it(
    own_library: str, connection: psycopg.Connection
) -> None:
    """Of what a transaction took away nothing is permitted, by whichever route."""
    with connection.transaction():
        connection.execute("DELETE FROM rbac.role_permissions")
        row = connection.execute("SELECT qeetid_authz.revision_token()").fetchone()
    assert row is not None
    told_all = {
        path: told(post(own_library, path, body, X_Qeetid_At_Least=row[0]))
        for path, body in (
            ("evaluation", EDITORS),
            ("evaluations", EDITORS | {"evaluations": [{}]}),
            ("search/subject", EDITORS),
            ("search/action", EDITORS),
            ("search/resource", EDITORS),
        )
    }

    assert told_all["evaluation"]["decision"] is False
    assert [{"decision": False}] == told_all["evaluations"]["evaluations"]
    assert [[], [], []] == [
        answer["results"] for path, answer in told_all.items() if "search" in path
    ]


@pytest.mark.parametrize("token", ["x", "", "dcea61704835@790"])
def test_what_no_transaction_is_called(library: str, token: str) -> None:
    """A 400 or a 409, as on the other routes."""
    reply = post(library, "evaluation", EDITORS, X_Qeetid_At_Least=token)

    assert (409 if "@" in token else 400) == reply.status


@pytest.fixture
def nameless(database: str, connection: psycopg.Connection) -> Iterator[str]:
    """The library, where no e-mail can be looked up."""
    build(connection)
    settings = {**EVERYTHING, "authzen_subject_id": "email"}
    with sidecar(database, **settings) as base_url:
        assert evaluate(base_url, NAMED)
        connection.execute('ALTER TABLE "user".users RENAME COLUMN email TO mail')
        yield base_url


def test_without_names_who_is_named_is_a_503(nameless: str) -> None:
    """And nobody else; a search can't be answered whose results would be names."""
    for path, body in (
        ("evaluation", NAMED),
        ("search/action", NAMED),
        ("search/resource", NAMED),
        ("search/subject", EDITORS),
    ):
        reply = post(nameless, path, body)
        assert (503, "1") == (reply.status, reply.header("Retry-After")), path
        assert "unavailable" == json.loads(reply.body)["error"]["code"]

    assert evaluate(nameless, EDITORS)
    assert search(nameless, "action", **EDITORS)


def test_in_a_batch_only_who_is_named_fails(nameless: str) -> None:
    """With a 503 of its own; what is denied anyway can't be a wrong permit."""
    named = {"subject": NAMED["subject"]}
    first, second, third = evaluate_all(
        nameless, **EDITORS, evaluations=[{}, named, {}]
    )

    assert [{"decision": True}] * 2 == [first, third]
    assert second["decision"] is False
    assert 503 == second["context"]["error"]["status"]

    options = {"evaluations_semantic": "permit_on_first_permit"}
    answers = evaluate_all(
        nameless, **EDITORS, evaluations=[named, {}, {}], options=options
    )
    assert [False, True] == [each["decision"] for each in answers]


def test_a_database_that_is_away(database: str, connection: psycopg.Connection) -> None:
    """Ids are answered for from memory; e-mails wait for two seconds, and are a 503."""
    build(connection)
    port = connection.info.port
    with (
        Proxy(port) as proxy,
        sidecar(proxy.dsn(database), **EVERYTHING) as base_url,
    ):
        assert evaluate(base_url, NAMED)
        proxy.behave(Mode.REFUSE)
        proxy.close_all()

        assert evaluate(base_url, EDITORS)
        assert 503 == post(base_url, "evaluation", NAMED).status

        proxy.behave(Mode.PASS)
        eventually(lambda: 200 == post(base_url, "evaluation", NAMED).status)


def test_a_stale_sidecar_permits_nothing_and_finds_nobody(
    database: str, connection: psycopg.Connection
) -> None:
    """Where callers aren't asked for: decisions are denials, and searches a 503."""
    build(connection)
    path = f"/{ACME}/access/v1"
    with sidecar(database, **EVERYTHING, caller_auth="off") as base_url:
        connection.execute("ALTER TABLE rbac.user_roles DISABLE TRIGGER USER")
        eventually(lambda: 503 == request(base_url, "/readyz").status)

        for subject in (EDITORS["subject"], {"type": "robot", "id": "x"}):
            question = EDITORS | {"subject": subject}
            body = told(post(base_url, f"{path}/evaluation", question, key=None))
            assert (False, "stale") == (body["decision"], body["context"]["code"])
        for what in ("subject", "action", "resource"):
            reply = post(base_url, f"{path}/search/{what}", EDITORS, key=None)
            assert 503 == reply.status
