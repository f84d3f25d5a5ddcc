"""An upstream that is away, slow or broken, and callers that go: all of it ends."""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from qeetid_authz_server.hosted import exchanges
from qeetid_authz_server.hosted import passing as passing_on
from tests.server.sidecars import Reply, Wire, eventually, request, sidecar
from tests.server.test_hosted import said, send
from tests.server.test_serving import program
from tests.server.test_tls import make_pair
from tests.server.upstreams import OK, Upstream, hung_up

LIMIT = 1000  # bytes of a body, here


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def _limited() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchanges, "BODY_LIMIT", LIMIT)
        yield


@pytest.fixture(scope="module")
def _patient(town_database: str, upstream: Upstream) -> Iterator[str]:
    with sidecar(town_database, upstream=upstream.base_url) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def _hurried(town_database: str, upstream: Upstream) -> Iterator[str]:
    patience = partial(passing_on.Patience, silence=0.5, whole=1.2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passing_on, "Patience", patience)
        with sidecar(town_database, upstream=upstream.base_url) as base_url:
            yield base_url


@pytest.fixture
def passing(_patient: str, upstream: Upstream) -> str:
    """The base URL of a sidecar that passes on, but little."""
    upstream.answer = OK
    upstream.requests.clear()
    return _patient


@pytest.fixture
def hurried(_hurried: str, upstream: Upstream) -> str:
    """The base URL of one that doesn't wait for long."""
    upstream.requests.clear()
    return _hurried


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The causes of what failed, and of which request."""
    return [
        (vars(record)["cause"], vars(record)["request_id"])
        for record in caplog.records
        if record.message == "upstream_failed"
    ]


def assert_failed(reply: Reply, status: int = 502) -> None:
    code = {502: "upstream_failed", 504: "upstream_timeout"}[status]
    assert (status, code) == (reply.status, said(reply)["code"])
    assert "1" == reply.header("Retry-After")
    assert "mine" == reply.header("X-Request-Id")


def test_nobody_there(town_database: str, caplog: pytest.LogCaptureFixture) -> None:
    """An upstream that can't be reached is a 502, and an event; checks go on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        upstream = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with (
            caplog.at_level(logging.WARNING),
            sidecar(town_database, upstream=upstream) as base_url,
        ):
            assert_failed(request(base_url, "/v1/users", X_Request_Id="mine"))
            assert 200 == request(base_url, "/readyz").status

    assert [("unreachable", "mine")] == events(caplog)


