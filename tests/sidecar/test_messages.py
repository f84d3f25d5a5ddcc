"""Replies in whatever pieces they come, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.sidecar import messages
from qeetid_authz.sidecar.messages import Reading, Reply, Request, Unanswered, Writing
from tests.sidecar.scripted import ALLOWED, reply

CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type:APPLICATION/JSON; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
)


@given(st.sampled_from([ALLOWED, CHUNKED]), st.lists(st.integers(1, 60)))
def test_a_reply_comes_in_any_pieces(whole: bytes, sizes: list[int]) -> None:
    """It is the same, however it was cut, and there when its last byte is."""
    reading, rest = Reading(), whole
    said = None
    for size in [*sizes, len(whole)]:
        piece, rest = rest[:size], rest[size:]
        if piece:
            assert said is None
            said = reading.feed(piece)

    if whole is ALLOWED:
        assert Reply(200, True, b'{"allowed":true}\n', False) == said
    else:
        assert Reply(200, True, b"{}", True) == said


@pytest.mark.parametrize("kind", ["text/html", "application/jsonp", ""])
def test_what_is_no_json(kind: str) -> None:
    """A body of another type isn't taken for JSON."""
    assert Reading().feed(reply(b"{}", kind=kind)) == Reply(200, False, b"{}", False)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0" * 40,
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        ALLOWED + ALLOWED,
        ALLOWED + b"HTTP/1.1",
        ALLOWED + b"?",
    ],
)
def test_what_is_no_reply(data: bytes) -> None:
    """Another protocol, broken HTTP, or more than was asked for."""
    with pytest.raises(Unanswered) as caught:
        Reading().feed(data)

    assert "garbled" == caught.value.cause


def test_a_reply_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is too large isn't read on."""
    monkeypatch.setattr(messages, "SIZE_LIMIT", 1000)
    reading = Reading()
    assert reading.feed(b"HTTP/1.1 200 OK\r\n") is None
    with pytest.raises(Unanswered, match="exceeds 1000 bytes"):
        reading.feed(b"A: " + b"a" * 1000)


def test_requests() -> None:
    """A question, one with a body, one for others, and one of who is asked no key."""
    writing = Writing("a:1", "qk_a.b", "X-Least")
    assert writing.encode(Request("GET", "/x")) == (
        b"GET /x HTTP/1.1\r\nHost: a:1\r\nAuthorization: ApiKey qk_a.b\r\n\r\n"
    )
    assert writing.encode(Request("POST", "/x", b"{}", at_least="t")) == (
        b"POST /x HTTP/1.1\r\nHost: a:1\r\nAuthorization: ApiKey qk_a.b\r\n"
        b"X-Least: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert writing.encode(Request("GET", "/x", authorization="Bearer t")) == (
        b"GET /x HTTP/1.1\r\nHost: a:1\r\nAuthorization: Bearer t\r\n\r\n"
    )
    assert Writing("a:1", None, "X-Least").encode(Request("GET", "/x")) == (
        b"GET /x HTTP/1.1\r\nHost: a:1\r\n\r\n"
    )
