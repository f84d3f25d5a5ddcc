"""What the sidecar doesn't serve itself: refused clearly, or passed on as it came."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from qeetid_authz_server.outgoing.responses import SECURITY_HEADERS
from tests.server.sidecars import Reply, Wire, exchange, request, sidecar
from tests.server.test_edges import CSRF, NOT_FOUND
from tests.server.town import ACME_KEY, target
from tests.server.upstreams import OK, Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def _passing(town_database: str, upstream: Upstream) -> Iterator[str]:
    # By a name, since no client keeps cookies of an address.
    named = upstream.base_url.replace("127.0.0.1", "localhost")
    with sidecar(town_database, upstream=f"{named}/base/") as base_url:
        yield base_url


@pytest.fixture
def passing(_passing: str, upstream: Upstream) -> str:
    """The base URL of a sidecar that passes on to an upstream with a base path."""
    upstream.answer = OK
    upstream.requests.clear()
    return _passing


def send(base_url: str, *lines: str, body: bytes = b"") -> Reply:
    """Send a request of these lines, and a Host."""
    head = "\r\n".join([lines[0], "Host: sidecar", *lines[1:], "", ""])
    return exchange(base_url, head.encode("utf-8", "surrogateescape") + body)


def said(reply: Reply) -> dict[str, Any]:
    """The refusal in a body."""
    error: dict[str, Any] = json.loads(reply.body)["error"]
    return error


# Without an upstream


@pytest.mark.parametrize(
    "path",
    [
        "/v1/users",
        "/v1/permissions",
        "/v1/tenants/x/roles?y=z",
        "/oauth/authorize",
        "/scim/v2/Users",
        "/v1/checks",
        "/v1/users/u/tenants/t/permissions/",
    ],
)
def test_paths_of_the_hosted_api_are_refused_clearly(strict: str, path: str) -> None:
    """They are a 404 of our form that names the setting and the way around it."""
    reply = request(strict, path, key=ACME_KEY, X_Request_Id="mine")

    assert (404, "hosted_only") == (reply.status, said(reply)["code"])
    assert "mine" == said(reply)["request_id"] == reply.header("X-Request-Id")
    assert "QEETID_AUTHZ_UPSTREAM" in said(reply)["detail"]
    assert reply.header("Retry-After") is None
    assert "retryable" not in said(reply)


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v2/users", "/oauth", "/scim", "/v1x"]
)
def test_other_paths_stay_plain(strict: str, path: str) -> None:
    """A path that looks like nobody's is the hosted server's own plain 404."""
    reply = request(strict, path)

    assert (404, NOT_FOUND) == (reply.status, reply.body)


def test_what_may_be_forged_is_refused_before(strict: str) -> None:
    """As on the hosted server, an unsafe method wants a token or an origin first."""
    forged = request(strict, "/v1/users", method="POST", key=ACME_KEY)
    honest = request(strict, "/v1/users", method="POST", Authorization="Bearer x")

    assert (403, CSRF) == (forged.status, forged.body)
    assert (404, "hosted_only") == (honest.status, said(honest)["code"])


# With one: what goes there


@pytest.mark.parametrize(
    "target",
    [
        "/v1/users?limit=3",
        "/v1/users?",
        "/v1/users?a=%2f&b=+&c=%zz&d='\"<>{}|^`",
        "//v1//users//",
        "/v1/roles/%2F%2f/x%20y%C3%A9",
        "/v1/users/a;b=c,d:e@f!$&'()*+",
        "/v1/check/",
        "/v1/a.b/..c/...",
        "/",
        "/.well-known/oauth-authorization-server",
        "/v1/%E0%80",
    ],
)
def test_targets_go_verbatim(passing: str, upstream: Upstream, target: str) -> None:
    """Path and query arrive byte for byte, behind the upstream's base path."""
    reply = request(passing, target)

    assert 200 == reply.status, reply
    assert f"GET /base{target} HTTP/1.1" == upstream.head[0]


