"""nginx, Caddy, Traefik and Envoy, each between clients and an application.

They run by the files that the documentation shows, and ask a real sidecar.
"""

from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qeetid_authz_server.proxies.paths import read_target
from qeetid_authz_server.proxies.reading import read_routes
from tests.integration.world import AGENT, ANNS_KEY
from tests.proxies.backend import PROBE, Backend
from tests.proxies.conftest import ELSEWHERE, Stand
from tests.proxies.programs import CONFIGURATION, PROXIES, free_port, running
from tests.server.sidecars import Wire, exchange
from tests.server.town import ACME, ACME_KEY, ANN, BOB, EVE, KEY, OTHER_KEY

INVOICE = "/api/invoices/7"
IDENTITY = ("X-Auth-Subject", "X-Auth-Kind", "X-Auth-Tenant", "X-Auth-Permission")
PRETENDING = [
    f"{spelling.join(name.split('-'))}: {value}"
    for name, value in (
        ("X-Auth-Subject", EVE),
        ("X-Auth-Kind", "root"),
        ("X-Auth-Tenant", EVE),
        ("X-Auth-Permission", "everything"),
    )
    for spelling in ("-", "_")
] + [f"X_Auth-Subject: {EVE}", f"X-Auth_Subject: {EVE}"]
"""What a client says that only the authorizer may say."""


def misleading(target: str, method: str = "GET") -> list[str]:
    """Header lines by which a client tells of another request than it makes."""
    families = ("X-Forwarded", "X-Original")
    return [
        *(f"{family}-Method: {method}" for family in families),
        *(f"{family}-URI: {target}" for family in families),
        *(f"{family}-Url: {target}" for family in families),
        *(f"{family}-Path: {target}" for family in families),
        *(f"{family}-Host: shop.example" for family in families),
        f"X-Rewrite-URL: {target}",
        f"X-HTTP-Method-Override: {method}",
        f"X-Envoy-Original-Path: {target}",
        f"X-Envoy-Original-Method: {method}",
        "X-Envoy-Original-Host: shop.example",
        "Forwarded: host=shop.example",
    ]


def test_who_may_is_let_through_and_introduced(stand: Stand) -> None:
    """The application gets the request as it was, and learns from whom it is."""
    reply, seen = stand.send(f"{INVOICE}?x=%2F..&y=//", stand.anns())

    assert 200 == reply.status
    assert seen is not None
    assert ("GET", f"{INVOICE}?x=%2F..&y=//") == (seen.method, seen.target)
    told = [seen.all(name) for name in IDENTITY]
    assert [[ANN], ["user"], [ACME], [KEY]] == told
    assert [] == seen.all("X-Qeetid-Proxy-Secret")


def test_a_body_passes_unseen(stand: Stand) -> None:
    """What is sent reaches the application whole; the authorizer waits for none."""
    _, seen = stand.send(INVOICE, stand.anns(), method="PUT", body=b"seven" * 999)

    assert seen is not None
    assert ("PUT", b"seven" * 999) == (seen.method, seen.body)


def test_every_kind_of_principal_is_introduced(stand: Stand) -> None:
    """An API key, with its id; and a token in the cookie."""
    _, by_key = stand.send("/api/me", f"Authorization: ApiKey {ANNS_KEY}")
    assert by_key is not None
    assert ["api_key"] == by_key.all("X-Auth-Kind")
    assert by_key.all("X-Auth-Permission") in ([], [""])  # some leave empty ones out

    agent = stand.office.agent(AGENT).removeprefix("Bearer ")
    _, by_cookie = stand.send("/api/me", f"Cookie: theme=dark; session={agent}")
    assert by_cookie is not None
    assert [[AGENT], ["agent"]] == [by_cookie.all(name) for name in IDENTITY[:2]]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Authorization: Basic YW5uOnBhc3M="],
        ["Authorization: Bearer x.y.z"],
        [f"Authorization: ApiKey {ANNS_KEY}x"],
        ["Cookie: session=x.y.z"],
        ["Cookie: session=a; session=b"],
    ],
)
def test_who_is_unknown_is_told_to_present_something(
    stand: Stand, lines: list[str]
) -> None:
    """A 401 with a challenge reaches the client, and nothing the application."""
    reply, seen = stand.send(INVOICE, *lines)

    assert (401, None) == (reply.status, seen)
    assert (reply.header("WWW-Authenticate") or "").startswith("Bearer ")


