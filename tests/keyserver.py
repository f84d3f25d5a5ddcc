"""A key endpoint on loopback that rotates, stalls, breaks and returns as a test says."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Self

PATIENCE = 20.0  # seconds for which a test waits for what must come
_DRIP = 0.01  # seconds between the bytes of a trickle


@dataclass
class Answer:
    """What the server says to each request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None  # a Content-Length other than the true one
    trickles: str = ""  # "headers" or "body": a little of that, without end


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]


class KeyServer:
    """Serves one answer, which a test replaces; a context manager.

    Attributes:
        answer: what every path answers from now on.
        requests: those that came, in order.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answer = Answer()
        self.requests: list[Asked] = []
        self._context = context
        self._port = 0
        self._came = Condition()
        self._released = Event()
        self._released.set()
        self._stopped = Event()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the keys are."""
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self._port}/.well-known/jwks.json"

    def serve(self, body: bytes) -> None:
        """Answer with a key set from now on."""
        self.answer = Answer(body)

    def start(self) -> None:
        """Listen; again on the port of before."""
        self._stopped.clear()
        self._server = _Listener(("127.0.0.1", self._port), self._handler())
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(
                self._server.socket, server_side=True
            )
        self._port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and break off what isn't answered yet."""
        if self._server is None:
            return
        self._stopped.set()
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = None

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Take requests meanwhile, and answer them only afterwards."""
        self._released.clear()
        try:
            yield
        finally:
            self._released.set()

    def wait_for_requests(self, number: int) -> None:
        """Wait until so many have come since the beginning."""
        with self._came:
            came = self._came.wait_for(lambda: len(self.requests) >= number, PATIENCE)
        assert came, f"only {len(self.requests)} requests came"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):  # who asked may have hung up
                    server._respond(self)

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def _respond(self, to: BaseHTTPRequestHandler) -> None:
        with self._came:
            self.requests.append(Asked(to.command, to.path, dict(to.headers)))
            self._came.notify_all()
        self._released.wait()
        if self._stopped.is_set():
            return
        answer = self.answer
        to.send_response(answer.status)
        for name, value in answer.headers.items():
            to.send_header(name, value)
        if answer.trickles == "headers":
            to.flush_headers()
            self._trickle(to, b"X-Filler: a\r\n")
        announced = len(answer.body) if answer.announced is None else answer.announced
        to.send_header("Content-Length", str(announced))
        to.end_headers()
        to.wfile.write(answer.body)
        if answer.trickles == "body":
            self._trickle(to, b" ")

    def _trickle(self, to: BaseHTTPRequestHandler, drop: bytes) -> None:
        while not self._stopped.wait(_DRIP):
            to.wfile.write(drop)


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them
