"""Where connections come in: a TCP port or a Unix socket."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import ClassVar

from aiohttp import web

from qeetid_authz.errors import AuthzError
from qeetid_authz_server.listening.addresses import Address, TcpAddress, UnixAddress

_SOCKET_UMASK = 0o117  # leaves 0660
_PROBE_TIMEOUT = 1.0  # seconds
_BACKLOG = 4096  # connections that wait to be accepted; the kernel may allow fewer


class ListenError(AuthzError):
    """The address can't be listened on."""

    code: ClassVar[str] = "listen"


class Listener:
    """Listens on one address.

    Attributes:
        base_url: where it answers once started: a URL, or `unix:/path`.
    """

    def __init__(self, address: Address, tls: SSLContext | None = None) -> None:
        """Prepare.

        Args:
            address: where.
            tls: what connections to a TCP port are encrypted by.
        """
        self._address = address
        self._tls = tls
        self._file: tuple[int, int] | None = None
        self.base_url = ""

    async def start(self, runner: web.AppRunner) -> None:
        """Take connections from now on.

        Raises:
            ListenError: the address is taken, unknown or forbidden.
        """
        try:
            match self._address:
                case TcpAddress(host, port):
                    site = web.TCPSite(
                        runner, host, port, ssl_context=self._tls, backlog=_BACKLOG
                    )
                    await site.start()
                    scheme = "http" if self._tls is None else "https"
                    self.base_url = f"{scheme}://{TcpAddress(host, site.port)}"
                case UnixAddress(path):
                    unix = web.UnixSite(runner, path, backlog=_BACKLOG)
                    await self._start_unix(unix, path)
        except OSError as error:
            raise ListenError(
                f"can't listen on `{self._address}` ({_said(error)}); choose another"
                " address with QEETID_AUTHZ_LISTEN"
            ) from error

    async def _start_unix(self, site: web.UnixSite, path: Path) -> None:
        _make_way(path)
        with _umask(_SOCKET_UMASK):
            await site.start()
        self._file = _identity(path)
        self.base_url = str(self._address)

    def close(self) -> None:
        """Take the socket's file away, if it is still the one that was made."""
        if self._file is not None and isinstance(self._address, UnixAddress):
            with suppress(FileNotFoundError):
                if _identity(self._address.path) == self._file:
                    self._address.path.unlink()


def _make_way(path: Path) -> None:
    """Remove a socket that nobody listens on any more, and nothing else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"`{path}` is in the way and no socket; move it away")
    if _answers(path):
        raise ListenError(f"another process listens on `{path}`; stop it first")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # Its backlog is full.
    return True


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    former = os.umask(mask)
    try:
        yield
    finally:
        os.umask(former)


def _said(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return error.strerror or str(error)
