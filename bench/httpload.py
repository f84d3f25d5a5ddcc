"""HTTP requests one after the other over some connections, every answer compared.

By a client of our own, on uvloop where it is installed: wrk, told by a script to look at
every answer, is slower, doesn't say which question an answer is to, and can't ask over a
Unix socket.
"""

import asyncio
import re
import socket
from asyncio import FIRST_EXCEPTION
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import cycle
from math import ceil, inf
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

PATIENCE = 30.0  # seconds
_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)
_GOOD = b"HTTP/1.1 200 "
_END = b"\r\n\r\n"
_T = TypeVar("_T")

Address: TypeAlias = int | Path
"""A port of 127.0.0.1, or a Unix socket."""


class Exchange(NamedTuple):
    """A request as it is sent, and what the body of its answer must be or contain."""

    request: bytes
    answer: bytes


def request(
    method: str, target: str, headers: dict[str, str], body: bytes = b""
) -> bytes:
    """A request as it is sent, to a server that takes any `Host`."""
    said = {"Host": "127.0.0.1", **headers}
    if body:
        said["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}" for name, value in said.items()]
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
    return head.encode() + body


class Load(NamedTuple):
    """Where to ask what; the exchanges are gone through again and again."""

    address: Address
    exchanges: Sequence[Exchange]

    def verify(self) -> None:
        """Ask each question once.

        Raises:
            AssertionError: an answer was another one, or none came.
        """
        came = _run(_ask(self.address, iter(self.exchanges), inf, 1, PATIENCE))
        assert len(came) == len(self.exchanges), (len(came), len(self.exchanges))


def fetch(address: Address, asked: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to one request, which must be good.

    Raises:
        AssertionError: it isn't, or none came.
    """
    is_file = isinstance(address, Path)
    received = b""
    with socket.socket(socket.AF_UNIX if is_file else socket.AF_INET) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(address) if is_file else ("127.0.0.1", address))
        connection.sendall(asked)
        while not _is_whole(received):
            came = connection.recv(1 << 16)
            assert came, received
            received += came
    assert received.startswith(_GOOD), received
    head, end, body = received.partition(_END)
    return head + end, body


class Window(NamedTuple):
    """What was seen for some seconds.

    Attributes:
        rate: requests a second.
        median, p99: latencies in microseconds.
        busy: the share of the time that the client had a processor; where that is
            nearly all of it, the client and not the server is what was measured.
    """

    requests: int
    rate: float
    median: float
    p99: float
    busy: float


def ask(load: Load, connections: int, seconds: float) -> Window:
    """Ask for some seconds, on each connection as soon as it has its answer.

    Raises:
        AssertionError: an answer was another one, or none came.
    """
    asking = cycle(load.exchanges)
    started, worked = perf_counter(), process_time()
    until, patience = started + seconds, seconds + PATIENCE
    latencies = _run(_ask(load.address, asking, until, connections, patience))
    elapsed, worked = perf_counter() - started, process_time() - worked
    count = len(latencies)
    latencies.sort()
    p99 = latencies[ceil(0.99 * count) - 1]
    return Window(
        count, count / elapsed, median(latencies) * 1e6, p99 * 1e6, worked / elapsed
    )


async def _ask(
    address: int | Path,
    exchanges: Iterator[Exchange],
    until: float,
    connections: int,
    timeout: float,
) -> list[float]:
    loop = asyncio.get_running_loop()
    asking = [Connection(exchanges, until) for _ in range(connections)]
    for each in asking:
        if isinstance(address, Path):
            await loop.create_unix_connection(_maker(each), str(address))
        else:
            await loop.create_connection(_maker(each), "127.0.0.1", address)
    ends = [each.done for each in asking]
    await asyncio.wait(ends, timeout=timeout, return_when=FIRST_EXCEPTION)
    for each in asking:
        each.close()
    await asyncio.wait(ends)
    for error in [end.exception() for end in ends]:
        if error is not None:
            raise error
    return [latency for each in asking for latency in each.latencies]


def _maker(connection: "Connection") -> Callable[[], "Connection"]:
    return lambda: connection


def _run(asking: Coroutine[Any, Any, _T]) -> _T:
    try:
        import uvloop  # noqa: PLC0415  (not everywhere available)
    except ImportError:
        return asyncio.run(asking)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asking)


class Connection(asyncio.Protocol):
    """Sends a request whenever the last has its answer, while it may and there are any.

    Attributes:
        latencies: of each request, in seconds.
        done: when it is closed; an error when that was before an answer.
    """

    def __init__(self, exchanges: Iterator[Exchange], until: float) -> None:
        self.latencies: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._exchanges = exchanges
        self._until = until
        self._sent = 0.0
        self._answer = self._whole = b""
        self._is_waiting = False
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next if this is the whole answer."""
        now = perf_counter()
        self._received += data
        if not self._received.endswith(self._whole) and not _is_whole(self._received):
            return
        if not self._is_right():
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

    def _is_right(self) -> bool:
        received = self._received
        return received.startswith(_GOOD) and (
            received.endswith(self._whole)
            or received.find(self._answer, received.find(_END)) >= 0
        )

    def close(self) -> None:
        """Ask no more."""
        self._transport.close()

    def _send(self) -> None:
        exchange = next(self._exchanges, None)
        if exchange is None:
            self.close()
            return
        self._answer, self._whole = exchange.answer, _END + exchange.answer
        self._is_waiting = True
        self._sent = perf_counter()
        self._transport.write(exchange.request)


def _is_whole(received: bytes) -> bool:
    head = received.find(_END)
    length = _LENGTH.search(received, 0, head + 2)
    return length is not None and len(received) == head + 4 + int(length[1])