@pytest.mark.parametrize(
    "target",
    [
        "/v1/../../admin",
        "/..",
        "/.",
        "/v1/%2e%2E/%2e%2e/admin",
        "/v1/.%2e/x",
        "/v1/..%2f..%2fadmin",
        "/v1/..%5c..%5cadmin",
        "/v1/..\\..\\admin",
        "/v1/..;x=y/admin",
        "/v1/%252e%252e/admin",
        "/v1/%25252e%25252e/admin",
        "/v1/%c3%a9/%2e%2e",
    ],
)
def test_no_target_leads_out_of_the_base(
    passing: str, upstream: Upstream, target: str
) -> None:
    """Whatever somebody upstream may read as dot segments is refused."""
    reply = request(passing, target)

    assert (400, "bad_request") == (reply.status, said(reply)["code"])
    assert "dot segments" in said(reply)["detail"]
    assert [] == upstream.requests


@pytest.mark.parametrize(
    "line",
    [
        "GET http://evil.test/v1/users HTTP/1.1",
        "GET https://evil.test/ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET /v1/us\udcffers HTTP/1.1",
        "GET /v1/é HTTP/1.1",
        "GET /v1/users#x HTTP/1.1",
        "CONNECT evil.test:443 HTTP/1.1",
        "TRACE /v1/users HTTP/1.1",
    ],
)
def test_only_paths_are_passed_on(passing: str, upstream: Upstream, line: str) -> None:
    """Nobody is led to another host, and nothing is sent that isn't ASCII."""
    assert send(passing, line).status in (400, 404)
    assert [] == upstream.requests


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_go_verbatim(passing: str, upstream: Upstream, method: str) -> None:
    """Every method goes on; what may be forged is the hosted API's to say."""
    assert 200 == request(passing, "/v1/users", method=method).status
    assert upstream.head[0].startswith(f"{method} /base/v1/users ")


def test_head_is_answered_without_a_body(passing: str, upstream: Upstream) -> None:
    """With the length that a body would have."""
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n"
    reply = send(passing, "HEAD /v1/users HTTP/1.1", "Connection: close")

    assert (200, b"") == (reply.status, reply.body)
    assert "17" == reply.header("Content-Length")


def test_fields_go_with_it(passing: str, upstream: Upstream) -> None:
    """Credentials, cookies, forwarded addresses and odd fields go as they came."""
    given = [
        "Authorization: ApiKey qk_x.y",
        "Cookie: a=b; c=d",
        "X-Forwarded-For: 203.0.113.9",
        "User-Agent: qeet-id-node/0.1.0",
        "Accept: application/json",
        "X-Twice: 1",
        "X-Twice: 2",
        "X-Empty: ",
        "X-Text: grüße",
    ]
    send(passing, "GET /v1/users HTTP/1.1", *given)

    sent = upstream.last.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    # Order included; nothing is added but these.
    assert given == [line for line in sent[1:] if line in given]
    added = {line.partition(":")[0] for line in sent[1:] if line not in given}
    assert {"Host", "Via", "X-Request-Id"} == added
    port = upstream.base_url.rpartition(":")[2]
    assert [f"localhost:{port}"] == upstream.fields("Host")


def test_fields_of_the_connection_stay(passing: str, upstream: Upstream) -> None:
    """Those that RFC 9110, section 7.6.1, names, and those that `Connection` does."""
    send(
        passing,
        "GET /v1/users HTTP/1.1",
        "Connection: close, X-Private",
        "Connection: x-other",
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: X",
        "Upgrade: h2c",
        "X-Private: 1",
        "X-Other: 2",
        "X-Kept: 3",
    )

    names = {line.partition(":")[0] for line in upstream.head[1:]}
    assert {"Host", "Via", "X-Request-Id", "X-Kept"} == names


def test_the_request_has_one_name(passing: str, upstream: Upstream) -> None:
    """The caller's id where it is decent, else ours: upstream, and in the answer."""
    upstream.answer = OK.replace(b"\r\n\r\n", b"\r\nX-Request-Id: theirs\r\n\r\n")
    named = request(passing, "/v1/users", X_Request_Id="mine")
    assert ["mine"] == upstream.fields("X-Request-Id")
    assert "mine" == named.header("X-Request-Id")

    unnamed = request(passing, "/v1/users", X_Request_Id="not decent")
    assert [unnamed.header("X-Request-Id")] == upstream.fields("X-Request-Id")


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_no_protocol_is_switched(
    passing: str, upstream: Upstream, upgrade: str
) -> None:
    """A WebSocket is refused in so many words."""
    reply = send(
        passing, "GET /v1/x HTTP/1.1", "Connection: Upgrade", f"Upgrade: {upgrade}"
    )

    assert 400 == reply.status
    assert "upgrades to other protocols aren't passed on" in said(reply)["detail"]
    assert [] == upstream.requests


