"""The endpoints by themselves: what they answer, to whom, and what else they tell."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.errors import NotOpenError
from qeetid_authz_server.loading import SettingsError
from qeetid_authz_server.proxies.endpoints import PATHS
from qeetid_authz_server.proxies.telling import Manner
from tests.integration.world import ANNS_KEY
from tests.proxies.conftest import SECRET, asked_by, routes_for
from tests.server.bearers import Office, office
from tests.server.sidecars import Reply, Wire, eventually, request, sidecar
from tests.server.town import ACME, ACME_KEY, ANN, KEY, NOBODY, ODD_KEY

INVOICE = "/api/invoices/7"
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]
ODD_METHODS = ["PROPFIND", "PURGE", "M-SEARCH", "LINK"]


@pytest.fixture(scope="session")
def behind_nginx(
    proxied_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """A sidecar that nginx may ask."""
    directory = tmp_path_factory.mktemp("nginx")
    with asked_by("nginx", proxied_database, directory) as asked:
        yield asked


@pytest.fixture(scope="session")
def behind_envoy(
    proxied_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """A sidecar that Envoy may ask."""
    directory = tmp_path_factory.mktemp("envoy")
    with asked_by("envoy", proxied_database, directory) as asked:
        yield asked


def ask(
    base_url: str,
    target: str = INVOICE,
    *,
    method: str = "GET",
    asked_by: str = "GET",
    without: str = "",
    secret: str | None = SECRET,
    **headers: str,
) -> Reply:
    """Ask as nginx does."""
    given: dict[str, Any] = {
        "X_Original_Method": method,
        "X_Original_URI": target,
        "X_Original_Host": "shop.example",
        "X_Original_IP": "127.0.0.1",
        "Connection": "close",
        **headers,
    }
    if secret is not None:
        given["X_Qeetid_Proxy_Secret"] = secret
    given.pop(without, None)
    return request(base_url, "/authz/nginx", method=asked_by, **given)


def test_an_answer_says_who_asks(behind_nginx: Office) -> None:
    """Everything, in headers that are always there; nothing that a cache may keep."""
    known = ask(behind_nginx.base_url, Authorization=behind_nginx.user())
    anybody = ask(behind_nginx.base_url, "/status")
    names = ("X-Auth-Subject", "X-Auth-Kind", "X-Auth-Tenant", "X-Auth-Permission")

    assert [ANN, "user", ACME, KEY] == [known.header(name) for name in names]
    assert ["", "", "", ""] == [anybody.header(name) for name in names]
    for reply in (known, anybody):
        assert (200, b"", "no-store") == (
            reply.status,
            reply.body,
            reply.header("Cache-Control"),
        )
        assert reply.header("X-Envoy-Auth-Headers-To-Remove") is None


def test_refusals_are_for_no_cache_and_say_nothing(behind_nginx: Office) -> None:
    """A 401 challenges; neither it nor a 403 says why."""
    unknown = ask(behind_nginx.base_url)
    refused = ask(behind_nginx.base_url, "/nowhere", Authorization=behind_nginx.user())

    assert 401 == unknown.status
    assert 'Bearer realm="qeetid-authz"' == unknown.header("WWW-Authenticate")
    assert 403 == refused.status
    for reply in (unknown, refused):
        assert "no-store" == reply.header("Cache-Control")
        assert "detail" not in json.loads(reply.body)["error"]


@pytest.mark.parametrize("method", [*METHODS, *ODD_METHODS])
def test_whichever_method_it_is_asked_by(behind_nginx: Office, method: str) -> None:
    """Only what the header says counts."""
    base_url, known = behind_nginx.base_url, behind_nginx.user()
    allowed = ask(base_url, asked_by=method, Authorization=known)
    refused = ask(base_url, asked_by=method, method="DELETE", Authorization=known)

    assert [200, 403] == [allowed.status, refused.status]


@pytest.mark.parametrize("method", [*METHODS, *ODD_METHODS])
@pytest.mark.parametrize(
    "target",
    [
        "/authz/envoy/status",
        "/authz/envoy/api/me",
        "/authz/envoy",
        "/authz/envoy*",
        "/authz/envoystatus",
        "/authz/envoy?/status",
        "/authz/envoy//status",
        "/authz/envoy/../../livez",
        "/authz/envoy/../status",
        "/authz/envoy/%0A",
        "/authz/envoy/a%2fb",
        "/authz/envoy/%",
        "/authz/envoy/[",
        "/authz/envoy/:x",
        "/authz/envoy/status#x",
        "/%61uthz/envoy/status",
        "http://sidecar/authz/envoy/status",
    ],
)
def test_one_of_three_answers(behind_envoy: Office, method: str, target: str) -> None:
    """Whatever can be read as HTTP; nobody waits for a body, or for what is expected."""
    announced = {} if method == "HEAD" else {"Content_Length": "7"}
    announcements: list[dict[str, Any]] = [{}, {"Expect": "miracles", **announced}]
    for lines in announcements:
        reply = request(
            behind_envoy.base_url,
            target,
            method=method,
            X_Qeetid_Proxy_Secret=SECRET,
            Connection="close",
            **lines,
        )
        is_let_in = (method, target) in {
            ("GET", "/authz/envoy/status"),
            ("HEAD", "/authz/envoy/status"),
            ("OPTIONS", "/authz/envoy/api/me"),
        }
        is_unknown = (method, target) in {
            ("GET", "/authz/envoy/api/me"),
            ("HEAD", "/authz/envoy/api/me"),
        }
        expected = 200 if is_let_in else 401 if is_unknown else 403
        assert (expected, "no-store") == (reply.status, reply.header("Cache-Control"))


def test_envoy_is_told_what_to_remove(behind_envoy: Office) -> None:
    """What would be taken for one of our headers by who reads `_` as `-`."""
    reply = request(
        behind_envoy.base_url, "/authz/envoy/status", X_Qeetid_Proxy_Secret=SECRET
    )
    removed = (reply.header("X-Envoy-Auth-Headers-To-Remove") or "").split(", ")

    assert {"x_auth_subject", "x-auth_kind", "x_auth-tenant"} < set(removed)
    assert not {each for each in removed if "_" not in each}


@pytest.mark.parametrize(
    "secret", [None, "", SECRET[:-1], SECRET + "x", SECRET.upper(), "é" * 20]
)
def test_a_stranger_is_refused(behind_nginx: Office, secret: str | None) -> None:
    """Without the proxy's secret nobody learns what anybody may."""
    known = behind_nginx.user()

    assert 403 == ask(behind_nginx.base_url, secret=secret, Authorization=known).status
    assert 403 == ask(behind_nginx.base_url, "/status", secret=secret).status


