"""The same HTTP request again and again over some connections, each answer compared.

By wrk where it is installed, else by a client of our own, which takes a processor more
of the time that it measures.
"""

import asyncio
import json
import shutil
import subprocess
from asyncio import FIRST_EXCEPTION
from functools import partial
from importlib.resources import as_file, files
from math import ceil
from statistics import median
from time import perf_counter
from typing import NamedTuple

PATIENCE = 10.0  # seconds


class Request(NamedTuple):
    """A POST to 127.0.0.1, and the answer it must have.

    `answer` is the body of a response with status 200.
    """

    port: int
    path: str
    headers: dict[str, str]
    body: bytes
    answer: bytes

    def text(self) -> bytes:
        """The request as it is sent."""
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            **self.headers,
            "Content-Length": str(len(self.body)),
        }
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"POST {self.path} HTTP/1.1", *lines, "", ""])
        return head.encode() + self.body


class Window(NamedTuple):
    """What was seen for some seconds; latencies are in microseconds."""

    requests: int
    rate: float
    median: float
    p99: float


def client() -> str:
    """The name of what asks."""
    return "wrk" if shutil.which("wrk") else "our own client"


def ask(request: Request, connections: int, seconds: int) -> Window:
    """Ask for some seconds, on each connection as soon as it has its answer.

    Raises:
        AssertionError: an answer was another one, or none came.
    """
    program = shutil.which("wrk")
    if program:
        return _wrk(program, request, connections, seconds)
    return asyncio.run(_own(request, connections, seconds))


def _wrk(program: str, request: Request, connections: int, seconds: int) -> Window:
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    with as_file(files("bench") / "wrk.lua") as script:
        command = [
            program,
            "--threads=1",
            f"--connections={connections}",
            f"--duration={seconds}s",
            f"--script={script}",
            f"http://127.0.0.1:{request.port}",
            *("--", request.path, request.body.decode(), request.answer.decode()),
            *headers,
        ]
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=seconds + PATIENCE
        )
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["wrong"] == 0, said
    assert said["requests"] > 0, said
    rate = said["requests"] / said["seconds"]
    return Window(said["requests"], rate, said["median"], said["p99"])


async def _own(request: Request, connections: int, seconds: int) -> Window:
    loop = asyncio.get_running_loop()
    until = perf_counter() + seconds
    asking = [Connection(request, until) for _ in range(connections)]
    started = perf_counter()
    for each in asking:
        await loop.create_connection(partial(_same, each), "127.0.0.1", request.port)
    ends = [each.done for each in asking]
    await asyncio.wait(ends, timeout=seconds + PATIENCE, return_when=FIRST_EXCEPTION)
    elapsed = perf_counter() - started
    for each in asking:
        each.close()
    await asyncio.wait(ends)
    for error in [end.exception() for end in ends]:
        if error is not None:
            raise error
    latencies = sorted(each for one in asking for each in one.latencies)
    return Window(
        len(latencies),
        len(latencies) / elapsed,
        median(latencies) * 1e6,
        latencies[ceil(0.99 * len(latencies)) - 1] * 1e6,
    )


def _same(connection: "Connection") -> "Connection":
    return connection


class Connection(asyncio.Protocol):
    """Sends the request whenever its answer has come, until a moment.

    Attributes:
        latencies: of each request, in seconds.
        done: when it is closed; an error when that was before an answer.
    """

    def __init__(self, request: Request, until: float) -> None:
        self.latencies: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._request = request.text()
        self._answer = b"\r\n\r\n" + request.answer
        self._until = until
        self._sent = 0.0
        self._is_waiting = False
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next if this is the whole answer."""
        self._received += data
        if not self._received.endswith(self._answer):
            return
        now = perf_counter()
        if not self._received.startswith(b"HTTP/1.1 200 "):
            self.close()
            return
        self.latencies.append(now - self._sent)
        self._is_waiting, self._received = False, b""
        if now < self._until:
            self._send()
        else:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, as it should be after the last answer only."""
        if exc is None and not self._is_waiting:
            self.done.set_result(None)
        else:
            self.done.set_exception(exc or AssertionError(self._received.decode()))

    def close(self) -> None:
        """Ask no more."""
        self._transport.close()

    def _send(self) -> None:
        self._is_waiting = True
        self._sent = perf_counter()
        self._transport.write(self._request)
