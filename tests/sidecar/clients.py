"""Both clients, asked alike: that of tasks from a loop on a thread of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from inspect import isawaitable
from threading import Thread
from typing import Any

from qeetid_authz import AsyncSidecarClient, SidecarClient
from tests.server.sidecars import eventually

PATIENT = {"timeout": 10.0}
"""What a client of a test is told, lest it fail on a machine that is busy."""


class OnALoop:
    """An AsyncSidecarClient as if it were a SidecarClient."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.client: AsyncSidecarClient | None = None

    def wait(self, question: Any) -> Any:
        """What is awaited, as the loop has it."""
        return asyncio.run_coroutine_threadsafe(_whole(question), self._loop).result(20)

    def open(self, *given: Any, **options: Any) -> None:
        """Open the client."""
        self.client = self.wait(AsyncSidecarClient.open(*given, **options))

    def close(self) -> None:
        """Close the client."""
        self.wait(self.client.aclose())  # type: ignore[union-attr]

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.client, name)
        if isawaitable(member):
            return self.wait(member)
        return lambda *given, **options: self.wait(member(*given, **options))


Opened = SidecarClient | OnALoop


async def _whole(question: Any) -> Any:
    answer = await question
    if isinstance(answer, AsyncIterator):
        return [each async for each in answer]
    return answer


@contextmanager
def of_threads(*given: Any, **options: Any) -> Iterator[SidecarClient]:
    """A client of threads."""
    with SidecarClient.open(*given, **PATIENT | options) as client:
        yield client


@contextmanager
def of_tasks(*given: Any, **options: Any) -> Iterator[OnALoop]:
    """A client of tasks."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    client = OnALoop(loop)
    try:
        client.open(*given, **PATIENT | options)
        yield client
        client.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


KINDS: dict[str, Callable[..., AbstractContextManager[Any]]] = {
    "threads": of_threads,
    "tasks": of_tasks,
}


@contextmanager
def of_every_kind(*given: Any, **options: Any) -> Iterator[list[Opened]]:
    """A client of each kind."""
    with ExitStack() as stack:
        yield [stack.enter_context(kind(*given, **options)) for kind in KINDS.values()]


def hurry(client: Any, timeout: float = 0.05) -> None:
    """Let a client that is open wait no longer than this."""
    client = client.client if isinstance(client, OnALoop) else client
    client._told = replace(client._told, timeout=timeout)


def catch_up(client: Any) -> None:
    """Wait until what was sent on the connection that is kept has come."""
    if isinstance(client, OnALoop):
        (line,) = client.client._lines._kept  # type: ignore[union-attr]
        eventually(line._transport.is_closing)
    else:
        (line,) = client._lines._kept
        assert line._poll.poll(5000)
