"""Query strings as Go reads them, since callers were written against a Go server."""

from binascii import Error as HexError
from binascii import unhexlify


def parse_query(target: str) -> dict[bytes, bytes]:
    """The first value of each parameter (Qeet ID fact 1.1).

    Args:
        target: the request target as it came, bytes that aren't text as surrogates.
    """
    return parse_pairs(target.partition("?")[2].encode("utf-8", "surrogateescape"))


def parse_pairs(raw: bytes) -> dict[bytes, bytes]:
    """The same of what is behind the question mark.

    Pairs are parted by `&` only. A pair that holds a `;` or a broken %-escape is left
    out, `+` is a space, and names are case-sensitive.
    """
    query: dict[bytes, bytes] = {}
    for pair in raw.split(b"&"):
        if not pair or b";" in pair:
            continue
        name, _, value = pair.partition(b"=")
        if b"%" in pair or b"+" in pair:
            try:
                name, value = _unescape(name), _unescape(value)
            except HexError:
                continue
        query.setdefault(name, value)
    return query


def _unescape(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    first, *escaped = text.split(b"%")
    return first + b"".join(map(_unhex_first, escaped))


def _unhex_first(part: bytes) -> bytes:
    byte = unhexlify(part[:2])
    if not byte:
        raise HexError
    return byte + part[2:]
