"""Plain checks that never reach the framework: their answers are the framework's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random
from time import sleep
from typing import Any

import psycopg
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qeetid_authz_server.fastpath.answering import FastPath, Remembered
from qeetid_authz_server.fastpath.handover import Handover
from tests.server.bearers import Office, now, office
from tests.server.sidecars import Wire, eventually, sidecar
from tests.server.town import ACME, ACME_KEY, ANN, OTHER_KEY, add_key, target
from tests.tables import Seeded

LAST = (
    b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: last\r\n\r\n"
)
CHANGING = re.compile(
    rb"(?<=\r\nDate: )[^\r]+|(?<=[0-9a-f]@)[0-9a-f:]+|(?<=\r\nX-Qeetid-Age: )[\d.]+|(?<=\"age_s\":)[\d.]+|[\w-]{10}-\d{6}(?=[\r\"])"
)
LENGTH = re.compile(rb"(?<=\r\nContent-Length: )\d+")
SILENCE, PAUSE = 0.8, 0.03  # seconds


def get(*lines: str, at: str | None = None, key: str = ACME_KEY) -> bytes:
    """A check, with such header lines besides the usual ones."""
    usual = [
        f"GET {at or target()} HTTP/1.1",
        "Host: x",
        f"Authorization: ApiKey {key}",
    ]
    return "\r\n".join([*usual, *lines, "", ""]).encode("utf-8", "surrogateescape")


PLAIN = get()
BODY = b'{"tenant_id": "x", "checks": []}'
QUERY = target()
CORPUS = {
    "plain": PLAIN,
    "denied": get(at=target(permission="no:such")),
    "two": PLAIN + get(at=target(permission="no:such")),
    "an id of its own": get("X-Request-Id: mine"),
    "an id that is none": get("X-Request-Id: a b"),
    "an empty id": get("X-Request-Id:"),
    "two ids": get("X-Request-Id: a", "X-Request-Id: b"),
    "other names in other case": get("x-ReQuest-iD: c").replace(b"Host", b"hOST"),
    "spaces around values": get("X-Request-Id: \t  d  "),
    "no space after the colon": get("X-Request-Id:e"),
    "a space before the colon": get("X-Request-Id : f"),
    "a folded line": get("X-Other: a\r\n b"),
    "a bare line feed": PLAIN.replace(b"\r\n", b"\n"),
    "one bare line feed": PLAIN.replace(b"\r\nAuth", b"\nAuth"),
    "a bare carriage return": get("X-Other: a\rb"),
    "a NUL in a field": get("X-Other: a\0b"),
    "a NUL in the query": get(at=QUERY + "\0"),
    "bytes that are no text": get("X-Other: \udcff"),
    "no text in the query": get(at=QUERY + "&x=\udcff"),
    "a field without a colon": get("Nonsense"),
    "a field without a name": get(": nothing"),
    "no Host": PLAIN.replace(b"Host: x\r\n", b""),
    "two Hosts": get("Host: y"),
    "no credential": PLAIN.replace(b"Authorization", b"Authorisation"),
    "two credentials": get(f"Authorization: ApiKey {ACME_KEY}"),
    "an unknown credential": get(key=ACME_KEY[:-1] + "!"),
    "a credential in other case": PLAIN.replace(b"ApiKey", b"apikey"),
    "a credential of another tenant": get(key=OTHER_KEY),
    "a credential with spaces": PLAIN.replace(b"ApiKey ", b"ApiKey   "),
    "an explanation": get(at=target(explain="true")),
    "explained otherwise": get(at=target(explain="false")),
    "an address": get(at=target(client_ip="192.0.2.1")),
    "no address": get(at=target(client_ip="nowhere")),
    "a parameter twice": get(at=QUERY + "&permission=no:such"),
    "a parameter more": get(at=QUERY + "&page=2"),
    "a semicolon": get(at=QUERY.replace("&", ";", 1)),
    "an escape": get(at=QUERY.replace(":", "%3A")),
    "a broken escape": get(at=QUERY + "%zz"),
    "a plus": get(at=QUERY + "+"),
    "a fragment": get(at=QUERY + "#here"),
    "an absolute target": get(at="http://x" + QUERY),
    "a path with a slash more": get(at="/" + QUERY),
    "an escaped path": get(at=QUERY.replace("check", "%63heck")),
    "no user": get(at=target(user_id=None)),
    "a broken user": get(at=target(user_id="ann")),
    "a user in upper case": get(at=target(user_id=ANN.upper())),
    "a user by its other name": get(at=target(user_id=f"usr_{ANN}")),
    "no permission": get(at=target(permission="")),
    "nothing asked": get(at="/v1/check?"),
    "no query": get(at="/v1/check"),
    "a long query": get(at=QUERY + "&x=" + "y" * 3_000),
    "a query too long": get(at=QUERY + "&x=" + "y" * 70_000),
    "a long field": get("X-Other: " + "y" * 9_000),
    "many fields": get(*(f"X-{n}: {n}" for n in range(90))),
    "too many fields": get(*(f"X-{n}: {n}" for n in range(300))),
    "a hundred checks": PLAIN * 100,
    "HEAD": PLAIN.replace(b"GET", b"HEAD"),
    "POST": PLAIN.replace(b"GET", b"POST"),
    "a method in lower case": PLAIN.replace(b"GET", b"get"),
    "HTTP/1.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/1.2": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.2"),
    "HTTP/2.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "no protocol": PLAIN.replace(b" HTTP/1.1", b""),
    "two spaces": PLAIN.replace(b" HTTP/1.1", b"  HTTP/1.1"),
    "to be kept alive": get("Connection: keep-alive"),
    "to be closed": get("Connection: close"),
    "to be upgraded": get("Connection: Upgrade", "Upgrade: websocket"),
    "expected": get("Expect: 100-continue"),
    "an empty body": get("Content-Length: 0"),
    "a body": get(f"Content-Length: {len(BODY)}") + BODY,
    "a chunked body": get("Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "both lengths": get("Transfer-Encoding: chunked", "Content-Length: 5")
    + b"0\r\n\r\n",
    "two lengths": get("Content-Length: 0", "Content-Length: 5"),
    "a length that is none": get("Content-Length: +0"),
    "an empty line first": b"\r\n" + PLAIN,
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9 + b"\r\n\r\n",
    "a batch between": PLAIN
    + b"POST /v1/check/batch HTTP/1.1\r\nHost: x\r\nX-Request-Id: b\r\n"
    + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    + BODY
    + PLAIN,
    "something else between": PLAIN + get(at="/v1/whoami") + PLAIN,
    "nobody's path between": PLAIN + get(at="/nowhere") + PLAIN,
}


class Counted:
    """How many plain checks the fast path answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = 0
        answer = FastPath.answer

        def counting(path: FastPath, data: bytes, on: Remembered) -> bytes:
            answers = answer(path, data, on)
            self.answers += answers.count(b"HTTP/1.1 200 OK")
            return answers

        monkeypatch.setattr(FastPath, "answer", counting)