@pytest.mark.parametrize(
    ("protocol", "status"), [("websocket", 200), ("WebSocket", 200), ("h2c", 403)]
)
def test_a_tunnel_is_refused(behind_nginx: Office, protocol: str, status: int) -> None:
    """Where the proxy passes on that one is wanted; a WebSocket is none."""
    assert status == ask(behind_nginx.base_url, "/status", Upgrade=protocol).status


def test_a_secret_that_comes_twice_is_none(behind_nginx: Office) -> None:
    """One of them may be the client's."""
    line = f"X-Qeetid-Proxy-Secret: {SECRET}"
    with Wire(behind_nginx.base_url) as wire:
        head = ["GET /authz/nginx HTTP/1.1", "Host: a", line, line]
        head += ["X-Original-Method: GET", "X-Original-URI: /status"]
        head += ["X-Original-Host: a", "", ""]
        wire.send("\r\n".join(head).encode())
        assert 403 == wire.receive().status


@pytest.mark.parametrize(
    "without",
    ["X_Original_Method", "X_Original_URI", "X_Original_Host", "X_Original_IP"],
)
def test_what_is_not_told_is_not_guessed(behind_nginx: Office, without: str) -> None:
    """A proxy that leaves something out gets nothing through."""
    known = behind_nginx.user()
    forwarded = {
        "X_Forwarded_Method": "GET",
        "X_Forwarded_Uri": INVOICE,
        "X_Forwarded_Host": "shop.example",
        "X_Forwarded_For": "127.0.0.1",
    }
    reply = ask(
        behind_nginx.base_url, without=without, Authorization=known, **forwarded
    )

    assert 403 == reply.status


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1, 127.0.0.1", "here"])
def test_another_address_is_refused(behind_nginx: Office, address: str) -> None:
    """One that Acme's rules don't let in, two, or none."""
    known = behind_nginx.user()
    for target in (INVOICE, "/api/me"):
        told = ask(
            behind_nginx.base_url, target, Authorization=known, X_Original_IP=address
        )
        assert 403 == told.status


