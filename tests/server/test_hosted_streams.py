"""Bodies pass through as streams: large ones whole, and slow ones without a store."""

import hashlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event

import aiohttp
from aiohttp import web

from tests.server.sidecars import Wire, eventually, sidecar
from tests.server.test_serving import program
from tests.server.upstreams import Upstream, hung_up

SIZE = 100 << 20  # bytes
CHUNK = bytes(range(256)) * 1024
HELD = 40 << 20  # bytes, beyond what the system's buffers on the way hold


@asynccontextmanager
async def api() -> AsyncIterator[str]:
    """An API that hashes what it gets, and sends as much as it is asked for."""

    async def take(request: web.Request) -> web.Response:
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        return web.json_response({"size": size, "sha256": digest.hexdigest()})

    async def give(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(SIZE // len(CHUNK)):
            await response.write(CHUNK)
        return response

    app = web.Application()
    app.add_routes([web.post("/v1/large", take), web.get("/v1/large", give)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_hundred_megabytes(town_database: str) -> None:
    """They go both ways, and are the same at the other end."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(SIZE // len(CHUNK)):
            yield CHUNK

    expected = hashlib.sha256()
    for _ in range(SIZE // len(CHUNK)):
        expected.update(CHUNK)
    async with api() as upstream, aiohttp.ClientSession() as session:
        with sidecar(town_database, upstream=upstream) as base_url:
            at = f"{base_url}/v1/large"
            async with session.post(at, data=body()) as reply:
                told = await reply.json()
            assert {"size": SIZE, "sha256": expected.hexdigest()} == told
            digest = hashlib.sha256()
            async with session.get(at) as reply:
                async for chunk in reply.content.iter_any():
                    digest.update(chunk)
            assert expected.hexdigest() == digest.hexdigest()


def fill(sink: socket.socket) -> int:
    """How much goes into a connection until nothing more does for a while."""
    sink.settimeout(0.5)
    sent = 0
    try:
        while sent < SIZE:
            sent += sink.send(CHUNK)
    except TimeoutError:
        pass
    return sent


def test_an_upstream_that_reads_nothing(town_database: str) -> None:
    """A body that nobody takes is not taken: little of it is held on the way."""
    with Upstream() as upstream:
        upstream.answer = lambda connection: eventually(lambda: bool(done))
        done: list[int] = []
        with (
            sidecar(town_database, upstream=upstream.base_url) as base_url,
            Wire(base_url) as wire,
        ):
            wire.send(
                b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                % SIZE
            )
            done.append(fill(wire.socket))

    assert done[0] < HELD


def test_a_caller_that_reads_nothing(town_database: str) -> None:
    """An answer that nobody takes is not taken either."""
    sent: list[int] = []

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        sent.append(fill(connection))

    with Upstream() as upstream:
        upstream.answer = pour
        with (
            sidecar(town_database, upstream=upstream.base_url) as base_url,
            Wire(base_url) as wire,
        ):
            wire.send(b"GET /v1/users HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: bool(sent))

    assert sent[0] < HELD


def test_a_caller_who_goes_away(town_database: str) -> None:
    """The upstream is told long before it would be given up, by the end of its line."""
    with Upstream() as upstream:
        got, upstream.answer = hung_up(upstream)
        with sidecar(town_database, upstream=upstream.base_url) as base_url:
            with Wire(base_url) as wire:
                wire.send(b"GET /v1/users HTTP/1.1\r\nHost: x\r\n\r\n")
                eventually(lambda: len(upstream.requests) == 1)
            eventually(lambda: got == [b""])


@contextmanager
def half_answered() -> Iterator[tuple[Upstream, Event]]:
    """An upstream that waits in the middle of its answer."""
    go = Event()

    def halting(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        go.wait(10)
        connection.sendall(b"def")

    with Upstream() as upstream:
        upstream.answer = halting
        yield upstream, go


ASKING = b"GET /v1/users HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_drain(town_database: str) -> None:
    """What is being passed on when it stops is finished."""
    with (
        half_answered() as (upstream, go),
        program(town_database, UPSTREAM=upstream.base_url) as running,
        Wire(running.base_url) as wire,
    ):
        wire.send(ASKING)
        eventually(lambda: len(upstream.requests) == 1)
        running.signal()
        assert 1 == running.read_until("draining")["in_flight"]
        go.set()
        assert b"abcdef" == wire.receive().body
        assert 0 == running.wait()


def test_a_sudden_end(town_database: str) -> None:
    """What is dropped by the end of a drain never looks whole."""
    with half_answered() as (upstream, go):
        with sidecar(town_database, upstream=upstream.base_url) as base_url:
            wire = Wire(base_url)
            wire.send(ASKING)
            eventually(lambda: len(upstream.requests) == 1)
        go.set()
        with wire:
            got = b""
            try:
                while more := wire.socket.recv(65536):
                    got += more
            except ConnectionResetError:
                pass

    assert not got.endswith(b"def")


async def test_an_upstream_that_speaks_with_a_real_client(town_database: str) -> None:
    """Chunks of unknown length arrive whole at a client of another make."""
    with Upstream() as upstream:
        upstream.answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{"\r\n5\r\na":1}\r\n0\r\n\r\n'
        )
        with sidecar(town_database, upstream=upstream.base_url) as base_url:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{base_url}/v1/users") as reply,
            ):
                assert {"a": 1} == json.loads(await reply.read())
