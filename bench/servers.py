"""Servers that are asked the same questions over HTTP, and one that knows no answer."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import TypeAlias

import psutil

from bench import cores
from bench.asked import ALLOWED, Asking
from bench.httpload import Exchange, fetch
from bench.peers.cerbos import cerbos
from bench.sidecars import Served, sidecar

OURS, ROUTE = "sidecar", "sidecar without its fast path"
FLOOR, CERBOS = "httptools and a constant", "Cerbos"

Serving: TypeAlias = AbstractContextManager[tuple[Served, list[Exchange]]]


@contextmanager
def _ours(asked: Asking, listen: str) -> Iterator[tuple[Served, list[Exchange]]]:
    with asked.database() as dsn, sidecar(dsn, listen=listen) as served:
        yield served, asked.checks()


@contextmanager
def _route(asked: Asking, listen: str) -> Iterator[tuple[Served, list[Exchange]]]:
    with (
        asked.database() as dsn,
        sidecar(dsn, listen=listen, fast_path="false") as served,
    ):
        yield served, asked.checks()


@contextmanager
def _floor(asked: Asking, listen: str) -> Iterator[tuple[Served, list[Exchange]]]:
    """Everybody is allowed, in as many bytes as the sidecar takes to say so."""
    allowed = [Exchange(each.request, ALLOWED) for each in asked.checks()]
    with TemporaryDirectory(prefix="bench-") as made:
        file = Path(made) / "response"
        file.write_bytes(_allowing(asked))
        with cores.server():
            process = Popen(
                [sys.executable, "-m", "bench.httptools_floor", file, listen],
                stdout=PIPE,
                text=True,
            )
        with process:
            try:
                address = _told(process)
                yield Served(address, psutil.Process(process.pid)), allowed
            finally:
                process.terminate()


def _told(process: "Popen[str]") -> int | Path:
    told = process.stdout.readline().strip() if process.stdout else ""
    if told.startswith("unix:"):
        return Path(told.removeprefix("unix:"))
    return int(told)


def _allowing(asked: Asking) -> bytes:
    """What the sidecar answers where it allows, head and body."""
    question = next(each for each in asked.checks() if each.answer == ALLOWED)
    with asked.database() as dsn, sidecar(dsn) as served:
        head, body = fetch(served.address, question.request)
    assert body == ALLOWED, body
    return head + body


@contextmanager
def _cerbos(asked: Asking, _: str) -> Iterator[tuple[Served, list[Exchange]]]:
    with cerbos(asked.told) as (port, pid):
        yield Served(port, psutil.Process(pid)), asked.cerbos()


SERVERS: dict[str, Callable[[Asking, str], Serving]] = {
    OURS: _ours,
    ROUTE: _route,
    FLOOR: _floor,
    CERBOS: _cerbos,
}
UNIX_TOO = (OURS, ROUTE, FLOOR)
