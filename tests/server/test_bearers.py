"""Callers with tokens: who passes, who doesn't, and how little a refusal says."""

import json
import select
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg
import pytest
from aiohttp import web

from qeetid_authz.credentials.secretchecks import PENDING_A_NAME
from qeetid_authz_server.lifecycle import reading_keys
from qeetid_authz_server.loading import load_settings
from tests.integration.world import AGENT, OTHERS_AGENT, SERVICE, SESSION
from tests.issuer import Issuer, encode, user_claims
from tests.keyserver import Answer, KeyServer
from tests.server.bearers import ASKING, READING_AGENT, Office, now, office
from tests.server.sidecars import Reply, Wire, eventually, request, sidecar
from tests.server.test_batch import batch
from tests.server.test_check import (
    BAD_REQUEST,
    FORBIDDEN,
    KEY_INVALID,
    UNAUTHORIZED,
    error,
)
from tests.server.test_health import LAST_MEMBERS, says
from tests.server.test_permissions import path
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    BOB,
    CLOSED,
    KEY,
    NOBODY,
    OTHER,
    SUE,
    add_key,
    argon2id,
    target,
)

DENIED = ("rbac.permission_denied", "You don't have permission to do that.")
ALLOWED = b'{"allowed":true}\n'
CHALLENGE = 'Bearer realm="qeetid-authz"'
REFUSED = 'Bearer error="invalid_token"'

Presented = Callable[[Office], str]


def passes(reply: Reply) -> bool:
    """Whether a caller was let in, and else refused for lack of a permission."""
    if reply.status != 200:
        assert (reply.status, reply.body) == (403, error(*DENIED, None, "r"))
    return reply.status == 200


@pytest.mark.parametrize(
    ("presented", "in_strict", "in_mirror"),
    [
        (lambda o: o.user(), True, True),
        (lambda o: o.user(BOB), False, False),
        (lambda o: o.user(sid=SESSION), True, True),
        (lambda o: o.user(actor_type="user"), True, True),
        (lambda o: o.user(scope=ASKING), True, True),
        (lambda o: o.user(scope=KEY), False, True),
        (lambda o: o.user(act={"sub": READING_AGENT}), True, True),
        (lambda o: o.user(act={"sub": AGENT}), False, True),
        (lambda o: o.user(act={"sub": AGENT, "act": {"sub": ANN}}), False, True),
        (lambda o: o.user(BOB, act={"sub": ANN}), False, False),
        (lambda o: o.user(AGENT), False, False),
        (lambda o: o.user(READING_AGENT), True, True),
        (lambda o: o.service(SERVICE), True, True),
        (lambda o: o.service(SERVICE, scope="x"), True, True),
        (lambda o: o.agent(AGENT), True, True),
        (lambda o: f"ApiKey {ACME_KEY}", True, True),
    ],
)
def test_users_need_a_permission_to_ask(
    strict_office: Office,
    mirror_office: Office,
    presented: Presented,
    in_strict: bool,
    in_mirror: bool,
) -> None:
    """A user holds `role.read`, within scope and with the actor; machines needn't."""
    for here, expected in ((strict_office, in_strict), (mirror_office, in_mirror)):
        header = presented(here)
        body = batch([(ANN, KEY)])
        many = request(
            here.base_url,
            "/v1/check/batch",
            method="POST",
            body=body,
            Authorization=header,
            Content_Type="application/json",
            X_Request_Id="r",
        )

        assert passes(here.ask(header)) is expected
        assert passes(here.ask(header, at=target(explain="true"))) is expected
        assert passes(here.ask(header, at=path())) is expected
        assert passes(many) is expected


def test_the_scheme_has_no_case(strict_office: Office) -> None:
    """`Bearer` is taken in any case, with any room behind it."""
    token = strict_office.user().partition(" ")[2]

    for header in (f"bearer {token}", f"BEARER   {token}  "):
        assert strict_office.ask(header).body == ALLOWED


