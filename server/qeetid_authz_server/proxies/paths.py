"""Paths that everybody behind reads alike; whatever can be read in two ways is refused.

A proxy, this sidecar and the application behind each have a reading of their own of
what is encoded, doubled or dotted. A decision about one reading says nothing of the
others.
"""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

Segments: TypeAlias = Sequence[str]
"""What is between slashes, decoded once; the last is empty behind a trailing slash."""

LONGEST_TARGET: Final = 8192
"""Characters of a request's target, the query's among them."""

_VISIBLE = re.compile(r"/[!-~]*")
_FOREIGN = frozenset("#\\")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_NEVER_DECODED = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f/\\\\;]"  # controls, what separates, what carries parameters
    "|%(?:[0-9A-Fa-f]{2}|u)"  # encoded twice
)
_DOTS = frozenset({".", ".."})


class AmbiguousPathError(ValueError):
    """A path that not everybody reads alike."""


def read_target(target: str) -> Segments:
    """The segments of a request's target, from which the query is left out.

    Raises:
        AmbiguousPathError: it is no path, too long, or can be read in two ways.
    """
    if len(target) > LONGEST_TARGET or not _VISIBLE.fullmatch(target):
        raise AmbiguousPathError("not a path of visible ASCII characters")
    if not _FOREIGN.isdisjoint(target):
        raise AmbiguousPathError("a character that has no place in a target")
    path = target.partition("?")[0]
    if _BAD_ESCAPE.search(path):
        raise AmbiguousPathError("a percent sign that encodes nothing")
    *inner, last = map(_decode, path[1:].split("/"))
    if not all(map(is_plain, inner)) or not (last == "" or is_plain(last)):
        raise AmbiguousPathError("a segment that can be read in two ways")
    return (*inner, last)


def is_plain(segment: str) -> bool:
    """Whether a decoded segment means itself to everybody, and isn't empty."""
    if segment in _DOTS:
        return False
    return segment != "" and _NEVER_DECODED.search(segment) is None


def _decode(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise AmbiguousPathError("an encoding that isn't UTF-8") from None
