"""Bodies that come too slowly, or not at all."""

import asyncio
import json

import pytest

from qeetid_authz_server.incoming import bodies
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.outgoing.problems import Code, Problem
from tests.server.sidecars import Wire, request
from tests.server.test_batch import batch
from tests.server.town import ACME_KEY, ANN, KEY

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def head(path: str, content_type: str, length: str) -> bytes:
    """The head of a request whose body is to come."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {ACME_KEY}\r\n"
        f"Content-Type: {content_type}\r\n{length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    "asked",
    [
        ("/v1/check/batch", JSON, "bad_request"),
        ("/oauth/introspect", FORM, "oidc.form_invalid"),
    ],
)
@pytest.mark.parametrize(
    "sent",
    [
        ("Content-Length: 1000", b""),
        ("Content-Length: 1000", b"token="),
        ("Transfer-Encoding: chunked", b"6\r\ntoken=\r\n"),
    ],
)
def test_a_body_that_doesnt_come(
    strict: str,
    monkeypatch: pytest.MonkeyPatch,
    asked: tuple[str, str, str],
    sent: tuple[str, bytes],
) -> None:
    """It is waited for only so long, then refused, and the connection closed."""
    (path, content_type, code), (length, begun) = asked, sent
    assert request(strict, "/v1/check", key=ACME_KEY).status == 400  # the key is known
    monkeypatch.setattr(bodies, "PATIENCE", 0.2)
    with Wire(strict) as wire:
        wire.send(head(path, content_type, length) + begun)
        reply = wire.receive()

        problem = json.loads(reply.body)["error"]
        assert (reply.status, problem["code"]) == (400, code)
        assert problem["detail"] == "the body takes too long"
        assert reply.header("Connection") == "close"
        assert wire.is_closed()


def test_a_body_in_pieces(strict: str) -> None:
    """One that comes in time may come in pieces, and another after it."""
    body = batch([(ANN, KEY)])
    with Wire(strict) as wire:
        for _ in range(2):
            wire.send(
                head("/v1/check/batch", JSON, f"Content-Length: {len(body)}")
                + body[:20]
            )
            wire.send(body[20:])
            assert wire.receive().status == 200


async def test_hurry() -> None:
    """It shortens the deadlines there are, and those still to come; no other error."""
    waited = Bodies()

    async def wait() -> None:
        async with waited.arriving(Code.BAD_REQUEST):
            await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "PATIENCE", 600.0)
        patch.setattr(bodies, "LAST_PATIENCE", 0.0)
        begun = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert not begun.done()
        waited.hurry()
        for slow in (begun, asyncio.create_task(wait())):
            with pytest.raises(Problem) as refused:
                await slow
            assert refused.value.is_last
    with pytest.raises(ValueError, match="mine"):
        async with waited.arriving(Code.BAD_REQUEST):
            raise ValueError("mine")
