"""Heads of requests that need no framework: read by a parser, or not at all.

A head is taken apart at its first line's end. Both parts are read by themselves, so
that who reads many can remember either; what is read is a pure function of its bytes.
Whatever HTTP's readers have ever disagreed about is None here: bytes that don't print,
lines that don't end as they should, names that come twice, and all that says how long
a message is or what becomes of its connection.
"""

from dataclasses import dataclass
from functools import lru_cache
from re import compile as compile_pattern

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.problems import Problem
from qeetid_authz_server.query import parse_query
from qeetid_authz_server.questions import read_id, read_permission

REMEMBERED = 32_768
"""Request lines that are remembered, the latest ones; about a kilobyte each."""

_LINE_SIZE = 1024  # bytes
_MOST_FIELDS = 100  # fewer than the framework takes
_FIELDS_SIZE = 8192  # bytes; longer ones are read by who has a limit to explain
_LINE = compile_pattern(rb"GET /v1/check\?[!-\"$-~]* HTTP/1\.1")
_FIELDS = compile_pattern(rb"(?:\r\n[!-~][ -~]*)+\r\n\r\n")
_HEAD = compile_pattern(rb"[A-Z]+ [!-~]+ HTTP/1\.1(?:\r\n[!-~][ -~]*)+\r\n\r\n")
_STEERING = frozenset({b"connection", b"expect", b"transfer-encoding", b"upgrade"})
_QUERY_MEMBERS = frozenset({b"user_id", b"tenant_id", b"permission"})
_NEVER_PLAIN = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"expect",
        b"proxy-connection",
        b"sec-websocket-key1",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


class NotPlainError(Exception):
    """It isn't for us to read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request line asks.

    Attributes:
        principal: about whom.
        tenant_id: in which tenant, canonical.
        permission: the key.
    """

    principal: Principal
    tenant_id: str
    permission: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What header fields say that matters to a check.

    Attributes:
        authorization: the credential; None if there is none.
        request_id: what the caller calls its request, or None.
    """

    authorization: str | None
    request_id: str | None


NO_FIELDS = Fields(None, None)


def is_whole(data: bytes) -> bool:
    """Whether bytes that begin a request end with it, as every reader would read it."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not _HEAD.fullmatch(head + end):
        return False
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    fields = [(name.lower(), value.strip()) for name, _, value in lines]
    if any(name in _STEERING for name, _ in fields):
        return False
    lengths = [value for name, value in fields if name == b"content-length"]
    return lengths == ([b"%d" % len(body)] if body else [])


@lru_cache(REMEMBERED)
def read_line(line: bytes) -> Asked:
    """What a request line asks, without the line's end.

    Raises:
        NotPlainError: it isn't `GET /v1/check?…`, or asks for more than yes or no, or
            would be refused.
    """
    if len(line) > _LINE_SIZE or not _LINE.fullmatch(line):
        raise NotPlainError
    query = parse_query(_Reading(line + b"\r\n\r\n").target.decode("ascii"))
    if query.keys() != _QUERY_MEMBERS:
        raise NotPlainError
    try:
        user = read_id(query[b"user_id"], "user_id")
        tenant = read_id(query[b"tenant_id"], "tenant_id")
        permission = read_permission(query[b"permission"])
    except Problem:
        raise NotPlainError from None
    principal = Principal.of(Kind.USER, user, tenant)
    return Asked(principal, principal.tenant_id, permission)


def read_fields(block: bytes) -> Fields:
    """What the fields of a head say, from its first line's end to the empty line's.

    Raises:
        NotPlainError: they can't be read, or say more than a check needs.
    """
    if len(block) > _FIELDS_SIZE or not _FIELDS.fullmatch(block):
        raise NotPlainError
    reading = _Reading(b"GET / HTTP/1.1" + block)
    fields = {name.lower(): value for name, value in reading.fields}
    if len(fields) < len(reading.fields) or len(fields) > _MOST_FIELDS:
        raise NotPlainError
    if not _NEVER_PLAIN.isdisjoint(fields):
        raise NotPlainError
    if b"host" not in fields:
        raise NotPlainError
    if fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        raise NotPlainError
    return Fields(_text(fields, b"authorization"), _text(fields, b"x-request-id"))


def _text(fields: dict[bytes, bytes], name: bytes) -> str | None:
    value = fields.get(name)
    return None if value is None else value.rstrip(b" ").decode("ascii")


class _Reading:
    """One head as the parser reads it; its callbacks are named by the parser."""

    __slots__ = ("fields", "target")

    def __init__(self, head: bytes) -> None:
        """Read.

        Raises:
            NotPlainError: the parser refuses it.
        """
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        try:
            HttpRequestParser(self).feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            raise NotPlainError from None

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))