def test_two_credentials_are_none(stand: Stand) -> None:
    """A good one in the header, another good one in the cookie."""
    bob = stand.office.user(BOB).removeprefix("Bearer ")
    reply, seen = stand.send(INVOICE, stand.anns(), f"Cookie: session={bob}")

    assert (401, None) == (reply.status, seen)


@pytest.mark.parametrize(
    ("target", "method", "host"),
    [
        (INVOICE, "DELETE", "shop.example"),
        (f"{INVOICE}/lines", "GET", "shop.example"),
        ("/api/invoices", "GET", "shop.example"),
        (f"{INVOICE}/", "GET", "shop.example"),
        ("/api/Invoices/7", "GET", "shop.example"),
        ("/", "GET", "shop.example"),
        (INVOICE, "GET", "audit.example"),
        ("/status", "POST", "shop.example"),
        ("/statusx", "GET", "shop.example"),
    ],
)
def test_who_may_not_is_refused(
    stand: Stand, target: str, method: str, host: str
) -> None:
    """By another method, host or path, or without a route: a 403 reaches the client."""
    reply, seen = stand.send(target, stand.anns(), method=method, host=host)

    assert (403, None) == (reply.status, seen)


def test_a_head_is_a_get(stand: Stand) -> None:
    """It passes where a GET would, and stays what it is."""
    probe = uuid4().hex
    head = [f"HEAD {INVOICE} HTTP/1.1", "Host: shop.example", f"{PROBE}: {probe}"]
    raw = "\r\n".join([*head, stand.anns(), "", ""]).encode()
    assert 200 == exchange(stand.base_url, raw).status
    seen = stand.backend.seen(probe)
    assert seen is not None
    assert "HEAD" == seen.method


def test_nobody_introduces_themselves(stand: Stand) -> None:
    """What a client says of who it is never arrives, in whatever spelling."""
    _, known = stand.send(INVOICE, stand.anns(), *PRETENDING)
    _, unknown = stand.send("/status", *PRETENDING)

    assert known is not None
    assert [[ANN], ["user"], [ACME], [KEY]] == [known.all(name) for name in IDENTITY]
    assert unknown is not None
    assert {""} == {value for name in IDENTITY for value in unknown.all(name) or [""]}


@pytest.mark.parametrize(
    ("target", "pretended", "status"),
    [
        (INVOICE, "/status", 401),
        ("/api/me", "/status", 401),
        ("/elsewhere", "/status", 403),
        ("/status", "/elsewhere", 200),
    ],
)
def test_nobody_tells_of_another_request(
    stand: Stand, target: str, pretended: str, status: int
) -> None:
    """Headers of either family that come from the client have no effect."""
    reply, seen = stand.send(target, *misleading(pretended))

    assert status == reply.status
    assert (status == 200) is (seen is not None)


def test_nobody_tells_of_another_host_or_method(stand: Stand) -> None:
    """A host that needs more than the one pretended, a method likewise."""
    lines = misleading(INVOICE)
    assert (
        403 == stand.send(INVOICE, stand.anns(), *lines, host="audit.example")[0].status
    )
    assert 403 == stand.send(INVOICE, stand.anns(), *lines, method="DELETE")[0].status
    assert 403 == stand.send(INVOICE, stand.anns(), host="AUDIT.example.:80")[0].status


def test_the_client_comes_from_where_the_proxy_says(stand: Stand) -> None:
    """Rules for addresses go by whom the proxy talks to, whatever that one says."""
    spoofed = [
        f"{name}: {ELSEWHERE}"
        for name in ("X-Forwarded-For", "X-Original-IP", "X-Real-IP", "X-Client-IP")
    ] + [f"X-Envoy-Client-IP: {ELSEWHERE}", f"X-Envoy-External-Address: {ELSEWHERE}"]
    inside, _ = stand.send("/api/me", f"Authorization: ApiKey {ACME_KEY}", *spoofed)
    outside, seen = stand.send(
        "/api/me", f"Authorization: ApiKey {OTHER_KEY}", *spoofed
    )

    assert 200 == inside.status
    assert (403, None) == (outside.status, seen)


