"""HTTP/1.1 as far as a client of one server needs it: requests out, replies in."""

from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

SIZE_LIMIT = 1 << 25
"""Bytes that a reply may have; 100,000 explained grant paths have fewer."""

JSON = b"application/json"


class Unanswered(Exception):  # noqa: N818  (what came of a question, and not the end)
    """A question got no answer that counts.

    Attributes:
        cause: why, from a closed set: `unreachable`, `timeout`, `busy`, `broken`,
            `garbled`, `unexpected`, `failed`, `unavailable` or `stale`.
        detail: the same for people.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail


class Request(NamedTuple):
    """What is sent.

    Attributes:
        method: of HTTP.
        target: path and query, encoded.
        body: JSON, or nothing.
        at_least: the revision token of a transaction that must have been seen.
        authorization: a credential to present in place of the client's own.
    """

    method: str
    target: str
    body: bytes = b""
    at_least: str | None = None
    authorization: str | None = None


class Reply(NamedTuple):
    """What came back.

    Attributes:
        status: of HTTP.
        is_json: whether the body is said to be.
        body: all of it.
        is_last: whether nothing more comes over this connection.
    """

    status: int
    is_json: bool
    body: bytes
    is_last: bool


class Writing:
    """Requests to one server from one client, as bytes."""

    def __init__(self, authority: str, api_key: str | None, at_least: str) -> None:
        """Prepare.

        Args:
            authority: the server, as `Host` has it.
            api_key: what the client authenticates with.
            at_least: the name of the header for a revision token.
        """
        host = f" HTTP/1.1\r\nHost: {authority}\r\n"
        own = "" if api_key is None else f"Authorization: ApiKey {api_key}\r\n"
        self._common = host + own
        self._anonymous = host
        self._at_least = at_least

    def encode(self, request: Request) -> bytes:
        """A request as it is sent."""
        method, target, body, at_least, authorization = request
        head = f"{method} {target}{self._common}"
        if authorization is not None:
            head = (
                f"{method} {target}{self._anonymous}Authorization: {authorization}\r\n"
            )
        if at_least is not None:
            head += f"{self._at_least}: {at_least}\r\n"
        if body:
            head += (
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            return head.encode("ascii") + body
        return f"{head}\r\n".encode("ascii")


class Reading:
    """One reply as it comes in, piece by piece; the parser calls its `on_` methods."""

    __slots__ = (
        "_body",
        "_is_json",
        "_is_last",
        "_is_over",
        "_is_whole",
        "_parser",
        "_size",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._body: list[bytes] = []
        self._is_json = False
        self._is_last = True
        self._is_whole = False
        self._is_over = False
        self._size = 0

    def feed(self, data: bytes) -> Reply | None:
        """Take in what came; the reply, once it is whole.

        Raises:
            Unanswered: it is none, too large, or more than one.
        """
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            raise Unanswered("garbled", "what it says is no HTTP") from None
        if self._is_over:
            raise Unanswered("garbled", "it says more than was asked")
        if self._is_whole:
            return Reply(
                self._parser.get_status_code(),
                self._is_json,
                b"".join(self._body),
                self._is_last,
            )
        if self._size > SIZE_LIMIT:
            raise Unanswered("garbled", f"its answer exceeds {SIZE_LIMIT} bytes")
        return None

    def on_message_begin(self) -> None:
        """Something begins."""
        self._is_over = self._is_whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        if name.lower() == b"content-type":
            self._is_json = value.partition(b";")[0].strip().lower() == JSON

    def on_body(self, body: bytes) -> None:
        """Some of the body came."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        self._is_whole = True
        self._is_last = not self._parser.should_keep_alive()