def stream(base_url: str, *pieces: bytes) -> bytes:
    """All that comes back for pieces sent one after the other.

    A piece is sent when something has come back for the one before, or nothing will.
    """
    came, end = b"", b""
    with Wire(base_url) as wire:
        for at, piece in enumerate(pieces, 1):
            with suppress(ConnectionError):
                wire.send(piece)
            settled = SILENCE if at == len(pieces) else PAUSE
            more, end = _until_quiet(wire, settled)
            came += more
    if b'"age_s":' in came or b'"revision":' in came:
        came = LENGTH.sub(b"?", came)
    return CHANGING.sub(b"?", came) + end


def _until_quiet(wire: Wire, settled: float) -> tuple[bytes, bytes]:
    """What comes until nothing has come for so long, and how it ended."""
    came = b""
    wire.socket.settimeout(SILENCE)
    try:
        while more := wire.socket.recv(65536):
            came += more
            wire.socket.settimeout(settled)
    except TimeoutError:
        return came, b"[quiet]"
    except ConnectionError:
        pass
    return came, b"[closed]"


@pytest.mark.parametrize("name", CORPUS)
def test_both_ways_answer_alike(ways: tuple[str, str], name: str) -> None:
    """Status, headers and body are the same, byte for byte, however it arrives."""
    fast, slow = ways
    request = CORPUS[name]
    for pieces in ([request + LAST], [request, LAST]):
        assert stream(slow, *pieces) == stream(fast, *pieces)