@pytest.mark.parametrize(
    "target",
    [
        "//status",
        "/status/",
        "/api//me",
        "/api/invoices/7/../../../status",
        "/status/..",
        "/./status",
        "/.//status",
        "/api/invoices/%2e%2e/%2e%2e/status",
        "/api/invoices/..%2f..%2fstatus",
        "/status%2f",
        "/%2fstatus",
        "/status%00",
        "/status%0a",
        "/status;x=1",
        "/status%3bx",
        "/api\\me",
        "/api%5cme",
        "/%2573tatus",
        "/api/%252e%252e/status",
        "/status%ff",
        "/status%c0%af",
        "/status%",
        "/%u0073tatus",
        "/statu%73%2525",
        "/STATUS",
        "/status.",
        "/elsewhere?/../status",
        "/elsewhere?/status",
        "/elsewhere%3f/../status",
        "*",
        "status",
        "http://shop.example/elsewhere",
        "http://status/elsewhere",
        "/" + "a" * 9000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_odd_paths_reach_nothing_else(stand: Stand, target: str, method: str) -> None:
    """Without a credential only what anybody may have comes through, as it is named.

    A proxy may make an odd path plain before it asks; then the plain one is sent on.
    """
    reply, seen = stand.send(target, method=method)

    if seen is None:
        is_answered_by_go = (method, target) == ("OPTIONS", "*")
        assert 400 <= reply.status or is_answered_by_go
    else:
        assert ("GET", "/status") == (method, seen.target) or (
            method == "OPTIONS" and seen.target.startswith("/api/")
        )
        assert not {"..", "//", "%", ";", "\\"} & set(seen.target)


@pytest.mark.parametrize(
    "target",
    ["/livez", "/readyz", "/metrics", "/openapi.json", "/v1/check", "/_authorize"],
)
def test_the_sidecars_own_routes_let_nobody_through(stand: Stand, target: str) -> None:
    """A path that the sidecar answers itself is none that the proxy may send on."""
    reply, seen = stand.send(target)

    assert reply.status in (403, 404)
    assert seen is None


@pytest.mark.parametrize(
    "target",
    [
        "/../livez",
        "/../../livez",
        "/..%2f..%2flivez",
        "/authz/envoy/status",
        "/authz/forward",
        "/authz/nginx",
    ],
)
def test_the_sidecars_own_routes_are_not_climbed_to(stand: Stand, target: str) -> None:
    """Neither upward from the prefix that an endpoint has, nor by its own path."""
    reply, seen = stand.send(target, *misleading("/status"))

    assert 400 <= reply.status
    assert seen is None


def test_the_host_that_is_decided_about_is_sent_on(stand: Stand) -> None:
    """Where the request line names another host than `Host` does, or nobody does."""
    for named, host in (
        ("shop.example", "audit.example"),
        ("audit.example", "shop.example"),
    ):
        _, seen = stand.send(f"http://{named}/status", host=host)
        assert seen is None or ["shop.example"] == seen.all("Host")
    probe = uuid4().hex
    head = f"GET /status HTTP/1.0\r\n{PROBE}: {probe}\r\n\r\n"
    assert 400 <= exchange(stand.base_url, head.encode()).status
    assert stand.backend.seen(probe) is None


def test_nobody_takes_away_what_is_told(stand: Stand) -> None:
    """A client that names our headers in `Connection` gets nothing through by it."""
    told = [*IDENTITY, "X-Qeetid-Proxy-Secret", "X-Envoy-Client-IP", "Authorization"]
    for family in ("X-Forwarded", "X-Original"):
        told += [f"{family}-{each}" for each in ("Uri", "Method", "Host", "For", "IP")]
    lines = [f"Connection: {', '.join(told)}", f"X-Qeetid-Proxy-Secret: {'x' * 16}"]
    _, seen = stand.send(INVOICE, stand.anns(), *lines)
    unknown, unseen = stand.send(INVOICE, *lines)

    if seen is not None:
        assert [[ANN], ["user"], [ACME], [KEY]] == [seen.all(each) for each in IDENTITY]
    assert unknown.status in (400, 401, 403)  # Envoy refuses by itself
    assert unseen is None


def test_a_second_credential_is_no_way_in(stand: Stand) -> None:
    """In lines of its own, of which proxies make one or leave two."""
    bob = f"Authorization: {stand.office.user(BOB)}"
    cookies = [f"Cookie: session={stand.office.user(each)[7:]}" for each in (ANN, BOB)]
    for lines in ([stand.anns(), bob], cookies):
        reply, seen = stand.send(INVOICE, *lines)
        assert seen is None
        assert reply.status in (400, 401)  # nginx refuses by itself


def test_a_body_of_unknown_length_passes_unseen(stand: Stand) -> None:
    """It comes in pieces, none of which is for the authorizer."""
    probe = uuid4().hex
    lines = [f"PUT {INVOICE} HTTP/1.1", "Host: shop.example", f"{PROBE}: {probe}"]
    lines += [stand.anns(), "Transfer-Encoding: chunked", "", ""]
    raw = "\r\n".join(lines).encode() + b"5\r\nseven\r\n0\r\n\r\n"

    assert 200 == exchange(stand.base_url, raw).status
    assert stand.backend.seen(probe) is not None


ROUTES = read_routes((CONFIGURATION / "routes.yaml").read_bytes(), "routes.yaml").table
PIECES = [
    "/",
    "//",
    "/.",
    "/..",
    "%2e",
    "%2F",
    "%5c",
    "\\",
    ";",
    "%25",
    "2e",
    "%00",
    "?",
]
NAMES = [
    "api",
    "invoices",
    "7",
    "me",
    "status",
    "API",
    "%69",
    "lines",
    "#",
    "*",
    ":",
    "@",
]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([*PIECES, *NAMES]), max_size=7).map("".join),
    st.sampled_from(["", "/status", "/api/me", INVOICE, "/api"]),
    st.sampled_from(["GET", "OPTIONS", "PUT"]),
)
def test_what_is_decided_about_is_what_arrives(
    stand: Stand, rest: str, beginning: str, method: str
) -> None:
    """Whatever Ann asks for: she may have what the application then gets."""
    _, seen = stand.send(f"{beginning}/{rest}", stand.anns(), method=method)
    if seen is None:
        return
    route = ROUTES.match(read_target(seen.target), seen.method, "shop.example")

    assert route is not None
    assert route.permission in ("", KEY)
    assert [route.permission] == (seen.all("X-Auth-Permission") or [""])


