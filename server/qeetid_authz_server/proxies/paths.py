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
_FOREIGN = re.compile(r"[#\\]")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})|%2[Ff]")  # or one that would separate
_PLAIN = re.compile(
    r"(?:/(?!\.{1,2}(?:/|\Z))"  # no dots alone
    r"[^/\\;\x00-\x1f\x7f-\x9f]+)*/?"  # nothing empty; no parameters, no controls
)
_ENCODED_TWICE = re.compile("%(?:[0-9A-Fa-f]{2}|u)")


class AmbiguousPathError(ValueError):
    """A path that not everybody reads alike."""


def read_target(target: str) -> Segments:
    """The segments of a request's target, from which the query is left out.

    Raises:
        AmbiguousPathError: it is no path, too long, or can be read in two ways.
    """
    if len(target) > LONGEST_TARGET or not _VISIBLE.fullmatch(target):
        raise AmbiguousPathError("not a path of visible ASCII characters")
    if _FOREIGN.search(target):
        raise AmbiguousPathError("a character that has no place in a target")
    path = target.partition("?")[0]
    if "%" in path:
        path = _decode(path)
    if not _is_plain(path):
        raise AmbiguousPathError("a segment that can be read in two ways")
    return path[1:].split("/")


def is_plain(segment: str) -> bool:
    """Whether a decoded segment means itself to everybody, and isn't empty."""
    return segment != "" and "/" not in segment and _is_plain(f"/{segment}")


def _is_plain(path: str) -> bool:
    if "%" in path and _ENCODED_TWICE.search(path):
        return False
    return _PLAIN.fullmatch(path) is not None


def _decode(path: str) -> str:
    if _BAD_ESCAPE.search(path):
        raise AmbiguousPathError("a percent sign that encodes nothing, or a slash")
    try:
        return unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise AmbiguousPathError("an encoding that isn't UTF-8") from None