def test_a_token_without_a_tenant_holds_nothing(behind_nginx: Office) -> None:
    """It says who somebody is; nothing says where."""
    tenantless = behind_nginx.user(tenant=NOBODY)

    assert 403 == ask(behind_nginx.base_url, Authorization=tenantless).status


def test_only_the_proxies_in_front_can_ask(behind_nginx: Office) -> None:
    """The endpoints of others aren't there, whatever is told in their manner."""
    for manner, path in PATHS.items():
        at = path.partition("{")[0]
        reply = request(behind_nginx.base_url, at, X_Qeetid_Proxy_Secret=SECRET)
        expected = 403 if manner is Manner.ORIGINAL else 404
        assert expected == reply.status


def test_nobody_can_ask_where_nothing_is_configured(strict_without: str) -> None:
    """Without a file of routes there is no endpoint."""
    for path in PATHS.values():
        assert 404 == request(strict_without, path.partition("{")[0]).status


@pytest.fixture(scope="session")
def strict_without(proxied_database: str) -> Iterator[str]:
    """The base URL of a sidecar without routes."""
    with sidecar(proxied_database) as base_url:
        yield base_url


def test_without_tokens_a_key_is_asked_for(
    proxied_database: str, tmp_path: Path
) -> None:
    """And no secret is, on this machine; nor an address, where the file says so."""
    path = tmp_path / "routes.yaml"
    permission = json.dumps(ODD_KEY)
    path.write_text(
        "proxies: [nginx]\nclient_ip: ignored\nroutes:\n"
        "  - path: /a\n    for: authenticated\n"
        f"  - path: /b\n    permission: {permission}\n"
    )
    key = {"Authorization": f"ApiKey {ANNS_KEY}"}
    with sidecar(proxied_database, routes=path, caller_auth="off") as base_url:
        unknown = ask(base_url, "/a", secret=None)
        known = ask(base_url, "/a", secret=None, without="X_Original_IP", **key)
        held = ask(base_url, "/b", secret=None, Authorization=f"ApiKey {ANNS_KEY}")

    assert (401, 'ApiKey realm="qeetid-authz"') == (
        unknown.status,
        unknown.header("WWW-Authenticate"),
    )
    assert 200 == known.status
    assert (200, "a&b%20<c>%E2%80%A8;+%25%E2%80%A9%C3%A9") == (
        held.status,
        held.header("X-Auth-Permission"),
    )


