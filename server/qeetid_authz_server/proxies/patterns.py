"""Which paths a route is for, as its pattern says."""

import re
from dataclasses import dataclass
from typing import Final

from qeetid_authz_server.proxies.paths import LONGEST_TARGET, is_plain

_REST: Final = "**"
_NAME = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_WILD = frozenset("*{}")
_NEVER_MATCHED = frozenset("?#")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Paths that are alike.

    Attributes:
        segments: the text of each segment, or None for any that isn't empty.
        has_rest: whether one or more segments follow, of which the last may be empty.
    """

    segments: tuple[str | None, ...]
    has_rest: bool = False


def read_pattern(text: str) -> Pattern:
    """A pattern: decoded segments, `{name}` for any one, `**` at the end for the rest.

    Raises:
        ValueError: it is none, or no path can ever match it.
    """
    if not text.startswith("/"):
        raise ValueError("must begin with `/`")
    if len(text) > LONGEST_TARGET:
        raise ValueError(f"is longer than any path that is let in ({LONGEST_TARGET})")
    *inner, last = text[1:].split("/")
    has_rest = last == _REST
    fixed = inner if has_rest or last == "" else [*inner, last]
    ending = ("",) if last == "" else ()
    return Pattern((*map(_segment, fixed), *ending), has_rest)


def _segment(text: str) -> str | None:
    if _NAME.fullmatch(text):
        return None
    if not _WILD.isdisjoint(text):
        raise ValueError(
            f"has `{text}`; wildcards are whole segments, `{{name}}` for any one and"
            " `**` at the end for the rest"
        )
    if not _NEVER_MATCHED.isdisjoint(text):
        raise ValueError(f"has `{text}`; queries aren't matched")
    if not is_plain(text):
        raise ValueError(
            f"can't match: a path with the segment `{text}` is always refused (write"
            " segments decoded, none of them empty, `.` or `..`, without `;` and `\\`)"
        )
    return text
