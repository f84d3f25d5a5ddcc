"""Asking a running sidecar how it is, over TCP or a Unix socket."""

import json
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import SSLContext
from typing import Any, NamedTuple

from qeetid_authz.errors import AuthzError
from qeetid_authz_server.listening.addresses import (
    Address,
    TcpAddress,
    UnixAddress,
    parse_address,
)
from qeetid_authz_server.listening.tls import client_context

_TIMEOUT = 5.0  # seconds
_HTTP, _HTTPS = "http://", "https://"
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (nothing binds)


class SidecarError(AuthzError):
    """The sidecar doesn't answer, or what answers isn't one."""

    code = "sidecar_unreachable"


class Door(NamedTuple):
    """Where a sidecar is asked, and what it must be recognised by, if by anything."""

    address: Address
    tls: SSLContext | None = None


class Readiness(NamedTuple):
    """What `/readyz` said."""

    ready: bool
    body: dict[str, Any]


def read_url(text: str) -> Door:
    """Read `http[s]://host:port`, or an address as the setting `listen` has it.

    Raises:
        ValueError: it is neither.
    """
    tls = client_context(None) if text.startswith(_HTTPS) else None
    authority = text.removeprefix(_HTTP).removeprefix(_HTTPS).removesuffix("/")
    return Door(parse_address(authority), tls)


def ask_health(door: Door) -> Readiness:
    """Ask for `/readyz`.

    Raises:
        SidecarError: nothing answers, or something that is no sidecar.
    """
    address = door.address
    try:
        status, data = _get(door, "/readyz")
    except (OSError, HTTPException) as error:
        raise SidecarError(
            f"the sidecar at `{address}` doesn't answer ({error}); start it with"
            " `qeetid-authz serve`, or name its address with --url"
        ) from error
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    if status not in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE) or not isinstance(
        body, dict
    ):
        raise SidecarError(f"what answers at `{address}` is no sidecar (HTTP {status})")
    return Readiness(status == HTTPStatus.OK, body)


class _UnixConnection(HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, address: UnixAddress) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = str(address.path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _get(door: Door, path: str) -> tuple[int, bytes]:
    connection = _connection(door)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _connection(door: Door) -> HTTPConnection:
    match door.address:
        case UnixAddress() as address:
            return _UnixConnection(address)
        case TcpAddress(host, port):
            # Who listens on every interface is asked on the loopback one.
            host = _ANY_HOST.get(host, host)
            if door.tls is None:
                return HTTPConnection(host, port, timeout=_TIMEOUT)
            return HTTPSConnection(host, port, timeout=_TIMEOUT, context=door.tls)
