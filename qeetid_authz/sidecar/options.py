"""Where a sidecar is, what its client can be told, and every way to get it wrong."""

import os
import re
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, TypedDict
from urllib.parse import urlsplit

TIMEOUT = 0.5  # seconds
AT_LEAST_TIMEOUT = 1.0  # seconds
CONNECTIONS = 64

_UNIX = "unix:"
_PORTS = {"http": 80, "https": 443}
_KEY = re.compile(r"[!-~]+", re.ASCII)


class Address(NamedTuple):
    """Where a sidecar listens.

    Attributes:
        name: what messages call it.
        host: to connect to, and what a certificate must name; "" of a Unix socket.
        port: to connect to.
        path: of a Unix socket, or "".
        is_encrypted: whether by TLS.
    """

    name: str
    host: str
    port: int = 0
    path: str = ""
    is_encrypted: bool = False

    @property
    def authority(self) -> str:
        """What the `Host` of a request says."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `http://host[:port]`, `https://host[:port]` or `unix:/path`.

    Raises:
        TypeError: `text` is no string.
        ValueError: it is none of these; it may hold a password, and isn't quoted.
    """
    if not isinstance(text, str):
        raise TypeError(f"a sidecar's address must be a string, not `{type(text)}`")
    path = text.removeprefix(_UNIX)
    if path != text and path.startswith("/") and "\0" not in path:
        return Address(text, "", path=path)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if port is None:
        port = _PORTS.get(parts.scheme, 0)
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if not (host and port and is_bare and parts.scheme in _PORTS and text.isascii()):
        raise ValueError(
            "a sidecar's address is `http://host:port`, `https://host:port` or"
            " `unix:/path`, and nothing behind it"
        )
    if "@" in parts.netloc:
        raise ValueError(
            "a sidecar's address holds no user or password; give its key as `api_key`"
        )
    name = f"{parts.scheme}://{parts.netloc}"
    return Address(name, host, port, is_encrypted=parts.scheme == "https")


class Given(TypedDict, total=False):
    """The keywords of a client; `ClientOptions` says what they mean."""

    api_key: str | None
    timeout: float
    at_least_timeout: float
    connections: int
    raises_stale: bool
    ca_file: str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The same, valid once it exists.

    Attributes:
        api_key: what the client authenticates with, `qk_…`; None where the sidecar asks
            nobody (`caller_auth` off).
        timeout: seconds that a question may take in all, from waiting for a connection
            to the last byte of the answer.
        at_least_timeout: seconds that a question may take on top of that which must
            see a transaction; no less than the sidecar waits for it.
        connections: that are open at once, at most.
        raises_stale: whether to raise StaleError instead of denying as `stale`.
        ca_file: PEM file of the certificates that an `https` sidecar's must be, or must
            be signed by; None for those that the system trusts.
    """

    api_key: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT
    at_least_timeout: float = AT_LEAST_TIMEOUT
    connections: int = CONNECTIONS
    raises_stale: bool = False
    ca_file: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: it names the option and the rule.
        """
        if not 0 < self.timeout < inf or not 0 < self.at_least_timeout < inf:
            raise ValueError(
                f"timeout `{self.timeout}` and at_least_timeout"
                f" `{self.at_least_timeout}` must be more than 0 seconds"
            )
        if self.connections < 1:
            raise ValueError(f"connections `{self.connections}` must be at least 1")
        key: object = self.api_key
        if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
            raise ValueError("api_key must be the whole of a key, without its scheme")
