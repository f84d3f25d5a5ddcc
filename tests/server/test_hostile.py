"""Hostile requests: too much, too deep, too many, or in no encoding of ours."""

import gzip
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qeetid_authz_server.incoming.forms import FORM_SIZE_LIMIT
from tests.server.sidecars import Wire, exchange, request
from tests.server.test_fastcheck import LAST, PLAIN, get, stream
from tests.server.test_fastintrospection import FORM
from tests.server.test_serving import program
from tests.server.town import ACME, ACME_KEY, ANN, KEY, target

ALLOWED = b'{"allowed":true}'


KEY_AS_SENT = f"permission={KEY.replace(':', '%3A')}".encode()


@pytest.mark.parametrize(
    "permission",
    [
        KEY.encode("utf-16"),
        KEY.encode("utf-16-le"),
        KEY.encode("utf-8-sig"),
        b"billing\xc0\xbawrite",
        b"billing\xe0\x80\xbawrite",
        b"billing%C0%BAwrite",
        b"billing%253Awrite",
        b"billing%u003Awrite",
        b"billing%3awrite%00",
        b"billing%3awrite%0a",
        b"billing%3awrite%ff",
        b"billing%3awrite%ed%a0%80",
        b"billing\xef\xbc\x9awrite",
        b"BILLING:WRITE",
        b"+billing:write",
        b"billing:write+",
        b"b%69lling:write%",
    ],
)
def test_keys_in_another_encoding(ways: tuple[str, str], permission: bytes) -> None:
    """A key that only looks like one that is held is never allowed."""
    asked = PLAIN.replace(KEY_AS_SENT, b"permission=" + permission)
    assert asked != PLAIN
    fast, slow = (stream(way, asked + LAST) for way in ways)

    assert slow == fast
    assert ALLOWED not in fast
    assert b"HTTP/1.1 200 " in fast or b" 400 " in fast


HELD = (ANN, ACME, KEY)
SOME = st.sampled_from([ANN, ACME, KEY, ACME_KEY, "", "\0", "é", "a" * 32, "*", "%"])
PIECES = st.lists(SOME | st.text(max_size=6), max_size=4).map("".join)


@settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(PIECES, PIECES, PIECES, PIECES)
@example(ANN, ACME, KEY, ACME_KEY)
@example(ANN.upper(), f"usr_{ACME}", KEY, ACME_KEY)
@example(ANN, ACME, KEY, ACME_KEY + " ")
@example(ANN, ACME, KEY, ACME_KEY[:-1])
def test_only_what_is_held_is_allowed(
    ways: tuple[str, str], user: str, tenant: str, permission: str, key: str
) -> None:
    """One question with one key is allowed, and nothing that was put together is."""
    at = target(user_id=user, tenant_id=tenant, permission=permission)
    asked = get(at=at, key=key.encode().decode("latin-1"))
    fast, slow = (exchange(way, asked) for way in ways)

    assert (slow.status, len(slow.headers)) == (fast.status, len(fast.headers))
    spelt = (user.lower(), tenant.removeprefix("usr_"), permission, key.strip())
    assert (*HELD, ACME_KEY) == spelt or ALLOWED not in fast.body + slow.body
    assert 500 > max(fast.status, slow.status)


@settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(min_size=1, max_size=300), st.sampled_from(range(len(PLAIN))))
def test_any_bytes(ways: tuple[str, str], noise: bytes, at: int) -> None:
    """Alone or inside a request, they are answered alike, and never by a fault."""
    for sent in (noise, PLAIN[:at] + noise + PLAIN[at:]):
        fast, slow = (stream(way, sent + LAST) for way in ways)

        assert slow == fast
        assert b" 500 " not in fast[:13]


def post(
    base_url: str, path: str, body: bytes, content_type: str, **more: str
) -> tuple[int, str]:
    """Status and code of what is refused."""
    reply = request(
        base_url,
        path,
        method="POST",
        body=body,
        key=ACME_KEY,
        Content_Type=content_type,
        **more,
    )
    return reply.status, json.loads(reply.body)["error"]["code"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"tenant_id":"x","checks":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"tenant_id":"x","checks":[],"checks":{}}',
        json.dumps({"tenant_id": ACME, "checks": []}).encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"tenant_id":"\xc0\xba","checks":[]}',
        b'{"tenant_id":"\\ud800","checks":[]}',
        b'{"tenant_id":1e999,"checks":[]}',
        b"9" * 100_000,
        b"\0",
    ],
)
def test_batches_that_are_none(ways: tuple[str, str], body: bytes) -> None:
    """Whatever the body is, it is refused for what it is."""
    refused = post(ways[0], "/v1/check/batch", body, "application/json")
    assert (400, "bad_request") == refused
    assert 200 == request(ways[0], "/livez").status


def test_bodies_that_unfold(strict: str) -> None:
    """A compressed body isn't looked into."""
    bomb = gzip.compress(b"0" * 1_000_000)
    for path, content_type, refusal in (
        ("/v1/check/batch", "application/json", (415, "unsupported_media_type")),
        ("/oauth/introspect", FORM, (400, "oidc.form_invalid")),
    ):
        given = post(strict, path, bomb, content_type, Content_Encoding="gzip")
        assert refusal == given


@pytest.mark.parametrize("length", [FORM_SIZE_LIMIT + 1, 10**12, 2**63 - 1])
def test_a_form_too_long_to_come(ways: tuple[str, str], length: int) -> None:
    """It is refused by what it announces, before it comes."""
    head = get(f"Content-Type: {FORM}", f"Content-Length: {length}")
    asked = head.replace(PLAIN[: PLAIN.index(b" HTTP")], b"POST /oauth/introspect", 1)
    for way in ways:
        with Wire(way) as wire:
            wire.send(asked + b"token=x")
            assert 413 == wire.receive().status


@pytest.mark.parametrize(
    "flood",
    [
        [f"X-{n}: y" for n in range(1_000)],
        ["X: y"] * 1_000,
        ["X: " + "y" * 70_000],
        ["X" * 70_000 + ": y"],
        ["Cookie: " + "a=b; " * 20_000],
    ],
)
def test_floods_of_fields(ways: tuple[str, str], flood: list[str]) -> None:
    """Too many of them or too long ones are refused, and nobody else is."""
    for way in ways:
        assert 400 == exchange(way, get(*flood)).status
        assert ALLOWED in exchange(way, PLAIN).body


CROWD, SPARE = 10_000, 1_000


@pytest.fixture
def many_files() -> Iterator[None]:
    """Files enough for a crowd's connections, here and in processes started here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (CROWD + SPARE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_idle_connections(settled_database: str, many_files: None) -> None:
    """Who only holds a connection keeps nobody waiting."""
    with program(settled_database) as running, ExitStack() as crowd:
        address = urlsplit(running.base_url)
        for number in range(CROWD):
            member = crowd.enter_context(socket.socket())
            member.connect((address.hostname, address.port))
            if number % 100 == 0:  # fewer than may wait to be taken
                assert ALLOWED == exchange(running.base_url, PLAIN).body.strip()
        assert ALLOWED == exchange(running.base_url, PLAIN).body.strip()
