"""A sidecar that can't be asked, in the log."""

import logging
from collections.abc import Callable
from threading import Lock

from qeetid_authz.sidecar.messages import Unanswered

EVERY = 10.0
"""Seconds in which a client writes one line of it."""

log = logging.getLogger("qeetid_authz")


class Outages:
    """Says that questions go unanswered: at once, and then now and again."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        """Prepare; `name` is what messages call the sidecar."""
        self._name = name
        self._clock = clock
        self._lock = Lock()
        self._unanswered = 0
        self._silent_until = 0.0

    def note(self, why: Unanswered) -> None:
        """Take down a question that got no answer."""
        with self._lock:
            self._unanswered += 1
            now = self._clock()
            if now < self._silent_until:
                return
            self._silent_until = now + EVERY
            unanswered, self._unanswered = self._unanswered, 0
        extra = {
            "event": "sidecar_failed",
            "cause": why.cause,
            "unanswered": unanswered,
        }
        log.warning(
            "the sidecar at `%s` can't be asked: %s",
            self._name,
            why.detail,
            extra=extra,
        )