@pytest.mark.parametrize(
    "answer",
    [
        lambda connection: None,
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1),
    ],
    ids=["none", "other", "length", "long", "bytes", "switch", "large"],
)
def test_an_answer_that_is_none(
    passing: str,
    upstream: Upstream,
    answer: bytes | Callable[[socket.socket], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What can't be passed on is a 502, and nobody is asked a second time."""
    upstream.answer = answer
    with caplog.at_level(logging.WARNING):
        assert_failed(request(passing, "/v1/users", X_Request_Id="mine"))

    assert 1 == len(upstream.requests)
    assert [("broken", "mine")] == events(caplog)


def test_an_upstream_that_is_somebody_else(
    town_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS nothing is sent to whom no authority vouches for."""
    pair = make_pair(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    with Upstream(context) as secure:
        with sidecar(town_database, upstream=secure.base_url) as base_url:
            assert_failed(request(base_url, "/v1/users", X_Request_Id="mine"))
        assert [] == secure.requests

        monkeypatch.setenv("SSL_CERT_FILE", pair.tls_certificate)
        with program(town_database, UPSTREAM=secure.base_url) as trusting:
            assert 200 == request(trusting.base_url, "/v1/users").status
        assert 1 == len(secure.requests)


def test_no_request_is_repeated(passing: str, upstream: Upstream) -> None:
    """Not even over a connection that served before."""
    assert 200 == request(passing, "/v1/users").status
    upstream.answer = lambda connection: None
    upstream.requests.clear()
    connections = upstream.connections

    assert_failed(request(passing, "/v1/users", X_Request_Id="mine"))
    assert (1, connections) == (len(upstream.requests), upstream.connections)


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Filler: a\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("script", [silent, dripping])
def test_an_upstream_that_is_slow(
    hurried: str, upstream: Upstream, script: Callable[[socket.socket], None]
) -> None:
    """Silence and endless drops are a 504."""
    upstream.answer = script
    assert_failed(request(hurried, "/v1/users", X_Request_Id="mine"), 504)


BEGUN = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("start", "ends"),
    [
        (BEGUN + b"Content-Length: 9\r\n\r\nabc", False),
        (BEGUN + b"Content-Length: 9\r\n\r\nabc", True),
        (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", False),
        (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", True),
        (
            BEGUN
            + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3e9\r\n"
            + b"x" * 1001
            + b"\r\n0\r\n\r\n",
            True,
        ),
    ],
)
def test_an_answer_that_breaks_off(
    hurried: str,
    upstream: Upstream,
    start: bytes,
    ends: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Half an answer never looks like a whole one, whoever ended it."""

    def begin(connection: socket.socket) -> None:
        connection.sendall(start)
        if not ends:
            connection.recv(1)

    upstream.answer = begin
    got = b""
    with Wire(hurried) as wire:
        wire.send(b"GET /v1/users HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            while more := wire.socket.recv(65536):
                got += more
        except ConnectionResetError:
            pass

    assert got == b"" or got.startswith(BEGUN)
    assert 1 >= got.count(b"HTTP/1.1")
    assert not got.endswith(b"0\r\n\r\n")
    eventually(lambda: len(events(caplog)) == 1)
    assert ["upstream_failed"] == [record.message for record in caplog.records]


def test_a_body_that_breaks_off(passing: str, upstream: Upstream) -> None:
    """Half a body never arrives as a whole one."""
    got, upstream.answer = hung_up(upstream)
    with Wire(passing) as wire:
        wire.send(
            b"POST /v1/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n"
        )
        eventually(lambda: len(upstream.requests) == 1)
    eventually(lambda: len(got) == 1)

    assert not got[0].endswith(b"0\r\n\r\n")


def test_a_body_that_is_too_large(passing: str, upstream: Upstream) -> None:
    """Refused by its length; by its bytes where it has none, and never as whole."""
    stated = send(passing, "POST /v1/users HTTP/1.1", f"Content-Length: {LIMIT + 1}")
    assert (413, "body_too_large") == (stated.status, said(stated)["code"])
    assert [] == upstream.requests

    got, upstream.answer = hung_up(upstream)
    chunk = b"%x\r\n%b\r\n" % (LIMIT, b"x" * LIMIT)
    with Wire(passing) as wire:
        head = b"POST /v1/users HTTP/1.1\r\nHost: x\r\n"
        wire.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        eventually(lambda: len(upstream.requests) == 1)
        wire.send(chunk + b"0\r\n\r\n")
        unstated = wire.receive()
    assert (413, "body_too_large") == (unstated.status, said(unstated)["code"])
    eventually(lambda: len(got) == 1)
    assert not got[0].endswith(b"0\r\n\r\n")


def test_a_body_that_is_broken(passing: str, upstream: Upstream) -> None:
    """A body that is no body is the caller's fault."""
    upstream.answer = silent
    reply = send(
        passing,
        "POST /v1/users HTTP/1.1",
        "Transfer-Encoding: chunked",
        body=b"3\r\nabc\r\nxyz\r\n",
    )

    assert (400, "bad_request") == (reply.status, said(reply)["code"])


def test_a_sidecar_that_leads_back_to_itself(
    town_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The second time that a request comes by it is refused, and that comes back."""
    with Upstream() as mirror:
        itself: list[str] = []

        def send_back(connection: socket.socket) -> None:
            with Wire(itself[0]) as wire:
                wire.send(mirror.last)
                connection.sendall(wire.socket.recv(65536))

        mirror.answer = send_back
        with (
            caplog.at_level(logging.WARNING),
            sidecar(town_database, upstream=mirror.base_url) as base_url,
        ):
            itself.append(base_url)
            reply = request(base_url, "/v1/users", X_Request_Id="mine")
        assert 1 == len(mirror.requests)

    assert_failed(reply)
    assert "QEETID_AUTHZ_UPSTREAM leads back here" == said(reply)["detail"]
    assert [("loop", "mine")] == events(caplog)


def test_sidecars_may_stand_in_a_row(
    town_database: str, passing: str, upstream: Upstream
) -> None:
    """Another sidecar on the way is no loop, and each says that it was there."""
    with sidecar(town_database, upstream=passing) as first:
        assert 200 == request(first, "/v1/users", Via="1.0 proxy").status

    (via,) = upstream.fields("Via")
    hops = [hop.split() for hop in via.split(", ")]
    assert ["1.0", "1.1", "1.1"] == [version for version, _ in hops]
    assert 3 == len({name for _, name in hops})


def test_it_is_counted_under_one_name(town_database: str, upstream: Upstream) -> None:
    """By method and status, and timed; the paths themselves get into no metric."""
    upstream.answer = OK
    with sidecar(town_database, upstream=upstream.base_url) as base_url:
        for path in ("/v1/hidden1", "/v1/hidden2"):
            request(base_url, path)
        upstream.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        request(base_url, "/v1/hidden3", method="DELETE")
        metrics = request(base_url, "/metrics").body.decode()

    counted = "qeetid_authz_http_requests_total{"
    assert f'{counted}code="200",method="GET",route="hosted"}} 2.0' in metrics
    assert f'{counted}code="404",method="DELETE",route="hosted"}} 1.0' in metrics
    timed = 'qeetid_authz_request_duration_seconds_count{route="hosted"} 3.0'
    assert timed in metrics
    assert "hidden" not in metrics