def test_plain_checks_take_the_fast_path(
    ways: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain check is answered there, and one with anything about it isn't."""
    counted = Counted(monkeypatch)
    taken = {}
    for name, request in CORPUS.items():
        counted.answers = 0
        stream(ways[0], request, LAST)
        taken[name] = counted.answers

    assert (1, 1, 2) == (taken["plain"], taken["denied"], taken["two"])
    assert 1 == taken["an id of its own"] == taken["an id that is none"]
    assert 1 == taken["to be kept alive"] == taken["a user by its other name"]
    assert 0 == sum(
        taken[name]
        for name in (
            "too many fields",
            "a hundred checks",
            "an explanation",
            "an address",
            "no credential",
            "two credentials",
            "an unknown credential",
            "a credential of another tenant",
            "two Hosts",
            "a body",
            "a chunked body",
            "both lengths",
            "expected",
            "to be closed",
            "to be upgraded",
            "HTTP/1.0",
            "HEAD",
            "a bare line feed",
            "a folded line",
            "a NUL in a field",
        )
    )


def test_a_connection_comes_back_from_the_framework(
    ways: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks something else in between has the fast path again afterwards."""
    counted = Counted(monkeypatch)
    head = b"POST /v1/check/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    others = [get(at="/v1/whoami"), get(at="/nowhere"), head % len(BODY) + BODY]
    with Wire(ways[0]) as wire:
        for number, other in enumerate(others, 1):
            wire.send(PLAIN)
            assert 200 == wire.receive().status
            assert number == counted.answers
            wire.send(other)
            wire.receive()


@pytest.mark.parametrize("fast_path", [True, False])
def test_an_idle_connection_is_closed_either_way(
    settled: str, monkeypatch: pytest.MonkeyPatch, *, fast_path: bool
) -> None:
    """After the framework's time, counted from the last answer, whoever gave it."""
    times = web.RequestHandler.__init__.__kwdefaults__
    assert times is not None
    monkeypatch.setitem(times, "keepalive_timeout", 0.6)
    with sidecar(settled, fast_path=fast_path) as base_url:
        for _ in range(2):  # at first the key isn't known yet
            with Wire(base_url) as wire:
                for _ in range(4):
                    sleep(0.3)
                    wire.send(PLAIN)
                    assert 200 == wire.receive().status
                assert wire.is_closed()


@pytest.mark.parametrize("cut", [1, 60, 90, 10_000])
def test_a_connection_comes_back_from_a_request_in_pieces(
    ways: tuple[str, str], monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """A head in two pieces, a body that comes later or is long: all end somewhere."""
    counted = Counted(monkeypatch)
    body = BODY + b" " * 200_000
    fields = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    other = get(*fields, at="/v1/check/batch").replace(b"GET", b"POST", 1) + body
    with Wire(ways[0]) as wire:
        for number in (1, 2):
            wire.send(other[:cut])
            sleep(PAUSE)
            wire.send(other[cut:])
            assert 400 == wire.receive().status
            wire.send(PLAIN)
            assert 200 == wire.receive().status
            assert number == counted.answers


def test_what_is_left_of_a_request_is_never_taken_for_one(
    ways: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check inside the body of another request isn't answered as one."""
    counted = Counted(monkeypatch)
    head = b"POST /v1/check/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    hidden = head % len(PLAIN)
    for fast_path, base_url in zip((True, False), ways, strict=True):
        for pieces in (
            [hidden + PLAIN, LAST],
            [hidden, PLAIN, LAST],
            [PLAIN[:40], PLAIN[40:], LAST],
        ):
            came = stream(base_url, *pieces)
            assert 2 == came.count(b"HTTP/1.1 "), (fast_path, came)
    assert 0 == counted.answers


@pytest.mark.parametrize("at", range(1, len(PLAIN), 7))
def test_a_check_in_two_pieces_is_answered_once(ways: tuple[str, str], at: int) -> None:
    """Wherever the network cuts it."""
    fast, slow = ways
    assert stream(slow, PLAIN + LAST) == stream(fast, PLAIN[:at], PLAIN[at:] + LAST)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1).map(Seeded))
def test_broken_requests_are_answered_alike(
    ways: tuple[str, str], random: Random
) -> None:
    """Bytes changed, doubled or left out anywhere make no difference between both."""
    request = bytearray(PLAIN)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(request))
        match random.randrange(4):
            case 0:
                request[at] = random.randrange(256)
            case 1:
                del request[at]
            case 2:
                request[at:at] = random.choice(
                    [b"\r\n", b"\n", b" ", b"%", b"&", b":", b"\0"]
                )
            case _:
                request[at:at] = request[at : at + random.randrange(1, 30)]
    fast, slow = ways
    assert stream(slow, bytes(request) + LAST) == stream(fast, bytes(request) + LAST)


@contextmanager
def asking(base_url: str, request: bytes) -> Iterator[Wire]:
    """A connection on which a request was answered well, twice."""
    with Wire(base_url) as wire:
        for _ in range(2):
            wire.send(request)
            assert 200 == wire.receive().status
        yield wire


def refuses(wire: Wire, request: bytes) -> bool:
    """Whether a request is answered by saying that its caller isn't known."""
    wire.send(request)
    return wire.receive().status == 401


def test_a_revoked_key_is_refused_on_the_same_connection(
    settled: str, connection: psycopg.Connection
) -> None:
    """Who was remembered on a connection is looked at again when anything changes."""
    with sidecar(settled) as base_url, asking(base_url, PLAIN) as wire:
        connection.execute("UPDATE auth.api_keys SET revoked_at = now()")
        eventually(lambda: refuses(wire, PLAIN))


def test_a_key_that_ends_is_refused_on_the_same_connection(
    settled: str, connection: psycopg.Connection
) -> None:
    """One with an end of its own is looked at each time, whatever the facts say."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    add_key(connection, ACME, "qk_brief.s", expires_at=soon)
    request = get(key="qk_brief.s")
    with sidecar(settled) as base_url, asking(base_url, request) as wire:
        eventually(lambda: refuses(wire, request))


def test_a_token_is_refused_when_its_user_is_suspended(
    settled: str, connection: psycopg.Connection
) -> None:
    """Callers with tokens are remembered as well, and forgotten as well."""
    with office(settled) as here:
        request = _with_token(here)
        with asking(here.base_url, request) as wire:
            connection.execute("UPDATE \"user\".users SET status = 'suspended'")
            eventually(lambda: refuses(wire, request))


def test_a_token_that_ends_is_refused_on_the_same_connection(settled: str) -> None:
    """No later than at its end, whatever was remembered of it."""
    with office(settled) as here:
        request = _with_token(here, lasting=3)
        with asking(here.base_url, request) as wire:
            eventually(lambda: refuses(wire, request))


def test_callers_with_tokens_take_the_fast_path(
    settled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's token that was seen before is known without waiting."""
    counted = Counted(monkeypatch)
    with office(settled) as here, asking(here.base_url, _with_token(here)):
        assert 1 == counted.answers


def _with_token(here: Office, lasting: int | None = None) -> bytes:
    over: dict[str, Any] = {}
    if lasting is not None:
        over["exp"] = now() + lasting
    token = here.user(**over)
    return PLAIN.replace(f"ApiKey {ACME_KEY}".encode(), token.encode())


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabc", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 02\r\n\r\nab", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", False),
        (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", False),
        (b"GET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * (1 << 14) + b"\r\n\r\n", False),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_request_is_whole_if_nothing_is_left(
    data: bytes, piece: int, *, whole: bool
) -> None:
    """Only then the framework's parser surely waits for nothing afterwards."""
    handover = Handover()
    for at in range(0, len(data), piece):
        assert not handover.is_whole or not whole
        handover.add(data[at : at + piece])

    assert whole is handover.is_whole
