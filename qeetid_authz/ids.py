"""Ids: sixteen bytes inside, canonical lower-case text outside."""

from binascii import Error as HexError
from binascii import unhexlify
from functools import lru_cache
from typing import TypeAlias

Id: TypeAlias = bytes
"""A UUID as its sixteen bytes."""

_USER_PREFIX = b"usr_"
_URN_PREFIX = b"urn:uuid:"
_DASH = ord("-")


def parse_id(text: str) -> Id:
    """Read a UUID in any spelling that Qeet ID's server takes.

    Thirty-six characters with dashes, thirty-two without, with `urn:uuid:` before
    it, or between any two bytes (Qeet ID fact 1.1); also behind `usr_`.

    Raises:
        TypeError: `text` is no string.
        ValueError: `text` is no such spelling.
    """
    if not isinstance(text, str):
        raise TypeError(f"an id must be a string, not `{text!r}`")
    parsed = parse_wire_id(text.encode("utf-8", "surrogateescape"))
    if parsed is None:
        raise ValueError(f"`{text}` is no UUID; write one like {format_id(bytes(16))}")
    return parsed


def parse_wire_id(raw: bytes) -> Id | None:
    """Read a UUID from bytes off the wire; None when it is in no known spelling."""
    raw = raw.removeprefix(_USER_PREFIX)
    match len(raw):
        case 32:
            return _unhex(raw)
        case 36:
            return _undash(raw)
        case 38:
            return _undash(raw[1:-1])
        case 45 if raw[:9].lower() == _URN_PREFIX:
            return _undash(raw[9:])
        case _:
            return None


@lru_cache(16_384)
def format_id(id_: Id) -> str:
    """Write an id in its canonical form: lower case, with dashes."""
    text = id_.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def format_optional(id_: Id | None) -> str | None:
    """The same of an id that there may not be."""
    return None if id_ is None else format_id(id_)


def _undash(raw: bytes) -> Id | None:
    if not raw[8] == raw[13] == raw[18] == raw[23] == _DASH:
        return None
    return _unhex(raw[:8] + raw[9:13] + raw[14:18] + raw[19:23] + raw[24:])


def _unhex(digits: bytes) -> Id | None:
    try:
        return unhexlify(digits)
    except HexError:
        return None
