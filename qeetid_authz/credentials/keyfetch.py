"""One GET over HTTP, bounded in time and size, that follows no redirect.

No cookie is kept, and TLS verifies who answers.
"""

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
)
from socket import SHUT_RDWR, socket
from ssl import create_default_context
from threading import Lock, Thread
from typing import Any, TypeAlias
from urllib.error import URLError
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from qeetid_authz.errors import KeysUnavailableError

DEADLINE = 5.0  # seconds from the first step to the last byte
SIZE_LIMIT = 1 << 20  # bytes
OK = 200

_Hold: TypeAlias = Callable[[socket], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: of HTTP.
        cache_control: all headers of that name in one, "" without any.
        body: at most one byte more than `SIZE_LIMIT`; read of status 200 only.
    """

    status: int
    cache_control: str
    body: bytes


class Exchange:
    """One request and its reply, on a thread that whoever waits can let go of.

    A socket's timeout holds for each operation on it, and looking a name up knows
    none at all: only letting go bounds the whole.
    """

    def __init__(self, request: Request, name: str) -> None:
        """Prepare; `name` is what messages call the other side."""
        self._request = request
        self._name = name
        self._outcome: Future[Reply] = Future()
        self._lock = Lock()
        self._was_cut = False
        self._line: socket | None = None

    def result(self) -> Reply:
        """The reply, asked for now.

        Raises:
            KeysUnavailableError: it didn't come whole within `DEADLINE`, and why.
        """
        Thread(target=self._run, name="qeetid-authz-fetch", daemon=True).start()
        try:
            return self._outcome.result(DEADLINE)
        except TimeoutError:
            raise self._failure(f"didn't answer within {DEADLINE:g} s") from None
        finally:
            self.cut()

    def cut(self) -> None:
        """Hang up, whatever the other side is doing."""
        self._fail("isn't waited for any more")
        with self._lock:
            self._was_cut = True
            line, self._line = self._line, None
        if line is not None:
            with line, suppress(OSError):
                line.shutdown(SHUT_RDWR)

    def _hold(self, connected: socket) -> None:
        """Keep a handle of our own of a new connection, below TLS."""
        with self._lock:
            if self._was_cut:
                raise ConnectionAbortedError
            self._line = connected.dup()

    def _run(self) -> None:
        try:
            reply = self._fetch()
        except Exception as error:  # noqa: BLE001  (whoever waits hears of it)
            self._fail(_why(error))
        else:
            with suppress(InvalidStateError):
                self._outcome.set_result(reply)

    def _fail(self, why: str) -> None:
        with suppress(InvalidStateError):
            self._outcome.set_exception(self._failure(why))

    def _failure(self, why: str) -> KeysUnavailableError:
        return KeysUnavailableError(f"{self._name} {why}")

    def _fetch(self) -> Reply:
        response: HTTPResponse
        # Longer than anybody waits; it ends what can't be cut, as connecting can't.
        timeout = 2 * DEADLINE
        with _opener(self._hold).open(self._request, timeout=timeout) as response:
            body = b""
            if response.status == OK:
                body = response.read(SIZE_LIMIT + 1)
                if response.length and len(body) <= SIZE_LIMIT:
                    raise IncompleteRead(body)
            cache_control = response.headers.get_all("Cache-Control", [])
            return Reply(response.status, ",".join(cache_control), body)


def _why(error: Exception) -> str:
    match error:
        case IncompleteRead() | ConnectionResetError():
            return "broke off its answer"
        case HTTPException():
            return f"doesn't speak HTTP ({type(error).__name__})"
        case URLError(reason=reason):
            return f"can't be reached: {reason}"
        case _:
            return f"can't be read ({type(error).__name__})"


class _Connection(HTTPConnection):
    """One that hands out its socket, before any TLS begins."""

    hold: _Hold

    def connect(self) -> None:
        super().connect()
        self.hold(self.sock)


class _TlsConnection(HTTPSConnection, _Connection):
    pass


class _Handler(HTTPHandler, HTTPSHandler):
    def __init__(self, hold: _Hold) -> None:
        super().__init__()
        self._hold = hold

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._plain, req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._tls, req)

    def _plain(self, host: str, **options: Any) -> HTTPConnection:
        connection = _Connection(host, **options)
        connection.hold = self._hold
        return connection

    def _tls(self, host: str, **options: Any) -> HTTPConnection:
        # The context is ours: a process may have made the default one trust anybody.
        context = create_default_context()
        connection = _TlsConnection(host, context=context, **options)
        connection.hold = self._hold
        return connection


def _opener(hold: _Hold) -> OpenerDirector:
    """One that knows HTTP, TLS and proxies, and nothing else."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), _Handler(hold), UnknownHandler()):
        opener.add_handler(handler)
    return opener
