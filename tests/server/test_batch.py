"""`POST /v1/check/batch`: many questions at one revision."""

import json
import zlib
from itertools import product
from typing import Any

import pytest

from qeetid_authz_server.routes.batch import body_limit
from tests.server.sidecars import Reply, Wire, request, sidecar
from tests.server.test_check import ask
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    BOB,
    EVE,
    GUS,
    KEY,
    NOBODY,
    ODD_KEY,
    OTHER_KEY,
    SUE,
)

PATH = "/v1/check/batch"
JSON = "application/json"
HEAD = (
    f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {ACME_KEY}\r\n"
    f"Content-Type: {JSON}\r\n"
).encode()


def send(
    base_url: str, body: bytes, key: str | None = ACME_KEY, content_type: str = JSON
) -> Reply:
    """Post a body as it is."""
    return request(
        base_url, PATH, method="POST", body=body, key=key, Content_Type=content_type
    )


def batch(checks: list[tuple[str, str]], tenant: str = ACME) -> bytes:
    """A body with such pairs of user and permission."""
    items = [{"user_id": user, "permission": permission} for user, permission in checks]
    return json.dumps({"checks": items, "tenant_id": tenant}).encode()


def problem(reply: Reply) -> tuple[int, str, str | None]:
    """What a refusal says."""
    error = json.loads(reply.body)["error"]
    assert reply.header("Content-Type") == "application/json"
    return reply.status, error["code"], error.get("detail")


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
def test_answers_as_single_checks_do(
    request: pytest.FixtureRequest, semantics: str
) -> None:
    """Every item is what the single check says, in order, at one revision."""
    base_url = request.getfixturevalue(semantics)
    checks = list(product([ANN, BOB, SUE, GUS, EVE, NOBODY], [KEY, ODD_KEY, "x"]))

    reply = send(base_url, batch(checks))

    singles = [
        json.loads(ask(base_url, user_id=user, permission=permission).body)
        for user, permission in checks
    ]
    revision = reply.header("X-Qeetid-Revision")
    assert reply.status == 200
    assert json.loads(reply.body) == {"results": singles, "revision": revision}
    assert reply.body.startswith(b'{"results":[{"allowed":true},{"allowed":true},')
    assert reply.body.endswith(b"}\n")
    assert reply.header("X-Qeetid-Age") is not None


def test_spellings_of_ids(strict: str) -> None:
    """Ids in a batch are taken in the spellings of a single check."""
    checks = [(f"usr_{ANN}", KEY), (f"urn:uuid:{ANN.upper()}", KEY)]

    reply = send(strict, batch(checks, f"{{{ACME}}}"))

    assert json.loads(reply.body)["results"] == [{"allowed": True}] * 2


def test_known_questions_among_new_ones(strict: str) -> None:
    """Each has its own answer, in order, whichever were asked before."""
    send(strict, batch([(ANN, KEY), (EVE, "seen:once")]))
    checks = [(ANN, KEY), (BOB, KEY), (EVE, KEY), (ANN, "new:key"), (f"usr_{BOB}", KEY)]
    answers = [True, True, False, False, True]
    for _ in range(2):
        reply = send(strict, batch(checks))
        assert answers == [
            each["allowed"] for each in json.loads(reply.body)["results"]
        ]