@pytest.mark.parametrize(
    ("presented", "at", "expected", "detail"),
    [
        (lambda o: o.user(BOB), target(user_id="x"), DENIED, None),
        (lambda o: o.user(), target(user_id="x"), BAD_REQUEST, "invalid user_id"),
        (lambda o: o.user(), target(tenant_id="x"), BAD_REQUEST, "invalid tenant_id"),
        (lambda o: o.user(), target(tenant_id=OTHER), FORBIDDEN, "tenant mismatch"),
        (lambda o: o.user(ANN, OTHER), target(), DENIED, None),
        (
            lambda o: o.agent(AGENT),
            target(tenant_id=OTHER),
            FORBIDDEN,
            "tenant mismatch",
        ),
        (lambda o: o.user(BOB), path("x", "x"), BAD_REQUEST, "invalid tenantID"),
        (lambda o: o.user(BOB), path("x", OTHER), FORBIDDEN, "tenant mismatch"),
        (lambda o: o.user(BOB), path("x"), DENIED, None),
        (lambda o: o.user(), path("x"), BAD_REQUEST, "invalid userID"),
    ],
)
def test_which_error_wins(
    strict_office: Office,
    presented: Presented,
    at: str,
    expected: tuple[str, str],
    detail: str | None,
) -> None:
    """The gate comes before the ids, and behind the tenant in a path (fact 1.6)."""
    reply = strict_office.ask(presented(strict_office), at=at)

    assert reply.body == error(*expected, detail, "r")
    assert reply.status == (400 if expected is BAD_REQUEST else 403)
    assert reply.header("WWW-Authenticate") is None


@pytest.mark.parametrize("at", [target(user_id="x"), path("x", "x"), "/v1/whoami"])
def test_a_token_of_no_tenant_asks_nothing(strict_office: Office, at: str) -> None:
    """Who belongs to no tenant yet is told to choose one."""
    reply = strict_office.ask(strict_office.user(ANN, NOBODY), at=at)

    assert reply.status == 403
    assert reply.body == error(*FORBIDDEN, "tenant scope required", "r")


@pytest.mark.parametrize(
    "presented",
    [
        lambda o: o.user(exp=now() - 1),
        lambda o: o.user(nbf=now() + 60),
        lambda o: o.user(iss="else"),
        lambda o: o.user(aud=["else"]),
        lambda o: o.user(exp=None),
        lambda o: o.user(exp=now() + 4000),
        lambda o: o.user(user_id="x"),
        lambda o: o.user(SUE),
        lambda o: o.user(NOBODY),
        lambda o: o.user(ANN, CLOSED),
        lambda o: o.bearer(user_claims(ANN, ACME, now()), key=Issuer().keys[0]),
        lambda o: o.bearer(user_claims(ANN, ACME, now()), header={"alg": "HS256"}),
        lambda o: o.user() + "x",
        lambda o: o.user()[:-4] + "AAAA",
        lambda o: "Bearer " + encode(b'{"alg":"none"}', b"{}", b""),
        lambda o: "Bearer x.y.z",
        lambda o: "Bearer \udcff",
        lambda o: f"Bearer {ACME_KEY}",
        lambda o: o.service(AGENT),
        lambda o: o.service(NOBODY),
    ],
)
def test_every_refused_token_looks_the_same(
    strict_office: Office, presented: Presented
) -> None:
    """No cause can be told from another, and nothing of the token comes back."""
    reply = strict_office.ask(presented(strict_office))

    assert reply.status == 401
    assert reply.body == error(*UNAUTHORIZED, None, "r")
    assert reply.header("WWW-Authenticate") == REFUSED


@pytest.mark.parametrize(
    "presented", [[], [""], ["Basic x"], ["Bearer"], ["Bearer "], ["bearer\tx"]]
)
def test_without_a_credential_no_error_is_named(
    strict_office: Office, presented: list[str]
) -> None:
    """A request without one hears what would be taken (RFC 6750, section 3)."""
    reply = strict_office.ask(*presented)

    assert (reply.status, reply.body) == (401, error(*UNAUTHORIZED, None, "r"))
    assert reply.header("WWW-Authenticate") == CHALLENGE


