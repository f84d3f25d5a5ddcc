"""Clocks: one that counts a suspended machine's sleep, one that nobody can turn back."""

import time
from collections.abc import Callable
from functools import partial

steady: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
"""Seconds that never run backwards. On Linux they run on while the machine is suspended,
which `time.monotonic` doesn't: what is known would seem younger than it is."""


class WallClock:
    """Seconds since the Unix epoch: the later of what this machine and a database say.

    So a credential ends on time although either clock is late or is turned back, and
    early at worst: while one of them is ahead, or by as long as the database took to
    say what time it is.
    """

    def __init__(self) -> None:
        self._lead = 0.0  # of the epoch before the steady clock, as the database says

    def database_said(self, now: float, at: float) -> None:
        """Take over the database's time.

        Args:
            now: its seconds since the Unix epoch.
            at: when it surely hadn't said so yet, by the steady clock.
        """
        self._lead = now - at

    def __call__(self) -> float:
        """The time now."""
        return max(time.time(), steady() + self._lead)
