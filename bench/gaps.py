"""How long somebody who asks or ticks without pause is kept waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event, Thread
from time import perf_counter_ns
from typing import NamedTuple

TICK = 0.001  # seconds


class Gap(NamedTuple):
    """A stretch without an answer, in nanoseconds of `perf_counter_ns`."""

    began: int
    ended: int

    @property
    def millis(self) -> float:
        """How long it was."""
        return (self.ended - self.began) / 1e6


class Gaps:
    """The stretches between one answer and the next that were longer than a bound."""

    def __init__(self) -> None:
        self._gaps: list[Gap] = []

    def note(self, began: int, ended: int) -> None:
        """Remember one."""
        self._gaps.append(Gap(began, ended))

    def longest(self, began: int, ended: int) -> float:
        """The milliseconds of the longest that overlaps a time; 0 if none does."""
        within = [
            min(each.ended, ended) - max(each.began, began)
            for each in self._gaps
            if each.began < ended and each.ended > began
        ]
        return max(within, default=0) / 1e6


@contextmanager
def asked_all_the_time(ask: Callable[[], bool]) -> Iterator[Gaps]:
    """Ask on a thread of its own, without pause; gaps of 20 us and more are kept.

    Raises:
        AssertionError: an answer was another than True.
    """
    gaps, begun, stopped, failed = Gaps(), Event(), Event(), []

    def run() -> None:
        before = perf_counter_ns()
        begun.set()
        while not stopped.is_set():
            if not ask():
                failed.append(ask)
                return
            now = perf_counter_ns()
            if now - before > 20_000:
                gaps.note(before, now)
            before = now

    thread = Thread(target=run)
    thread.start()
    begun.wait()
    try:
        yield gaps
    finally:
        stopped.set()
        thread.join()
    assert not failed, "a reader was denied"


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """Tick once a millisecond in the running loop.

    Yields:
        The milliseconds by which each tick came late.
    """
    late: list[float] = []

    async def tick() -> None:
        while True:
            before = perf_counter_ns()
            await asyncio.sleep(TICK)
            late.append((perf_counter_ns() - before) / 1e6 - TICK * 1e3)

    task = asyncio.create_task(tick())
    try:
        yield late
    finally:
        task.cancel()
