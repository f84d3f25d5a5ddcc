"""A request hidden in another's body is never answered as one of its own."""

import re

import pytest

from tests.server.test_fastcheck import PLAIN, get, stream

FINAL = re.compile(rb"HTTP/1\.[01] [2-5]")  # a status that isn't an interim one
HIDDEN = get("X-Request-Id: hidden")
CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
ENDED = b"0\r\n\r\n" + HIDDEN


def post(*lines: str, body: bytes, path: str = "/v1/check/batch") -> bytes:
    """A request with such header lines about its body."""
    head = get("Content-Type: application/json", *lines, at=path)
    return head.replace(b"GET", b"POST", 1) + body


def both(transfer_encoding: str) -> list[bytes]:
    """A body that is chunked by one field, and as long as another says."""
    return [
        post(transfer_encoding, f"Content-Length: {len(ENDED)}", body=ENDED),
        post(f"Content-Length: {len(ENDED)}", transfer_encoding, body=ENDED),
        post("Content-Length: 4", transfer_encoding, body=CHUNK),
    ]


def long(*lines: str) -> list[bytes]:
    """A body whose length is said in an odd way; some readers see none at all."""
    length = len(HIDDEN)
    return [post(*(line.format(length) for line in lines), body=HIDDEN)]


def in_chunks(framed: bytes) -> list[bytes]:
    """A chunked body."""
    return [post("Transfer-Encoding: chunked", body=framed)]


SIZE = b"%x" % len(HIDDEN)
SHAPES: dict[str, list[bytes]] = {
    "both lengths": both("Transfer-Encoding: chunked"),
    "chunked in other case": both("transfer-encoding: ChUnKeD"),
    "chunked behind a tab": both("Transfer-Encoding:\tchunked"),
    "chunked behind a vertical tab": both("Transfer-Encoding: \x0bchunked"),
    "chunked with a space before the colon": both("Transfer-Encoding : chunked"),
    "chunked on a folded line": both("Transfer-Encoding:\r\n chunked"),
    "chunked in a folded line": both("X: y\r\n Transfer-Encoding: chunked"),
    "chunked behind a bare line feed": both("X: y\nTransfer-Encoding: chunked"),
    "chunked behind a bare return": both("X: y\rTransfer-Encoding: chunked"),
    "chunked behind a NUL": both("X: y\0Transfer-Encoding: chunked"),
    "chunked in quotes": both('Transfer-Encoding: "chunked"'),
    "almost chunked": both("Transfer-Encoding: xchunked"),
    "chunked twice": both("Transfer-Encoding: chunked, chunked"),
    "chunked before another": both("Transfer-Encoding: chunked, identity"),
    "chunked behind another": both("Transfer-Encoding: identity, chunked"),
    "chunked in two fields": both(
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"
    ),
    "two lengths": long("Content-Length: 0", "Content-Length: {}"),
    "two lengths the other way": long("Content-Length: {}", "Content-Length: 0"),
    "the same length twice": long("Content-Length: {0}", "Content-Length: {0}"),
    "two lengths in one": long("Content-Length: {0}, {0}"),
    "a length with a plus": long("Content-Length: +{}"),
    "a length with a minus": long("Content-Length: -{}"),
    "a length with zeros": long("Content-Length: 000{}"),
    "a length with a space": long("Content-Length: {} 1"),
    "a length in hexadecimal": long("Content-Length: 0x{}"),
    "a length with an underscore": long("Content-Length: 1_{}"),
    "a length beyond 64 bits": long("Content-Length: 18446744073709551616"),
    "a length that is empty": long("Content-Length:"),
    "a length with a space before the colon": long("Content-Length : {}"),
    "a length with a NUL": long("Content-Length: {}\0"),
    "a length on a folded line": long("Content-Length:\r\n {}"),
    "a chunk with an extension": in_chunks(
        SIZE + b";x=y\r\n" + HIDDEN + b"\r\n0\r\n\r\n"
    ),
    "an extension with a line feed": in_chunks(b"2;\nxx\r\n" + CHUNK),
    "an extension with a return": in_chunks(b"2;\rxx\r\n" + CHUNK),
    "a chunk's size with a sign": in_chunks(b"+" + CHUNK),
    "a chunk's size with a prefix": in_chunks(b"0x" + CHUNK),
    "a chunk's size behind a space": in_chunks(b" " + CHUNK),
    "a chunk's size beyond 64 bits": in_chunks(b"1" + b"0" * 16 + b"\r\n" + HIDDEN),
    "a chunk that ends in a line feed": in_chunks(SIZE + b"\n" + HIDDEN + b"\n0\n\n"),
    "a chunk that goes on": in_chunks(b"1\r\nxyz\r\n" + CHUNK),
    "a chunk that is cut short": in_chunks(b"1\r\n\r\n0\r\n\r\n" + HIDDEN),
    "a trailer": in_chunks(b"0\r\nX: y\r\nContent-Length: 3\r\n" + HIDDEN),
    "an upgrade": [
        post(
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            f"Content-Length: {len(HIDDEN)}",
            body=HIDDEN,
        )
    ],
    "an expectation": long("Expect: 100-continue", "Content-Length: {}"),
    "an introspection": [
        post(f"Content-Length: {len(HIDDEN)}", body=HIDDEN, path="/oauth/introspect")
    ],
    "a check with a body": [get(f"Content-Length: {len(HIDDEN)}") + HIDDEN],
    "HTTP/0.9": [b"GET /v1/check\r\n" + HIDDEN, b"GET /v1/check\r\n\r\n" + HIDDEN],
    "HTTP/2": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN],
    "a head in a target": [b"GET /\r\n\r\n HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN],
    "a colon left out": [get("X")[:-2] + HIDDEN],
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_hidden_stays_unanswered(ways: tuple[str, str], name: str) -> None:
    """However the end of what hides it is obscured, at once or after an answer."""
    for outer in SHAPES[name]:
        for pieces in ([outer], [PLAIN, outer]):
            fast, slow = (stream(way, *pieces) for way in ways)
            assert slow == fast
            assert b"hidden" not in fast
            assert len(pieces) == len(FINAL.findall(fast)), fast