def test_empty_batch(strict: str) -> None:
    """Nothing asked is nothing answered, still with a revision."""
    reply = send(strict, batch([]))

    revision = reply.header("X-Qeetid-Revision")
    assert revision
    assert json.loads(reply.body) == {"results": [], "revision": revision}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (batch([("x", KEY)], "x"), (400, "bad_request", "invalid tenant_id")),
        (batch([("x", KEY)], NOBODY), (403, "forbidden", "tenant mismatch")),
        (
            batch([(ANN, KEY), (BOB, KEY), ("x", "")]),
            (400, "bad_request", "checks[2]: invalid user_id"),
        ),
        (
            batch([(ANN, KEY), (BOB, "")]),
            (400, "rbac.permission_required", "checks[1]: no permission"),
        ),
        (
            batch([(ANN, "a\0b")]),
            (400, "bad_request", "checks[0]: invalid permission"),
        ),
        (b"", (400, "bad_request", "invalid body: Input data was truncated")),
        (
            b"[1",
            (400, "bad_request", "invalid body: Expected `object`, got `array`"),
        ),
        (
            b'{"checks":[],"tenant_id":"%s","x":1}' % ACME.encode(),
            (
                400,
                "bad_request",
                "invalid body: Object contains unknown field `x`",
            ),
        ),
        (
            (
                b'{"checks":[{"user_id":"","permission":"","tenant_id":""}],'
                b'"tenant_id":""}'
            ),
            (
                400,
                "bad_request",
                (
                    "invalid body: Object contains unknown field `tenant_id`"
                    " - at `$.checks[0]`"
                ),
            ),
        ),
        (
            b'{"checks":[{"user_id":1,"permission":""}],"tenant_id":""}',
            (
                400,
                "bad_request",
                "invalid body: Expected `str`, got `int` - at `$.checks[0].user_id`",
            ),
        ),
        (
            b'{"checks":[]}',
            (
                400,
                "bad_request",
                "invalid body: Object missing required field `tenant_id`",
            ),
        ),
        (
            batch([(ANN, KEY)] * 21),
            (413, "batch_too_large", "21 checks; at most 20 are taken"),
        ),
    ],
)
def test_refused_bodies(strict: str, body: bytes, expected: tuple[Any, ...]) -> None:
    """A batch with anything wrong in it is refused whole, naming the place."""
    assert problem(send(strict, body)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b'{"checks":[{"user_id":"\xff","permission":""}],"tenant_id":""}',
        rb'{"checks":[{"user_id":"\ud800","permission":""}],"tenant_id":""}',
        b"null",
        b"\xff",
        b"[" * 100_00,
    ],
)
def test_hostile_bodies(strict: str, body: bytes) -> None:
    """What is no text, no object or too deep is a bad request like any other."""
    status, code, _ = problem(send(strict, body))

    assert (status, code) == (400, "bad_request")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x", ""])
def test_other_content_types(strict: str, content_type: str) -> None:
    """A body that doesn't claim to be JSON is a 415."""
    reply = send(strict, batch([(ANN, KEY)]), content_type=content_type)

    assert problem(reply) == (415, "unsupported_media_type", None)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON;x=y"]
)
def test_content_type_with_parameters(strict: str, content_type: str) -> None:
    """Parameters and case of the content type don't matter."""
    reply = send(strict, batch([(ANN, KEY)]), content_type=content_type)

    assert reply.status == 200


def test_callers(strict: str) -> None:
    """A batch asks for a key like a check, before it looks at the body."""
    assert problem(send(strict, b"x", key=None))[:2] == (401, "unauthorized")
    assert problem(send(strict, batch([]), key=OTHER_KEY))[:2] == (403, "forbidden")


def test_body_beyond_the_limit(strict: str) -> None:
    """A body too long for its batch is a 413, also when it comes in chunks."""
    size = body_limit(20) + 1
    plain = HEAD + b"Content-Length: %d\r\n\r\n" % size + b" " * size
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"%x\r\n" % size + b" " * size + b"\r\n0\r\n\r\n"
    for raw in (plain, chunked):
        with Wire(strict) as wire:
            wire.send(raw)
            assert problem(wire.receive()) == (413, "batch_too_large", None)


def test_a_whole_batch(town_database: str) -> None:
    """The default limit of ten thousand checks is answered in one go."""
    checks = [(ANN, KEY), (EVE, KEY)] * 5000
    with sidecar(town_database) as base_url:
        reply = send(base_url, batch(checks))

    answers = [each["allowed"] for each in json.loads(reply.body)["results"]]
    assert answers == [True, False] * 5000


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nno gzip!", 415),
        (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ],
)
def test_body_that_cant_be_read(strict: str, rest: bytes, status: int) -> None:
    """A body that is broken or compressed is refused, and harms nobody."""
    with Wire(strict) as wire:
        wire.send(HEAD + rest)
        assert wire.receive().status == status

    assert send(strict, batch([])).status == 200


def test_nothing_is_inflated_for_strangers(strict: str) -> None:
    """A compressed body isn't inflated, least of all before its sender is known."""
    bomb = zlib.compress(bytes(1 << 24), wbits=31)
    reply = request(
        strict,
        "/v1/check/batch",
        method="POST",
        body=bomb,
        Content_Type="application/json",
        Content_Encoding="gzip",
    )

    assert reply.status == 401


def test_a_caller_who_leaves(strict: str) -> None:
    """A connection cut in the middle of a body harms nobody."""
    with Wire(strict) as wire:
        wire.send(HEAD + b'Content-Length: 100\r\n\r\n{"checks"')

    assert send(strict, batch([])).status == 200


def test_a_caller_who_waits_to_be_asked(strict: str) -> None:
    """A body that is announced with `Expect` is asked for."""
    body = batch([(ANN, KEY)])
    with Wire(strict) as wire:
        wire.send(HEAD + b"Expect: 100-continue\r\n")
        wire.send(b"Content-Length: %d\r\n\r\n" % len(body))
        assert wire.receive().status == 100
        wire.send(body)
        assert wire.receive().status == 200
