"""Header fields: which go from one connection to the next (RFC 9110, section 7.6)."""

from collections.abc import Iterable, Iterator

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_ANEW = frozenset({"expect", "host", "via", "x-request-id"})  # of requests
_SWITCHES = frozenset({"tcp", "websocket"})

Fields = list[tuple[str, str]]


def request_fields(given: Iterable[tuple[str, str]], hop: str, id_: str) -> Fields:
    """What of a request's fields goes upstream, and what goes with them.

    All that concerns only the caller's connection stays behind; all else, credentials
    and `X-Forwarded-For` among it, is the caller's own word and goes as it came.

    Args:
        given: the fields as they came.
        hop: what this sidecar is called in `Via`.
        id_: what the request is called.
    """
    given = list(given)
    fields = [each for each in end_to_end(given) if each[0].lower() not in _ANEW]
    via = [value for name, value in given if name.lower() == "via"]
    return [*fields, ("Via", ", ".join([*via, f"1.1 {hop}"])), ("X-Request-Id", id_)]


def response_fields(given: Iterable[tuple[str, str]], id_: str) -> Fields:
    """What of a response's fields goes back to the caller."""
    fields = end_to_end(given)
    kept = [each for each in fields if each[0].lower() != "x-request-id"]
    return [*kept, ("X-Request-Id", id_)]


def end_to_end(given: Iterable[tuple[str, str]]) -> Fields:
    """The fields that aren't about one connection only, in order."""
    given = list(given)
    left_out = _HOP_BY_HOP | set(_tokens(given, "connection"))
    return [(name, value) for name, value in given if name.lower() not in left_out]


def has_passed(given: Iterable[tuple[str, str]], hop: str) -> bool:
    """Whether a request came by here before (RFC 9110, section 7.6.3)."""
    return any(
        hop in value.lower().split()
        for name, value in given
        if name.lower() == "via"
        for value in value.split(",")
    )


def wants_switch(given: Iterable[tuple[str, str]]) -> bool:
    """Whether a request asks for another protocol, and isn't just offering one."""
    return not _SWITCHES.isdisjoint(_tokens(given, "upgrade"))


def are_writable(fields: Fields) -> bool:
    """Whether all fields are text that can be written again as it was read."""
    try:
        for name, value in fields:
            (name + value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _tokens(given: Iterable[tuple[str, str]], wanted: str) -> Iterator[str]:
    for name, value in given:
        if name.lower() == wanted:
            yield from (token.strip().lower() for token in value.split(","))
