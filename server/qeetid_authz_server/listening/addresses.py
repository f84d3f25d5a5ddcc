"""Where the sidecar listens: `host:port`, `[v6]:port` or `unix:/path`."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

_UNIX = "unix:"
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; port 0 lets the system choose one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: Path

    @property
    def is_loopback(self) -> bool:
        """True: no other machine can reach it."""
        return True

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


Address: TypeAlias = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        ValueError: it is none.
    """
    if text.startswith(_UNIX):
        return _unix(text.removeprefix(_UNIX))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise ValueError(
            "must be host:port, [v6]:port or unix:/path, with a port from 0 to 65535"
        )
    return TcpAddress(_host(host), int(port))


def _unix(path: str) -> UnixAddress:
    if not path.startswith("/"):
        raise ValueError("must name a Unix socket by its absolute path")
    return UnixAddress(Path(path))


def _host(text: str) -> str:
    bracketed = text.startswith("[") and text.endswith("]")
    host = text[1:-1] if bracketed else text
    if bracketed != (":" in host):
        raise ValueError("must have an IPv6 address in brackets, and nothing else")
    if not host or any(char.isspace() or char in "/[]" for char in host):
        raise ValueError("must name a host; write 0.0.0.0 for all interfaces")
    return host