def test_a_refused_key_hears_what_would_be_taken(strict_office: Office) -> None:
    """A 401 of an API key names no token's error."""
    reply = strict_office.ask(f"ApiKey {ACME_KEY}x")

    assert (reply.status, reply.body) == (401, error(*KEY_INVALID, None, "r"))
    assert reply.header("WWW-Authenticate") == CHALLENGE


def test_without_an_issuer_no_token_is_taken(
    strict: str, strict_office: Office
) -> None:
    """A sidecar that knows no issuer asks for keys, and challenges nobody."""
    here = Office(strict, strict_office.issuer)
    for header, detail in (
        (here.user(), "this sidecar takes API keys only"),
        ("Basic x", None),
        ("", None),
    ):
        reply = here.ask(header)
        assert (reply.status, reply.body) == (401, error(*UNAUTHORIZED, detail, "r"))
        assert reply.header("WWW-Authenticate") is None


def test_one_credential_a_request(strict_office: Office) -> None:
    """Of two `Authorization` headers neither is looked at, whatever they hold."""
    key, token = f"ApiKey {ACME_KEY}", strict_office.user()
    for pair in ((key, key), (token, key), (key, token), ("Basic x", key)):
        reply = strict_office.ask(*pair)
        assert (reply.status, reply.body) == (
            400,
            error(*BAD_REQUEST, "more than one Authorization header", "r"),
        )


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
def test_an_agents_status_counts_at_once(
    settled: str, connection: psycopg.Connection, semantics: str
) -> None:
    """Between two requests an agent may be suspended, and act again (fact 1.2)."""
    with office(settled, semantics=semantics) as here:
        header = here.agent(AGENT)
        assert here.ask(header).body == ALLOWED

        for change, detail in (
            ("status = 'suspended'", "agent suspended"),
            ("status = 'decommissioned'", "agent decommissioned"),
            ("status = 'active', disabled_at = now()", "agent disabled"),
        ):
            connection.execute(
                f"UPDATE auth.agents SET {change} WHERE id = %s".encode(), (AGENT,)
            )
            eventually(partial(_is_refused, here, header, detail))

        connection.execute(
            "UPDATE auth.agents SET disabled_at = NULL WHERE id = %s", (AGENT,)
        )
        eventually(lambda: here.ask(header).body == ALLOWED)
        connection.execute("DELETE FROM auth.agents WHERE id = %s", (AGENT,))
        eventually(partial(_is_refused, here, header, "agent revoked"))


def _is_refused(here: Office, header: str, detail: str | None) -> bool:
    reply = here.ask(header)
    told = reply.header("WWW-Authenticate") == REFUSED
    return told and reply.body == error(*UNAUTHORIZED, detail, "r")


def test_agents_that_are_nobodys(strict_office: Office) -> None:
    """An unknown agent, and one of another tenant, is told that it was revoked."""
    for agent in (ANN, SERVICE, OTHERS_AGENT):
        assert _is_refused(strict_office, strict_office.agent(agent), "agent revoked")


def test_a_suspended_agent_is_seen_through(
    settled: str, connection: psycopg.Connection
) -> None:
    """Under strict a user-looking token of an agent ends with the agent (fact 6)."""
    with office(settled) as here:
        header = here.user(READING_AGENT)
        assert here.ask(header).body == ALLOWED
        connection.execute(
            "UPDATE auth.agents SET status = 'suspended' WHERE id = %s",
            (READING_AGENT,),
        )
        eventually(partial(_is_refused, here, header, "agent suspended"))


