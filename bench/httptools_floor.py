"""The least that a server in Python can do: parse a request, answer a constant.

    python -m bench.httptools_floor FILE 127.0.0.1:0
    python -m bench.httptools_floor FILE unix:/path

It parses with httptools on uvloop and looks at nothing; `FILE` has the whole response,
head and body. It prints where it listens.
"""

import asyncio
import sys
from pathlib import Path
from typing import cast

import httptools
import uvloop


class Constant(asyncio.Protocol):
    """Writes the same whenever a request has ended."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._feed = httptools.HttpRequestParser(self).feed_data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Write there."""
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        """Parse it."""
        self._feed(data)

    def on_message_complete(self) -> None:
        """A request has ended."""
        self._write(self._response)


async def serve(response: bytes, listen: str) -> None:
    """Answer until it is killed."""
    loop = asyncio.get_running_loop()

    def make() -> Constant:
        return Constant(response)

    if listen.startswith("unix:"):
        server = await loop.create_unix_server(make, listen.removeprefix("unix:"))
        print(listen, flush=True)
    else:
        host, _, port = listen.rpartition(":")
        server = await loop.create_server(make, host, int(port))
        print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]).read_bytes(), sys.argv[2]))
