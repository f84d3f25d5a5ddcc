"""Heads that come slowly, in part, or without end: nobody is waited for that long."""

from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, sleep

import pytest

from qeetid_authz_server import protocol
from tests.server.sidecars import Wire, request, sidecar
from tests.server.test_fastcheck import BODY, PLAIN, get

JSON_POST = get(
    "Content-Type: application/json",
    f"Content-Length: {len(BODY)}",
    at="/v1/check/batch",
).replace(b"GET", b"POST", 1)


@pytest.fixture(scope="module", params=[True, False], ids=["fast path", "framework"])
def hasty(
    settled_database: str, request: pytest.FixtureRequest
) -> Iterator[tuple[str, float]]:
    """A sidecar that waits a moment for a head."""
    with (
        pytest.MonkeyPatch.context() as patch,
        sidecar(settled_database, fast_path=request.param) as base_url,
    ):
        patch.setattr(protocol, "PATIENCE", 0.3)
        yield base_url, 0.3


def is_gone(wire: Wire) -> bool:
    """Whether a connection was closed without an answer; waits for it."""
    try:
        return wire.is_closed()
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "begun", [b"G", b"\r\n", PLAIN[:-2], PLAIN + PLAIN[:9], JSON_POST + BODY + b"POST"]
)
def test_half_a_head(hasty: tuple[str, float], begun: bytes) -> None:
    """Its connection is closed, after what came whole before it was answered."""
    with Wire(hasty[0]) as wire:
        wire.send(begun)
        for _ in range(begun.count(b"HTTP/1.1") - begun.endswith(b"\r\n")):
            assert wire.receive().status in {200, 400}
        assert wire.is_closed()


def test_one_byte_at_a_time(hasty: tuple[str, float]) -> None:
    """Bytes that go on coming don't prolong it."""
    (base_url, patience), began = hasty, monotonic()
    with Wire(base_url) as wire:
        for byte in PLAIN:
            with suppress(ConnectionError):
                wire.send(bytes([byte]))
            sleep(patience / 20)
            if 2 * patience < monotonic() - began:
                break
        assert is_gone(wire)


def test_a_head_without_end(hasty: tuple[str, float]) -> None:
    """Fields that are short enough, one by one, are too much together."""
    flood = b"".join(b"X-%d: %b\r\n" % (n, b"y" * 60_000) for n in range(100))
    with Wire(hasty[0]) as wire:
        with suppress(ConnectionError):
            wire.send(PLAIN[:-2] + flood + b"\r\n")
        assert is_gone(wire)
    assert 200 == request(hasty[0], "/livez").status


@pytest.mark.parametrize(
    "asked",
    [
        PLAIN,
        get("Connection: keep-alive", at="/v1/whoami"),
        JSON_POST + BODY,
        JSON_POST[:-2] + b"Connection: keep-alive\r\n\r\n" + BODY,
    ],
)
def test_a_connection_with_nothing_begun(
    hasty: tuple[str, float], asked: bytes
) -> None:
    """It may rest between two requests for much longer, and a request may dawdle."""
    base_url, patience = hasty
    with Wire(base_url) as wire:
        for cut in (40, len(asked)):
            wire.send(asked[:cut])
            sleep(patience / 3)
            wire.send(asked[cut:])
            assert wire.receive().status in {200, 400}
            sleep(patience * 1.5)