def test_a_revoked_session_ends_its_token(
    settled: str, connection: psycopg.Connection
) -> None:
    """A token that was recognised is refused once the feed brings the revocation."""
    with office(settled) as here:
        header = here.user(sid=SESSION)
        assert here.ask(header).body == ALLOWED
        connection.execute(
            "UPDATE auth.sessions SET revoked_at = now() WHERE id = %s", (SESSION,)
        )
        eventually(partial(_is_refused, here, header, None))


def test_a_user_who_loses_the_permission(
    settled: str, connection: psycopg.Connection
) -> None:
    """The gate is as current as every other answer."""
    with office(settled) as here:
        header = here.user()
        assert passes(here.ask(header))
        connection.execute("DELETE FROM rbac.user_roles WHERE user_id = %s", (ANN,))
        eventually(lambda: not passes(here.ask(header)))


def test_a_stale_replica_lets_no_user_ask(
    settled: str, connection: psycopg.Connection
) -> None:
    """What can't be told any more is no missing permission: try again later."""
    with office(settled) as here:
        header = here.user()
        assert passes(here.ask(header))
        connection.execute("ALTER TABLE rbac.roles DISABLE TRIGGER USER")
        eventually(partial(says, here.base_url, 503, cause="stale"))

        for at in (target(), path(), "/v1/whoami"):
            _assert_unavailable(
                here.ask(header, at=at), "the replica is older than its staleness bound"
            )


def _assert_unavailable(reply: Reply, detail: str) -> None:
    problem = json.loads(reply.body)["error"]
    assert (reply.status, problem["code"]) == (503, "unavailable")
    assert problem["detail"] == detail
    assert reply.header("Retry-After") == "1"


def test_claims_and_clocks_are_settings(settled_database: str) -> None:
    """Issuer, audience, leeway and the longest life are as the operator says."""
    with office(
        settled_database, issuer="i", audience="a", leeway=100, max_token_life=7000
    ) as here:
        mine: dict[str, Any] = {"iss": "i", "aud": ["b", "a"]}
        assert passes(here.ask(here.user(**mine)))
        assert passes(here.ask(here.user(**mine, exp=now() - 50)))
        assert passes(here.ask(here.user(**mine, exp=now() + 6000)))
        for over in (
            {"iss": "qeet-id"},
            {"aud": ["qeet-id"]},
            {"exp": now() - 200},
            {"exp": now() + 8000},
        ):
            assert _is_refused(here, here.user(**{**mine, **over}), None)


def test_keys_that_come_late(settled_database: str) -> None:
    """With its key endpoint down a sidecar starts, says why it isn't ready, and is."""
    issuer = Issuer()
    with KeyServer() as endpoint:
        endpoint.answer = Answer(status=503)
        with sidecar(settled_database, jwks=endpoint.url) as base_url:
            here = Office(base_url, issuer)
            assert says(base_url, 503, status="unready", cause="keys")
            report = json.loads(request(base_url, "/readyz").body)
            assert list(report) == [
                "status",
                "cause",
                "keys_error",
                "revision",
                "age_s",
                "keys_age_s",
                *LAST_MEMBERS,
            ]
            assert report["keys_error"] == "keys_unavailable"
            assert report["keys_age_s"] is None
            assert here.ask(f"ApiKey {ACME_KEY}").body == ALLOWED
            _assert_unavailable(here.ask(here.user()), "the issuer's keys aren't known")

            endpoint.serve(issuer.as_jwks())
            eventually(partial(says, base_url, 200, status="ready"))
            report = json.loads(request(base_url, "/readyz").body)
            assert list(report) == [
                "status",
                "revision",
                "age_s",
                "keys_age_s",
                *LAST_MEMBERS,
            ]
            assert report["keys_age_s"] >= 0
            assert here.ask(here.user()).body == ALLOWED