# With one: what stays


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/check", 403),
        ("HEAD", "/v1/check", 405),
        ("GET", "/oauth/introspect", 405),
        ("GET", "/v1/%63heck", 400),
        ("GET", "/metrics/x", 404),
        ("GET", "/livez/", 404),
        ("GET", "/readyz/x", 404),
        ("GET", "/authz/unknown", 404),
        ("GET", "/%61uthz/unknown", 404),
        ("GET", "/access/v2/x", 404),
        ("GET", "/openapi.json/", 404),
        ("GET", "/.well-known/jwks.json", 404),
    ],
)
def test_what_is_ours_stays(
    passing: str, upstream: Upstream, method: str, path: str, status: int
) -> None:
    """What the sidecar serves, with any method, and what only a sidecar may have."""
    reply = request(passing, path, method=method, key=ACME_KEY)

    assert status == reply.status
    assert [] == upstream.requests


def test_checks_are_answered_here(passing: str, upstream: Upstream) -> None:
    """The upstream isn't asked what is known here."""
    reply = request(passing, target(), key=ACME_KEY)

    assert (200, b'{"allowed":true}\n') == (reply.status, reply.body)
    assert [] == upstream.requests


# With one: what comes back


def test_answers_come_back_as_they_are(passing: str, upstream: Upstream) -> None:
    """Status, reason, fields and body: cookies twice, encoded, and none of ours."""
    upstream.answer = (
        b"HTTP/1.1 418 Short and stout\r\nServer: theirs\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2; Path=/\r\nX-Frame-Options: SAMEORIGIN\r\n"
        b"Content-Encoding: gzip\r\nConnection: X-Hidden\r\nX-Hidden: 1\r\n"
        b"Keep-Alive: timeout=9\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"Content-Length: 4\r\n\r\n\x1f\x8b\x00\xff"
    )
    reply = request(passing, "/v1/users", X_Request_Id="r")

    assert (418, b"\x1f\x8b\x00\xff") == (reply.status, reply.body)
    assert [
        ("Server", "theirs"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2; Path=/"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Content-Encoding", "gzip"),
        ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Content-Length", "4"),
        ("X-Request-Id", "r"),
    ] == [each for each in reply.headers if each[0] != "Content-Type"]
    assert (
        not SECURITY_HEADERS.keys() - {"X-Frame-Options"} & dict(reply.headers).keys()
    )


def test_redirects_and_cookies_are_the_callers(
    passing: str, upstream: Upstream
) -> None:
    """Neither is a redirect followed, nor a cookie sent that another caller got."""
    upstream.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: /v1/elsewhere\r\nSet-Cookie: s=1\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    reply = request(passing, "/v1/users")
    again = request(passing, "/v1/users")

    assert (302, "/v1/elsewhere") == (reply.status, reply.header("Location"))
    assert "s=1" == again.header("Set-Cookie")
    assert 2 == len(upstream.requests)
    assert [] == upstream.fields("Cookie")


@pytest.mark.parametrize("status", [204, 304, 429, 500])
def test_any_status_comes_back(passing: str, upstream: Upstream, status: int) -> None:
    """An error of the hosted API is its own, with its empty body."""
    upstream.answer = f"HTTP/1.1 {status} X\r\nRetry-After: 7\r\n".encode() + (
        b"Content-Length: 0\r\n\r\n" if status >= 400 else b"\r\n"
    )
    reply = send(passing, "GET /v1/users HTTP/1.1", "Connection: close")

    assert (status, b"") == (reply.status, reply.body)
    assert "7" == reply.header("Retry-After")


def test_an_answer_of_unknown_length(passing: str, upstream: Upstream) -> None:
    """Chunks come as chunks, to who speaks HTTP/1.1."""
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )
    reply = send(passing, "GET /v1/users HTTP/1.1", "Connection: close")

    assert "chunked" == reply.header("Transfer-Encoding")
    assert reply.header("Content-Length") is None


