"""A sidecar that serves on a thread of its own, and a client that sends raw bytes."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from threading import Thread
from time import monotonic, sleep
from typing import Any, Self

from qeetid_authz_server.listening.addresses import (
    TcpAddress,
    UnixAddress,
    parse_address,
)
from qeetid_authz_server.serving import serve
from qeetid_authz_server.settings import Settings

EVERYTHING: dict[str, Any] = {
    "public_url": "https://authz.example",
    "authzen_instances": True,
}
"""Settings by which a sidecar offers all that it can."""

LASTING = {"poll_interval": 0.5}
"""What sidecars are told that stay for many tests, as nobody changes their database:
a dozen of them that look a hundred times a second leave the tests little to run on."""

_PATIENCE = 10.0  # seconds


@dataclass(frozen=True)
class Reply:
    """A response as it came: status, header lines, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that must not come twice."""
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, values
        return values[0] if values else None


class Wire:
    """A connection to a sidecar."""

    def __init__(self, base_url: str) -> None:
        address = parse_address(base_url.removeprefix("http://"))
        match address:
            case UnixAddress(path):
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.settimeout(_PATIENCE)
                self.socket.connect(str(path))
            case TcpAddress(host, port):
                self.socket = socket.create_connection((host, port), _PATIENCE)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, request: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(request)

    def receive(self) -> Reply:
        """Read one response."""
        status_line = self._file.readline()
        assert status_line.startswith(b"HTTP/1."), status_line
        headers = []
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        reply = Reply(int(status_line.split()[1]), headers, b"")
        body = self._file.read(int(reply.header("Content-Length") or 0))
        return Reply(reply.status, headers, body)

    def is_closed(self) -> bool:
        """Whether the other side has closed; waits for it."""
        return self._file.read(1) == b""


def exchange(base_url: str, request: bytes) -> Reply:
    """Send raw bytes on a fresh connection and read one response."""
    with Wire(base_url) as wire:
        wire.send(request)
        return wire.receive()


def request(
    base_url: str,
    target: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    key: str | None = None,
    **headers: str,
) -> Reply:
    """Ask, with a target that nothing normalises; `_` in header names becomes `-`."""
    lines = [f"{method} {target} HTTP/1.1", "Host: sidecar"]
    if key is not None:
        lines.append(f"Authorization: ApiKey {key}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    return exchange(base_url, head + body)


@contextmanager
def sidecar(database: str, **settings: Any) -> Iterator[str]:
    """Serve a database; the base URL."""
    given: dict[str, Any] = {"listen": "127.0.0.1:0", "poll_interval": 0.01} | settings
    started: Queue[str | BaseException] = Queue()
    running: dict[str, Any] = {}

    async def serving() -> None:
        running["loop"] = asyncio.get_running_loop()
        running["task"] = asyncio.current_task()
        await serve(Settings(database_url=database, **given), ready=started.put)

    def work() -> None:
        try:
            asyncio.run(serving())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001  (raised in the test)
            started.put(error)

    thread = Thread(target=work)
    thread.start()
    base_url = started.get(timeout=_PATIENCE)
    if isinstance(base_url, BaseException):
        thread.join()
        raise base_url
    try:
        yield base_url
    finally:
        running["loop"].call_soon_threadsafe(running["task"].cancel)
        thread.join(_PATIENCE)
        assert not thread.is_alive()


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds; fails when it doesn't in good time."""
    deadline = monotonic() + _PATIENCE
    while not condition():
        assert monotonic() < deadline, "it didn't come true"
        sleep(0.01)


def seen_up_to(base_url: str) -> int:
    """The transaction below which a sidecar has seen everything."""
    report = json.loads(request(base_url, "/readyz").body)
    return int(report["revision"].partition("@")[2].partition(":")[0])


def ask_in_batch(
    base_url: str, tenant: str, questions: Iterable[tuple[str, str]]
) -> list[bool]:
    """The answers to questions, each a user and a key, from one batch."""
    checks = [{"user_id": user, "permission": key} for user, key in questions]
    reply = request(
        base_url,
        "/v1/check/batch",
        method="POST",
        body=json.dumps({"tenant_id": tenant, "checks": checks}).encode(),
        Content_Type="application/json",
    )
    return [each["allowed"] for each in json.loads(reply.body)["results"]]
