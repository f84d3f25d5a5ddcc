"""What surrounds a request when its handler fails."""

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from qeetid_authz.errors import (
    AuthzError,
    KeysUnavailableError,
    NotOpenError,
    OverloadedError,
    StaleError,
)
from qeetid_authz_server.middleware import make_guard
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import SECURITY_HEADERS
from qeetid_authz_server.telemetry.counts import Counts
from qeetid_authz_server.telemetry.health import Health
from qeetid_authz_server.telemetry.metrics import Instruments


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            RuntimeError("s3cret"),
            500,
            (
                '{"error":{"code":"internal","message":"Something went wrong on our end.'
                ' Please try again.","translation_key":"internal","retryable":true,'
                '"request_id":"r"}}\n'
            ),
        ),
        (
            NotOpenError("closed"),
            503,
            (
                '{"error":{"code":"unavailable","message":"Not ready to answer. Please try'
                ' again.","translation_key":"unavailable","retryable":true,'
                '"request_id":"r"}}\n'
            ),
        ),
        (
            KeysUnavailableError("the endpoint `s3cret` is down"),
            503,
            (
                '{"error":{"code":"unavailable","message":"Not ready to answer. Please try'
                ' again.","detail":"the issuer\'s keys aren\'t known",'
                '"translation_key":"unavailable","retryable":true,"request_id":"r"}}\n'
            ),
        ),
    ],
)
async def test_a_handler_that_fails(
    error: Exception, status: int, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is logged and not shown; one that isn't open is a 503."""

    async def fail(_request: web.Request) -> web.Response:
        raise error

    health = Health()
    app = web.Application(
        middlewares=[make_guard(health, Counts(), Instruments().latency)]
    )
    app.router.add_get("/", fail)
    with caplog.at_level(logging.INFO):
        async with TestClient(TestServer(app)) as client:
            reply = await client.get("/", headers={"X-Request-Id": "r"})

            assert reply.status == status
            assert await reply.text() == body
            assert reply.headers["Content-Type"] == "application/json"
            assert SECURITY_HEADERS.items() <= dict(reply.headers).items()

    assert health.in_flight == 0
    failures = [r for r in caplog.records if r.getMessage() == "request_failed"]
    assert [r.__dict__["request_id"] for r in failures] == ["r"] * (status == 500)


async def test_a_refused_credential_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the cause that the caller isn't told."""

    async def refuse(_request: web.Request) -> web.Response:
        raise Problem(Code.UNAUTHORIZED, challenge="Bearer x=y", cause="token_expired")

    app = web.Application(
        middlewares=[make_guard(Health(), Counts(), Instruments().latency)]
    )
    app.router.add_get("/", refuse)
    with caplog.at_level(logging.INFO):
        async with TestClient(TestServer(app)) as client:
            reply = await client.get("/", headers={"X-Request-Id": "r"})

            assert "expired" not in await reply.text()
            assert reply.headers["WWW-Authenticate"] == "Bearer x=y"

    assert "unavailable" not in caplog.messages
    (refused,) = [r for r in caplog.records if r.getMessage() == "credential_refused"]
    assert refused.__dict__["cause"] == "token_expired"
    assert refused.__dict__["request_id"] == "r"


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (KeysUnavailableError("s3cret"), "the issuer's keys aren't known"),
        (OverloadedError("s3cret"), "too many credentials wait to be looked at"),
        (StaleError("s3cret"), "the replica is older than its staleness bound"),
    ],
)
async def test_a_credential_that_cant_be_judged_now(
    error: AuthzError, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It isn't refused, neither to the caller nor in the log."""

    async def fail(_request: web.Request) -> web.Response:
        raise error

    app = web.Application(
        middlewares=[make_guard(Health(), Counts(), Instruments().latency)]
    )
    app.router.add_get("/", fail)
    with caplog.at_level(logging.INFO):
        async with TestClient(TestServer(app)) as client:
            reply = await client.get("/")

            assert (await reply.json())["error"]["detail"] == detail
            assert reply.headers["Retry-After"] == "1"

    assert "credential_refused" not in caplog.messages
    (told,) = [r for r in caplog.records if r.getMessage() == "unavailable"]
    assert told.__dict__["cause"] == error.code
