"""Connections to a sidecar, for one event loop."""

import asyncio
from ssl import SSLContext

from qeetid_authz.clocks import steady
from qeetid_authz.sidecar.lines import IDLE
from qeetid_authz.sidecar.messages import Reading, Reply, Unanswered
from qeetid_authz.sidecar.options import Address


class AsyncLines:
    """Connections that are kept, and used by one question at a time; as `Lines`."""

    def __init__(
        self, address: Address, context: SSLContext | None, limit: int
    ) -> None:
        self._address = address
        self._context = context
        self._slots = asyncio.Semaphore(limit)
        self._kept: list[_Line] = []
        self._is_closed = False

    async def exchange(self, request: bytes, deadline: float) -> Reply:
        """The reply to a request, which is sent once; as `Lines.exchange`."""
        cause, detail = "busy", "all connections are in use"
        try:
            async with asyncio.timeout(deadline - steady()), self._slots:
                cause, detail = "timeout", "it doesn't answer in time"
                return await self._exchange(request)
        except TimeoutError:
            raise Unanswered(cause, detail) from None

    async def _exchange(self, request: bytes) -> Reply:
        line = self._kept_line() or await self._new_line()
        is_kept = False
        try:
            reply = await line.exchange(request)
            is_kept = not (reply.is_last or self._is_closed)
        finally:
            if is_kept:
                self._kept.append(line)
            else:
                line.close()
        return reply

    def _kept_line(self) -> "_Line | None":
        while self._kept:
            line = self._kept.pop()
            if line.is_good():
                return line
            line.close()
        return None

    async def _new_line(self) -> "_Line":
        loop, address = asyncio.get_running_loop(), self._address
        try:
            if address.path:
                _, line = await loop.create_unix_connection(_Line, address.path)
            else:
                _, line = await loop.create_connection(
                    _Line,
                    address.host,
                    address.port,
                    ssl=self._context,
                )
        except OSError as error:
            detail = f"it takes no connection ({error.strerror or error})"
            raise Unanswered("unreachable", detail) from None
        return line

    def close(self) -> list[asyncio.Future[None]]:
        """Close what isn't in use now, and the rest when it no longer is.

        Returns:
            What is done when the former is closed.
        """
        self._is_closed = True
        kept, self._kept = self._kept, []
        for line in kept:
            line.close()
        return [line.lost for line in kept]


class _Line(asyncio.Protocol):
    """One connection.

    Attributes:
        lost: done once it is closed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._used_at = 0.0
        self._reading: Reading | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def is_good(self) -> bool:
        """Whether it is young enough, and neither closed nor out of step."""
        is_young = steady() - self._used_at < IDLE
        return is_young and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Reply:
        self._reading, self._reply = Reading(), self._loop.create_future()
        self._transport.write(request)
        try:
            reply: Reply = await self._reply
        finally:
            self._reading = None
        self._used_at = steady()
        return reply

    def data_received(self, data: bytes) -> None:
        if self._reading is None or self._reply.done():
            self._transport.abort()  # Nobody asked.
            return
        try:
            reply = self._reading.feed(data)
        except Unanswered as why:
            self._reply.set_exception(why)
            return
        if reply is not None:
            self._reply.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        if self._reading is not None and not self._reply.done():
            said = "it closed" if exc is None else "it broke"
            self._reply.set_exception(Unanswered("broken", f"{said} the connection"))

    def close(self) -> None:
        self._transport.abort()