@pytest.mark.parametrize(
    ("jwks", "hosts"),
    [
        ("http://u:s3cret@keys.invalid/jwks.json?c=s3cret", ["keys.invalid"]),
        ("http://127.0.0.1:9/jwks.json", []),
        ("http://[::1]:9/jwks.json", []),
        ("http://localhost:9/jwks.json", []),
        ("https://keys.invalid/jwks.json", []),
        (Issuer().keys[0].pem.decode(), []),
        (None, []),
    ],
)
async def test_keys_over_plain_http(
    jwks: str | None, hosts: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Keys that come over a network unprotected are warned of at the start."""
    settings = load_settings(database_url="host=db.test", jwks=jwks)
    async for _ in reading_keys(settings)(web.Application()):
        pass

    warned = [r for r in caplog.records if r.getMessage() == "keys_unprotected"]
    assert [record.__dict__["host"] for record in warned] == hosts
    assert {record.levelname for record in warned} <= {"WARNING"}
    assert "s3cret" not in str([vars(record) for record in warned])


def test_keys_from_a_file(settled_database: str, tmp_path: Any) -> None:
    """An issuer without an endpoint is known by a file."""
    issuer = Issuer()
    keys = tmp_path / "keys.json"
    keys.write_bytes(issuer.as_jwks())
    with sidecar(settled_database, jwks=str(keys)) as base_url:
        here = Office(base_url, issuer)
        assert here.ask(here.user()).body == ALLOWED


@pytest.mark.parametrize("size", [70_000, 1 << 20])
@pytest.mark.parametrize("scheme", ["Bearer", "ApiKey"])
def test_an_oversized_header(strict_office: Office, scheme: str, size: int) -> None:
    """A credential beyond every bound is a 400, and the sidecar goes on."""
    with Wire(strict_office.base_url) as wire:
        head = f"GET {target()} HTTP/1.1\r\nHost: x\r\nAuthorization: {scheme} "
        try:
            wire.send(head.encode() + b"x" * size + b"\r\n\r\n")
        except ConnectionError:
            pass  # it was refused before it was sent
        else:
            assert wire.receive().status == 400

    assert strict_office.ask(strict_office.user()).body == ALLOWED


def test_a_token_of_very_many_scopes(strict_office: Office) -> None:
    """As many scopes as fit into a header narrow like few; others are served on."""
    fitting = " ".join([ASKING, *(f"s{n}" for n in range(7000))])
    assert strict_office.ask(strict_office.user(scope=fitting)).body == ALLOWED

    too_many = " ".join(f"scope-{n}:x" for n in range(10_000))
    reply = strict_office.ask(strict_office.user(scope=too_many))
    assert reply.status == 400
    assert strict_office.ask(strict_office.user()).body == ALLOWED


def test_a_flood_of_wrong_keys(settled: str, connection: psycopg.Connection) -> None:
    """Those beyond the bound are sent away; who is known is answered meanwhile."""
    slow = argon2id("right", memory=1 << 16, passes=20)
    add_key(connection, ACME, "qk_slow.right", key_hash=slow)
    with office(settled) as here, ExitStack() as connections:
        key, token = f"ApiKey {ACME_KEY}", here.user()
        assert here.ask(key).body == here.ask(token).body == ALLOWED
        flood = [
            connections.enter_context(Wire(here.base_url))
            for _ in range(PENDING_A_NAME + 4)
        ]
        for n, wire in enumerate(flood):
            head = f"GET {target()} HTTP/1.1\r\nHost: x\r\n"
            wire.send(f"{head}Authorization: ApiKey qk_slow.{n}\r\n\r\n".encode())
        eventually(lambda: len(_answered(flood)) == 4)
        sent_away = _answered(flood)

        assert here.ask(key).body == ALLOWED
        assert here.ask(token).body == ALLOWED
        assert _answered(flood) == sent_away
        for wire in sent_away:
            _assert_unavailable(
                wire.receive(), "too many credentials wait to be looked at"
            )


def _answered(wires: list[Wire]) -> list[Wire]:
    sockets: dict[socket.socket, Wire] = {wire.socket: wire for wire in wires}
    readable, _, _ = select.select(list(sockets), [], [], 0)
    return [sockets[each] for each in readable]
