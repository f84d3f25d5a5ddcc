"""Other paths, other methods and what is no HTTP at all (fact 1.1)."""

import logging
from typing import Any

import pytest

from qeetid_authz_server.outgoing.responses import SECURITY_HEADERS
from qeetid_authz_server.telemetry.logs import JsonFormatter
from tests.server.sidecars import Wire, request
from tests.server.test_check import BAD_REQUEST, error
from tests.server.town import ACME_KEY

HEAD = b"GET /v1/check HTTP/1.1\r\nHost: x\r\n"
UNREADABLE = "the request can't be read"
NOT_FOUND = b"404 page not found\n"
CSRF = b'{"error":"csrf_failed","message":"missing Origin and Referer"}\n'


@pytest.mark.parametrize(
    "path",
    [
        "/v1/check/",
        "/v1/Check",
        "//v1/check",
        "/",
        "/v1",
        "/x?y=z",
    ],
)
def test_unknown_path(strict: str, path: str) -> None:
    """An unknown path is a plain 404, before anybody is asked who calls."""
    reply = request(strict, path)

    assert (reply.status, reply.body) == (404, NOT_FOUND)
    assert reply.header("Content-Type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("HEAD", "/v1/check", "GET"),
        ("OPTIONS", "/v1/check", "GET"),
        ("HEAD", "/livez", "GET"),
        ("GET", "/v1/check/batch", "POST"),
        ("HEAD", "/v1/users/u/tenants/t/permissions", "GET"),
    ],
)
def test_other_safe_methods(strict: str, method: str, path: str, allow: str) -> None:
    """Another method is a 405 with an empty body and what would be allowed."""
    reply = request(strict, path, method=method)

    assert (reply.status, reply.body) == (405, b"")
    assert reply.header("Allow") == allow
    assert reply.header("Content-Type") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/check", "/v1/unknown"])
def test_unsafe_methods_look_forged(strict: str, method: str, path: str) -> None:
    """Without token, Origin and Referer they are refused first, in a flat body."""
    for key in (None, ACME_KEY):
        reply = request(strict, path, method=method, key=key)

        assert (reply.status, reply.body) == (403, CSRF)
        assert reply.header("Content-Type") == "application/json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer x"}, 405),
        ({"Authorization": "bearer x"}, 403),
        ({"Origin": "https://a.test"}, 405),
        ({"Referer": "https://a.test/"}, 405),
    ],
)
def test_unsafe_methods_of_others(
    strict: str, headers: dict[str, Any], status: int
) -> None:
    """A token or an origin makes it an ordinary wrong method."""
    assert request(strict, "/v1/check", method="POST", **headers).status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/check"),
        ("GET", "/x"),
        ("HEAD", "/v1/check"),
        ("POST", "/v1/check"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
    ],
)
def test_every_response_is_complete(strict: str, method: str, path: str) -> None:
    """Whatever is answered carries the security headers and the request's id."""
    reply = request(strict, path, method=method, X_Request_Id="mine")

    assert {k: reply.header(k) for k in SECURITY_HEADERS} == SECURITY_HEADERS
    assert reply.header("X-Request-Id") == "mine"
    assert reply.header("Strict-Transport-Security") is None


SECRET = b"s3cret"


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"s3cret GARBAGE\r\n\r\n", UNREADABLE),
        (b"GET /v1/check?s3cret HTTP/9.9\r\n\r\n", UNREADABLE),
        (b"GET http://[s3cret HTTP/1.1\r\nHost: x\r\n\r\n", UNREADABLE),
        (HEAD + b"Authorization ApiKey s3cret\r\n\r\n", UNREADABLE),
        (HEAD + b"Authorization: ApiKey s3cret\0\r\n\r\n", UNREADABLE),
        (HEAD + b"Authorization: Bearer s3cret\x01\r\n\r\n", UNREADABLE),
        (HEAD + b"X: s3cret" + b"y" * 100_000 + b"\r\n\r\n", UNREADABLE),
        (HEAD + b"Content-Length: s3cret\r\n\r\n", UNREADABLE),
        (HEAD + b"Expect: s3cret\r\n\r\n", "Expectation Failed"),
    ],
)
def test_unparsable_request(
    strict: str, raw: bytes, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be read is refused in our form without a byte of it, and not logged."""
    caplog.set_level(logging.DEBUG)
    with Wire(strict) as wire:
        wire.send(raw)
        reply = wire.receive()
        assert wire.is_closed()

    assert {k: reply.header(k) for k in SECURITY_HEADERS} == SECURITY_HEADERS
    assert reply.header("Server") == "qeetid-authz"
    id_ = reply.header("X-Request-Id") or ""
    assert id_
    assert reply.status == 400
    assert reply.body == error(*BAD_REQUEST, detail, id_)
    assert SECRET not in str(reply.headers).encode()
    logged = [JsonFormatter().format(record) for record in caplog.records]
    assert SECRET.decode() not in "\n".join(logged)
    assert ("request_unparsable" in caplog.messages) is (detail == UNREADABLE)
    assert request(strict, "/livez").status == 200


def test_an_unparsable_request_in_a_pipeline(strict: str) -> None:
    """What came before it is answered, and what comes after it isn't read."""
    good = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with Wire(strict) as wire:
        wire.send(good)
        assert wire.receive().status == 200
        wire.send(HEAD + b"Authorization: ApiKey s3cret\0\r\n\r\n" + good)
        refused = wire.receive()

        assert (refused.status, SECRET in refused.body) == (400, False)
        assert wire.is_closed()


def test_requests_in_a_pipeline(strict: str) -> None:
    """Requests sent at once on one connection are answered in order."""
    with Wire(strict) as wire:
        wire.send(
            b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n"
        )

        assert (wire.receive().status, wire.receive().status) == (200, 404)
