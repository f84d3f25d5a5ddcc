"""Callers who wait until what they wrote has arrived."""

from concurrent.futures import Future
from threading import Lock
from typing import NamedTuple

from qeetid_authz.engine.published import Published
from qeetid_authz.errors import (
    NotOpenError,
    RevisionForeignError,
    RevisionUnseenError,
)
from qeetid_authz.revision import RevisionToken


class _Awaited(NamedTuple):
    token: RevisionToken
    since: float  # by the clock that the age of revisions is told by


class Waiting:
    """Who waits for which transaction; told by each revision that is published."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._awaited: dict[Future[None], _Awaited] = {}

    def begin(self, token: RevisionToken, since: float) -> "Future[None]":
        """Wait from now on.

        The future ends when a revision has seen the transaction, and raises
        RevisionForeignError as soon as one that was read later knows no such.
        """
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # nobody cancels it: `end` does
        with self._lock:
            self._awaited[future] = _Awaited(token, since)
        return future

    def end(self, future: "Future[None]") -> None:
        """Wait no longer."""
        with self._lock:
            self._awaited.pop(future, None)

    def look(self, published: Published, current_at: float) -> None:
        """Tell those whose transaction has arrived, or never will.

        Args:
            published: what is current.
            current_at: when it surely was, by the same clock as `since`.
        """
        if not self._awaited:
            return
        with self._lock:
            for future, (token, since) in list(self._awaited.items()):
                try:
                    published.require_seen(token)
                except RevisionUnseenError:
                    continue
                except (RevisionForeignError, NotOpenError) as error:
                    if current_at < since:
                        continue
                    future.set_exception(error)
                else:
                    future.set_result(None)
                del self._awaited[future]
