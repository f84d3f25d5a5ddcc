"""A hosted API on loopback that keeps every byte it gets, and says what a test wants."""

import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

Script = Callable[[socket.socket], None]


class Upstream:
    """Answers each request with some bytes, or does what a script does.

    Attributes:
        answer: to each request, from now on; a script gets the connection instead,
            once a head has come.
        requests: those that came whole, as they came.
        connections: how many came.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self.answer: bytes | Script = OK
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    @property
    def base_url(self) -> str:
        """Where it is."""
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._thread.join()

    @property
    def last(self) -> bytes:
        """The request that came last."""
        return self.requests[-1]

    @property
    def head(self) -> list[str]:
        """The lines of its head."""
        return self.last.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")

    @property
    def body(self) -> bytes:
        """Its body as it was framed."""
        return self.last.partition(b"\r\n\r\n")[2]

    def fields(self, name: str) -> list[str]:
        """The values of one header of the request that came last."""
        pairs = [line.partition(": ") for line in self.head[1:]]
        return [value for n, _, value in pairs if n.lower() == name.lower()]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with suppress(OSError, ValueError), self._secured(raw) as connection:
            while request := _read(connection, whole=isinstance(self.answer, bytes)):
                self.requests.append(request)
                if isinstance(self.answer, bytes):
                    connection.sendall(self.answer)
                else:
                    self.answer(connection)
                    break

    def _secured(self, raw: socket.socket) -> socket.socket:
        if self._context is None:
            return raw
        return self._context.wrap_socket(raw, server_side=True)


def hung_up(upstream: Upstream) -> tuple[list[bytes], Callable[[socket.socket], None]]:
    """What an upstream gets behind a head until the other side hangs up."""
    got: list[bytes] = []

    def script(connection: socket.socket) -> None:
        body = upstream.last.partition(b"\r\n\r\n")[2]
        try:
            while more := connection.recv(65536):
                body += more
        except ConnectionResetError:
            pass
        got.append(body)

    return got, script


def _read(connection: socket.socket, *, whole: bool) -> bytes:
    got = b""
    while not (_is_whole(got) if whole else b"\r\n\r\n" in got):
        more = connection.recv(65536)
        if not more:
            return b""
        got += more
    return got


def _is_whole(got: bytes) -> bool:
    head, end, body = got.partition(b"\r\n\r\n")
    if not end:
        return False
    if re.search(rb"(?im)^transfer-encoding: *chunked", head):
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return len(body) >= (int(length[1]) if length else 0)