def test_a_preflight_is_for_anybody_where_a_route_says_so(stand: Stand) -> None:
    """What a browser asks without a credential, and nothing but that."""
    lines = ["Origin: https://app.example", "Access-Control-Request-Method: GET"]
    reply, seen = stand.send(INVOICE, *lines, method="OPTIONS")

    assert 200 == reply.status
    assert seen is not None
    assert {""} == {value for name in IDENTITY for value in seen.all(name) or [""]}
    assert 403 == stand.send("/status", *lines, method="OPTIONS")[0].status


def test_a_websocket_is_opened_by_who_may_get(stand: Stand) -> None:
    """It is decided once, when it is opened; the connection to the sidecar lives on."""
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    for _ in range(2):
        reply, seen = stand.send(INVOICE, *upgrade)
        assert (401, None) == (reply.status, seen)
        with Wire(stand.base_url) as wire:
            lines = [f"GET {INVOICE} HTTP/1.1", "Host: shop.example", stand.anns()]
            wire.send("\r\n".join([*lines, *upgrade, "", ""]).encode())
            assert 101 == wire.receive().status
            wire.send(b"ping")
            assert b"ping" == wire._file.read(4)
    assert 200 == stand.send("/status")[0].status


@pytest.mark.parametrize(
    "protocol",
    [
        "h2c",
        "H2C",
        "websocket, h2c",
        "h2c, websocket",
        "h2c\r\nUpgrade: websocket",
        "websocket\r\nUpgrade: h2c",
        "x",
    ],
)
def test_nothing_but_a_websocket_is_opened(stand: Stand, protocol: str) -> None:
    """In a tunnel of HTTP/2 nobody would be asked about what else is requested."""
    reply, seen = stand.send(
        "/status",
        "Connection: Upgrade, HTTP2-Settings",
        f"Upgrade: {protocol}",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    )

    told = [] if seen is None else seen.all("Upgrade")
    assert told == [] or ("websocket" in protocol and told == ["websocket"])
    assert (reply.status == 101) is (told != [])


@pytest.mark.parametrize("name", PROXIES)
def test_without_an_authorizer_nothing_passes(name: str, tmp_path: Path) -> None:
    """Where nobody answers the proxy's question, even what is for anybody is refused."""
    probe = uuid4().hex
    head = f"GET /status HTTP/1.1\r\nHost: shop.example\r\n{PROBE}: {probe}\r\n\r\n"
    with (
        Backend() as backend,
        running(name, tmp_path, free_port(), backend.port) as base_url,
    ):
        reply = exchange(base_url, head.encode())

        assert reply.status >= 500
        assert backend.seen(probe) is None