# Bodies


@pytest.mark.parametrize(
    ("field", "body", "framed"),
    [
        ("Content-Length: 5", b"a=b&c", b"a=b&c"),
        ("Content-Length: 0", b"", b""),
        (
            "Transfer-Encoding: chunked",
            b"2;x\r\na=\r\n3\r\nb&c\r\n0\r\nX-Trailer: 1\r\n\r\n",
            b"a=b&c",
        ),
    ],
)
def test_bodies_are_framed_anew(
    passing: str, upstream: Upstream, field: str, body: bytes, framed: bytes
) -> None:
    """A body keeps its length if it had one; chunks lose what else was in them."""
    reply = send(
        passing, "POST /v1/users HTTP/1.1", "Content-Type: x/y", field, body=body
    )

    assert 200 == reply.status
    lengths = upstream.fields("Content-Length"), upstream.fields("Transfer-Encoding")
    if field.startswith("Content"):
        assert ([str(len(framed))], []) == lengths
        assert framed == upstream.body
    else:
        assert ([], ["chunked"]) == lengths
        chunks = re.findall(rb"([0-9a-f]+)\r\n", upstream.body)
        assert framed == b"".join(upstream.body.split(b"\r\n")[1:-3:2])
        assert b"0" == chunks[-1]
        assert b"X-Trailer" not in upstream.last
    assert ["x/y"] == upstream.fields("Content-Type")


def test_a_caller_that_waits_to_go_on(passing: str, upstream: Upstream) -> None:
    """It is told to by the sidecar; the upstream needn't."""
    with Wire(passing) as wire:
        wire.send(
            b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert 100 == wire.receive().status
        wire.send(b"a=b")
        assert 200 == wire.receive().status

    assert ([], b"a=b") == (upstream.fields("Expect"), upstream.body)


HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (("Content-Length: 4", "Transfer-Encoding: chunked"), b"0\r\n\r\n" + HIDDEN),
        (("Transfer-Encoding: chunked", "Content-Length: 4"), b"0\r\n\r\n" + HIDDEN),
        (("Content-Length: 0", f"Content-Length: {len(HIDDEN)}"), HIDDEN),
        ((f"Content-Length: +{len(HIDDEN)}",), HIDDEN),
        (("Transfer-Encoding: xchunked",), HIDDEN),
        (("Transfer-Encoding: identity, chunked",), b"0\r\n\r\n" + HIDDEN),
        (("Transfer-Encoding : chunked",), b"0\r\n\r\n" + HIDDEN),
        (("X: y\rTransfer-Encoding: chunked",), b"0\r\n\r\n" + HIDDEN),
        (("Connection: Content-Length", f"Content-Length: {len(HIDDEN)}"), HIDDEN),
        (("Connection: Transfer-Encoding", "Content-Length: 0"), b""),
    ],
)
def test_nothing_is_smuggled(
    passing: str, upstream: Upstream, fields: tuple[str, ...], body: bytes
) -> None:
    """No request that hides in another's body is one of its own upstream."""
    send(passing, "POST /v1/users HTTP/1.1", *fields, "Connection: close", body=body)

    for each in upstream.requests:
        assert each.startswith(b"POST /base/v1/users HTTP/1.1\r\n")
        framed = b"content-length" in each.lower() or b"chunked" in each.lower()
        assert framed or HIDDEN not in each


@pytest.mark.parametrize("value", ["a\rX-Injected: 1", "a\0b", "a\nX-Injected: 1"])
def test_nothing_is_injected(passing: str, upstream: Upstream, value: str) -> None:
    """A field that holds the end of a line is none, or two of the caller's own."""
    reply = send(passing, "GET /v1/users HTTP/1.1", f"X-A: {value}")

    assert (400, []) == (reply.status, upstream.requests)


def test_fields_that_are_no_text_are_refused(passing: str, upstream: Upstream) -> None:
    """What can't be written again as it was read isn't passed on."""
    reply = send(passing, "GET /v1/users HTTP/1.1", "X-A: \udcff")

    assert (400, []) == (reply.status, upstream.requests)