def test_facts_that_are_too_old_let_nobody_through(
    settled: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Not a 403, so that operators can tell; what is for anybody needs no facts."""
    with asked_by("nginx", settled, tmp_path) as asked:
        known = asked.user()
        assert 200 == ask(asked.base_url, Authorization=known).status
        connection.execute("ALTER TABLE rbac.user_roles DISABLE TRIGGER USER")
        eventually(lambda: ask(asked.base_url, Authorization=known).status == 503)
        assert 200 == ask(asked.base_url, "/status").status


@pytest.mark.parametrize("error", [NotOpenError("closed"), RuntimeError("s3cret")])
def test_failures_let_nobody_through(
    error: Exception, behind_nginx: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is a 503 as well, and nothing of it is told."""

    def fail(*_args: Any) -> None:
        raise error

    monkeypatch.setattr(AsyncAuthorizer, "check", fail)
    reply = ask(behind_nginx.base_url, Authorization=behind_nginx.user())

    assert (503, "no-store") == (reply.status, reply.header("Cache-Control"))
    assert b"s3cret" not in reply.body


def test_refusals_are_logged_with_their_cause(
    behind_nginx: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """What was asked, and why it was refused, but for queries and credentials."""
    known = behind_nginx.user()
    with caplog.at_level(logging.INFO, "qeetid_authz_server"):
        ask(behind_nginx.base_url, "/no?s3cret", Authorization=known, X_Request_Id="r1")
        ask(
            behind_nginx.base_url,
            method="PUT",
            Authorization=f"ApiKey {ACME_KEY}",
            X_Request_Id="r2",
        )
    told = [
        {name: getattr(record, name) for name in ("outcome", "cause", "method", "path")}
        for wanted in ("r1", "r2")
        for record in caplog.records
        if record.getMessage() == "proxied_refused"
        and record.__dict__["request_id"] == wanted
    ]

    assert told == [
        {
            "outcome": "no_route",
            "cause": "no route is for it",
            "method": "GET",
            "path": "/no",
        },
        {"outcome": "denied", "cause": "no_grant", "method": "PUT", "path": INVOICE},
    ]
    assert "s3cret" not in caplog.text
    assert ACME_KEY not in caplog.text


def test_what_becomes_of_them_is_counted(behind_envoy: Office) -> None:
    """By outcome, and decisions by their reason."""
    before = counted(behind_envoy.base_url)
    for target, known in (
        (INVOICE, True),
        (INVOICE, False),
        ("/nowhere", True),
        ("/a//b", True),
    ):
        given: dict[str, Any] = {}
        if known:
            given["Authorization"] = behind_envoy.user()
        request(
            behind_envoy.base_url,
            f"/authz/envoy{target}",
            X_Qeetid_Proxy_Secret=SECRET,
            X_Envoy_Client_IP="127.0.0.1",
            **given,
        )
    request(behind_envoy.base_url, "/authz/envoy/status")
    after = counted(behind_envoy.base_url)
    difference = {
        name: number - before.get(name, 0)
        for name, number in after.items()
        if number != before.get(name, 0)
    }

    outcome = 'qeetid_authz_proxied_requests_total{outcome="'
    assert difference == {
        f'{outcome}allowed"}}': 1,
        f'{outcome}unauthenticated"}}': 1,
        f'{outcome}no_route"}}': 1,
        f'{outcome}ambiguous_path"}}': 1,
        f'{outcome}stranger"}}': 1,
        'qeetid_authz_decisions_total{api="proxy",reason="granted",result="allow"}': 1,
    }
    assert 6 == after["qeetid_authz_routes"]
    assert 0 == after["qeetid_authz_routes_refused"]


def counted(base_url: str) -> dict[str, float]:
    """What is counted of decisions, and of requests that proxies ask about."""
    text = request(base_url, "/metrics").body.decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    prefixes = ("qeetid_authz_proxied", "qeetid_authz_decisions", "qeetid_authz_routes")
    return {name: float(n) for name, n in pairs if name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "can't be read (No such file or directory)"),
        ("proxies: [nginx]\n", ":1 `routes` is missing"),
        (
            "proxies: [nginx]\nroutes:\n  - path: /a\n    permission: no:such\n",
            ":3 `no:such` is no permission of this database",
        ),
        ("#" * (1 << 20) + "#", "has more than 1048576 bytes"),
    ],
)
def test_routes_of_no_use_keep_it_from_starting(
    proxied_database: str, tmp_path: Path, text: str | None, problem: str
) -> None:
    """Each problem names the setting, the file and the line."""
    path = tmp_path / "routes.yaml"
    if text is not None:
        path.write_text(text)
    with (
        pytest.raises(SettingsError) as refused,
        sidecar(proxied_database, routes=path),
    ):
        pass
    (told,) = refused.value.problems

    assert told.startswith("QEETID_AUTHZ_ROUTES ")
    assert str(path) in told
    assert problem in told


def test_other_machines_need_the_secret(proxied_database: str, tmp_path: Path) -> None:
    """A sidecar that they reach starts with it only, and asks for it."""
    given = {"routes": routes_for("nginx", tmp_path), "plaintext": True}
    with office(
        proxied_database, listen="0.0.0.0:0", proxy_secret=SECRET, **given
    ) as asked:
        local = asked.base_url.replace("0.0.0.0", "127.0.0.1")
        assert 403 == ask(local, "/status", secret=None).status
        assert 200 == ask(local, "/status").status
