"""A TCP proxy on loopback that does to connections what networks do."""

import asyncio
from contextlib import suppress
from enum import Enum
from threading import Thread
from typing import Any, Self

from psycopg.conninfo import make_conninfo

_PATIENCE = 10.0  # seconds
_CHUNK = 65_536  # bytes


class Mode(Enum):
    """What becomes of what is sent, on old connections and on new ones."""

    PASS = "pass"
    BLACKHOLE = "blackhole"  # connections are made, and nothing is forwarded
    DELAY = "delay"
    TRICKLE = "trickle"
    REFUSE = "refuse"  # nobody listens; what is connected is passed on


class Proxy:
    """Listens on 127.0.0.1 and forwards to a port there, well or badly."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.accepted = 0
        self._mode = Mode.PASS
        self._amount = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._moved = asyncio.Event()
        self._abandoned = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def dsn(self, behind: str) -> str:
        """The DSN of what is behind, by way of here."""
        return make_conninfo(behind, host="127.0.0.1", port=self.port)

    def behave(self, mode: Mode, amount: float = 0.0) -> None:
        """Change what is done.

        Args:
            mode: from now on.
            amount: seconds of delay a chunk, or bytes a second of trickling.
        """
        self._run(self._behave(mode, amount))

    def abandon_all(self) -> None:
        """Forward nothing on the connections there are; new ones are as good as ever."""
        self._abandoned = self.accepted

    def close_all(self) -> None:
        """Close all connections at once; new ones are as good as ever."""
        self._run(self._close_all())

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _behave(self, mode: Mode, amount: float) -> None:
        if mode is Mode.REFUSE and self._server:
            self._server.close()
            self._server = None
        elif mode is not Mode.REFUSE and not self._server:
            await self._listen()
        self._mode, self._amount = mode, amount
        self._moved.set()
        self._moved = asyncio.Event()

    async def _close_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _end(self) -> None:
        if self._server:
            self._server.close()
        await self._close_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        number = self.accepted
        self._open.add(writer)
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            self._drop(writer)
            return
        self._open.add(there[1])
        ways = (
            asyncio.ensure_future(self._forward(number, reader, there[1])),
            asyncio.ensure_future(self._forward(number, there[0], writer)),
        )
        with suppress(asyncio.CancelledError):  # which asyncio's server would report
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._drop(writer)
        self._drop(there[1])

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()

    async def _forward(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                while self._mode is Mode.BLACKHOLE or number <= self._abandoned:
                    await self._moved.wait()
                if self._mode is Mode.DELAY:
                    await asyncio.sleep(self._amount)
                while self._mode is Mode.TRICKLE and len(chunk) > 1:
                    writer.write(chunk[:1])
                    chunk = chunk[1:]
                    await asyncio.sleep(1 / self._amount)
                writer.write(chunk)
                await writer.drain()
