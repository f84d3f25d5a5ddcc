"""Which processor a server has to itself, and which its clients."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_CAN_CHOOSE = hasattr(os, "sched_setaffinity")
_ALL = sorted(os.sched_getaffinity(0)) if _CAN_CHOOSE else []
ARE_APART = len(_ALL) > 1
"""Whether there is a processor for either, and a way to choose."""


@contextmanager
def clients() -> Iterator[None]:
    """We and what we start, but for servers, keep off the last processor."""
    with _on(_ALL[:-1]):
        yield


@contextmanager
def server() -> Iterator[None]:
    """What is started now has the last processor, if that is kept free for it."""
    is_free = ARE_APART and _ALL[-1] not in os.sched_getaffinity(0)
    with _on(_ALL[-1:] if is_free else []):
        yield


@contextmanager
def _on(processors: list[int]) -> Iterator[None]:
    if not processors:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
