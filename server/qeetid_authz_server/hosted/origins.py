"""Where the hosted API is: a base URL that credentials may be sent to."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from qeetid_authz_server.hosted.targets import has_dot_segments
from qeetid_authz_server.listening.addresses import TcpAddress

_WRITTEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """A base URL, taken apart.

    Attributes:
        scheme: `https`, or `http`.
        host: a name or an address, without brackets.
        port: None for the scheme's own.
        base: the path that all others come behind, without a slash at its end.
    """

    scheme: str
    host: str
    port: int | None
    base: str


def parse_origin(text: str) -> Origin:
    """Read a base URL.

    Raises:
        ValueError: it is none, or none that credentials may be sent to.
    """
    parts = _split(text)
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be a URL like https://api.id.qeet.in")
    if "@" in parts.netloc:
        raise ValueError(
            "must hold no credentials; callers present their own, and no other is sent"
        )
    if parts.query or parts.fragment or has_dot_segments(parts.path):
        raise ValueError("must have no query, no fragment and no dot segments")
    if parts.scheme == "http" and not TcpAddress(parts.hostname, 0).is_loopback:
        raise ValueError(
            "must be https: credentials would travel unencrypted; http is for this"
            " machine only"
        )
    return Origin(parts.scheme, parts.hostname, _port(parts), parts.path.rstrip("/"))


def _split(text: str) -> SplitResult | None:
    if not _WRITTEN.fullmatch(text) or "\\" in text:
        return None
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError("must have a port from 0 to 65535, or none") from None
