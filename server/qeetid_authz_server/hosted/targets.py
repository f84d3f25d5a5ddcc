"""Paths: which are the hosted API's, and which may be passed on as they are."""

import re
from typing import Final
from urllib.parse import unquote

NOT_SERVED: Final = (
    "the path isn't served here, and nothing is passed on to the hosted API; set"
    " QEETID_AUTHZ_UPSTREAM, or give a second client the hosted base URL"
)
"""What a caller is told who asks the sidecar for what only the hosted API has."""

_HOSTED = re.compile(r"/(?:v1|oauth|scim)/(?!(?i:check|whoami)(?:/|$)).")
_TARGET = re.compile(r"/[!-~]*")
_OURS = frozenset(
    {"access", "authz", "livez", "metrics", "openapi.json", "readyz"}
)  # what is never the hosted API's
_DECODINGS = 4  # more than anybody undoes


def is_hosted(path: str) -> bool:
    """Whether a path that isn't served here looks like one of the hosted API."""
    return _HOSTED.match(path) is not None


def is_ours(path: str) -> bool:
    """Whether a path, decoded, is at or below one that only a sidecar has."""
    return path.removeprefix("/").partition("/")[0] in _OURS


def require_passable(raw: str) -> None:
    """Return when a request's target may be passed on, byte for byte.

    Args:
        raw: the target as it was sent, with its query.

    Raises:
        ValueError: it is no path, or might lead out of the upstream's base path.
    """
    if not _TARGET.fullmatch(raw) or "#" in raw:
        raise ValueError("the target must be a path of visible ASCII characters")
    if has_dot_segments(raw.partition("?")[0]):
        raise ValueError("the path must have no dot segments, however encoded")


def has_dot_segments(path: str) -> bool:
    """Whether somebody who decodes a path may find `.` or `..` between slashes."""
    for _ in range(_DECODINGS):
        segments = path.replace("\\", "/").split("/")
        if any(segment.partition(";")[0] in (".", "..") for segment in segments):
            return True
        path = unquote(path, errors="replace")
    return False
