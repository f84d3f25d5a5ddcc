"""A server that says what a test tells it to, whatever it is asked."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Self

END = b"\r\n\r\n"


def reply(body: bytes, status: int = 200, kind: str = "application/json") -> bytes:
    """A response of HTTP."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
    return head.encode() + END + body


ALLOWED = reply(b'{"allowed":true}\n')
REVISION = b'"snapshot":{"incarnation":"a","xmin":7,"xmax":9,"running":[8]},"age_s":0.5'
NOTHING = reply(b'{"decisions":[],' + REVISION + b"}")
"""What an opening client wants to hear."""


RESET = b"reset"
"""Said in place of an answer, breaks the connection off."""


class Scripted:
    """A listener on loopback; a context manager.

    Attributes:
        url: where it listens.
        says: what it answers to a request; None never answers, b"" hangs up.
        requests: what it was sent.
        connections: how many there were.
        drips: whether it says it byte by byte, one in twenty milliseconds.
    """

    def __init__(self, says: Callable[[bytes], bytes | None] | None = None) -> None:
        self.says = says or answer_well
        self.requests: list[bytes] = []
        self.connections = 0
        self.drips = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._ended = Event()
        self._threads: list[Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def hang_up(self) -> None:
        """Close every connection."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def is_left(self) -> bool:
        """Whether everybody hangs up, within five seconds."""
        for serving in self._threads[1:]:
            serving.join(5)
        return not any(each.is_alive() for each in self._threads[1:])

    def push(self, data: bytes) -> None:
        """Say something on every connection that nobody asked for."""
        for each in self._open:
            each.sendall(data)

    def _begin(self, work: Callable[[], None]) -> None:
        thread = Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(line)
            self._begin(lambda line=line: self._serve(line))  # type: ignore[misc]

    def _serve(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            while (request := _read(line)) is not None:
                self.requests.append(request)
                said = self.says(request)
                if said is None:
                    self._ended.wait()
                    return
                if said == RESET:
                    now = struct.pack("ii", 1, 0)
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                if said in (b"", RESET):
                    return
                if not self.drips:
                    line.sendall(said)
                    continue
                for at in range(len(said)):
                    line.sendall(said[at : at + 1])
                    self._ended.wait(0.02)


def answer_well(request: bytes) -> bytes:
    """An opening is told of nothing, and a check that it is allowed."""
    return ALLOWED if request.startswith(b"GET /v1/check?") else NOTHING


def _read(line: socket.socket) -> bytes | None:
    """A whole request; None at the end."""
    came = b""
    while END not in came or len(came.partition(END)[2]) < _length(came):
        data = line.recv(1 << 16)
        if not data:
            return None
        came += data
    return came


def _length(came: bytes) -> int:
    _, _, rest = came.lower().partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0] or b"0")
