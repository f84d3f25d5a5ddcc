"""The application behind a proxy: it notes what reaches it."""

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

PROBE = "X-Probe"


@dataclass(frozen=True)
class Seen:
    """A request as the application got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of a header, by whatever a gateway would take for its name."""
        wanted = name.lower().replace("_", "-")
        return [v for n, v in self.headers if n.lower().replace("_", "-") == wanted]


class Backend:
    """A server that answers 200 to everything, and 101 to who wants to upgrade."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._seen))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def seen(self, probe: str) -> Seen | None:
        """The request of a probe, if it came through."""
        return self._seen.get(probe)


def _handler(seen: dict[str, Seen]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            target = self.raw_requestline.split()[1].decode("latin-1")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            probe = self.headers.get(PROBE)
            if probe is not None:
                seen[probe] = Seen(self.command, target, self.headers.items(), body)
            if self.headers.get("Upgrade"):
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.end_headers()
                self.wfile.write(self.rfile.read(4))
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    return Handler
