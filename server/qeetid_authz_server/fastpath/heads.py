"""Heads of requests that need no framework: read by a parser, or not at all.

A head is taken apart at its first line's end. Both parts are read by themselves, so
that who reads many can remember either; what is read is a pure function of its bytes.
Whatever HTTP's readers have ever disagreed about isn't plain: bytes that don't print,
lines that don't end as they should, names that come twice, and all that says in what
form a body comes or what becomes of the connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from re import compile as compile_pattern

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from qeetid_authz.principal import Kind, Principal
from qeetid_authz.sidecar.wire import AT_LEAST
from qeetid_authz_server.incoming.query import parse_pairs
from qeetid_authz_server.incoming.questions import read_id, read_permission
from qeetid_authz_server.outgoing.problems import Problem

END = b"\r\n\r\n"
"""Of a head."""

REMEMBERED = 32_768
"""Request lines that are remembered, the latest ones; about a kilobyte each."""

_LINE_SIZE = 1024  # bytes
_MOST_FIELDS = 100  # fewer than the framework takes
_FIELDS_SIZE = 8192  # bytes; longer ones are read by who has a limit to explain
_LINE = compile_pattern(rb"GET /v1/check\?([!-\"$-~]*) HTTP/1\.1")
_FIELDS = compile_pattern(rb"(?:\r\n[!-~][ -~]*)+\r\n\r\n")
_QUERY_MEMBERS = frozenset({b"user_id", b"tenant_id", b"permission"})
_NEVER_PLAIN = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"proxy-connection",
        b"sec-websocket-key1",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        AT_LEAST.lower().encode(),
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


@lru_cache(REMEMBERED)
def read_line(line: bytes) -> Asked:
    """What a request line asks, without the line's end.

    Raises:
        NotPlainError: it isn't `GET /v1/check?…`, or asks for more than yes or no, or
            would be refused.
    """
    plain = _LINE.fullmatch(line)
    if plain is None or len(line) > _LINE_SIZE:
        raise NotPlainError
    query = parse_pairs(plain[1])
    if query.keys() != _QUERY_MEMBERS:
        raise NotPlainError
    try:
        principal = _read_principal(query[b"user_id"], query[b"tenant_id"])
        permission = read_permission(query[b"permission"])
    except Problem:
        raise NotPlainError from None
    return Asked(principal, principal.tenant_id, permission)


@lru_cache(REMEMBERED)
def _read_principal(user: bytes, tenant: bytes) -> Principal:
    user_id, tenant_id = read_id(user, "user_id"), read_id(tenant, "tenant_id")
    return Principal.of(Kind.USER, user_id, tenant_id)


def read_fields(block: bytes) -> Mapping[bytes, bytes]:
    """What the fields of a head say, from its first line's end to the empty line's.

    Raises:
        NotPlainError: they can't be read, or say more than a plain request needs.
    """
    if len(block) > _FIELDS_SIZE or not _FIELDS.fullmatch(block):
        raise NotPlainError
    lines = _Reading(b"POST / HTTP/1.1" + block).lines
    fields = {name.lower(): value for name, value in lines}
    if len(fields) < len(lines) or len(fields) > _MOST_FIELDS:
        raise NotPlainError
    if not _NEVER_PLAIN.isdisjoint(fields):
        raise NotPlainError
    if b"host" not in fields:
        raise NotPlainError
    if fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        raise NotPlainError
    return fields


def text_of(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    """What a field says, or None."""
    value = fields.get(name)
    return None if value is None else value.rstrip(b" ").decode("ascii")


class _Reading:
    """The fields of one head as the parser reads them; it calls `on_header`."""

    __slots__ = ("lines",)

    def __init__(self, head: bytes) -> None:
        """Read.

        Raises:
            NotPlainError: the parser refuses it.
        """
        self.lines: list[tuple[bytes, bytes]] = []
        try:
            HttpRequestParser(self).feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            raise NotPlainError from None

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name, value))
