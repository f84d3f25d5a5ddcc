"""Authorizers: engines that follow a database.

`Authorizer` follows on a background thread, for synchronous applications;
`AsyncAuthorizer` as a task of the running event loop.
"""

import asyncio
import logging
import os
from random import random
from threading import TIMEOUT_MAX, Event, Lock, Thread
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Self, TypedDict, Unpack
from weakref import WeakSet

from qeetid_authz.apikeys import ApiKeys
from qeetid_authz.engine import Engine
from qeetid_authz.errors import DatabaseError, FeedError, NotOpenError
from qeetid_authz.index import Index
from qeetid_authz.model import Changes, Semantics, Snapshot
from qeetid_authz.replica import UNTRUSTWORTHY, Replica
from qeetid_authz.revision import Revision

if TYPE_CHECKING:
    from qeetid_authz.postgres.following import AsyncFollower, Follower, Following

POLL_INTERVAL = 0.02  # seconds
MAX_STALENESS = 30.0  # seconds

_WATCH_INTERVAL = 0.01  # seconds
_PATIENCE = 5.0  # seconds that closing waits for a poll to end

_log = logging.getLogger("qeetid_authz")
_opened: "WeakSet[_Following]" = WeakSet()


class Options(TypedDict, total=False):
    """The keywords of an authorizer; its constructor says what they mean."""

    semantics: Semantics | str
    max_staleness: float
    poll_interval: float


class _Following(Engine):
    """What both authorizers share: an engine, a replica and a watch on its age."""

    def __init__(
        self,
        dsn: str,
        *,
        semantics: Semantics | str = Semantics.STRICT,
        max_staleness: float = MAX_STALENESS,
        poll_interval: float = POLL_INTERVAL,
    ) -> None:
        """Prepare; nothing is connected or loaded before it is opened.

        Args:
            dsn: of the Qeet ID database, its primary.
            semantics: `strict` or `mirror`.
            max_staleness: seconds without word from the database after which
                everything is denied as `stale`.
            poll_interval: seconds between two looks at a quiet database.
        """
        if not isinstance(dsn, str):
            raise TypeError(f"a DSN must be a string, not `{dsn!r}`")
        if not 0 < poll_interval < max_staleness:
            raise ValueError(
                f"poll_interval `{poll_interval}` must be more than 0 seconds and less"
                f" than max_staleness `{max_staleness}`"
            )
        super().__init__(semantics, monotonic, max_staleness)
        self.api_keys = ApiKeys()
        self.replica = Replica(poll_interval)
        self.last_error: DatabaseError | None = None
        self._dsn = dsn
        self._closing = Event()

    def publish(
        self,
        update: Snapshot | Changes | Revision,
        current_at: float,
        compiled: Index | None = None,
    ) -> None:
        super().publish(update, current_at, compiled)
        self.api_keys.publish(update)
        self.last_error = None

    def feed_failed(self, error: DatabaseError) -> None:
        """Note that a poll failed; fail closed if changes may have gone unseen."""
        if self.last_error is None or self.last_error.code != error.code:
            cause = error if isinstance(error, FeedError) else None
            _log.warning(
                "feed failed: %s", error, extra={"code": error.code}, exc_info=cause
            )
        self.last_error = error
        if isinstance(error, UNTRUSTWORTHY):
            self.expire()

    def close(self) -> None:
        self._closing.set()
        super().close()

    def _watch(self) -> None:
        """Expire the index once it is too old, whatever the feed is doing."""
        stale = False
        while not self._closing.wait(self._time_to_expiry()):
            was_stale, stale = stale, self.expire(only_if_old=True)
            if stale and not was_stale:
                _log.error("replica is stale", extra={"age": self.age})

    def _time_to_expiry(self) -> float:
        left = max(self.max_staleness - self.age, _WATCH_INTERVAL)
        return min(left, TIMEOUT_MAX)

    def _follow(self) -> "Following":
        following: Following = _driver().follow(self.replica, self, monotonic, random)
        return following

    def _after_fork(self) -> None:
        """In a child nothing follows: answering there would never end being allowed."""
        self._lock = Lock()
        self.shut(
            NotOpenError(
                "this authorizer was opened before a fork; open one in each process"
            )
        )

    def _start_watch(self) -> None:
        _opened.add(self)
        Thread(target=self._watch, name="qeetid-authz-watch", daemon=True).start()

    def _require_unopened(self) -> None:
        if self._closing.is_set():
            raise NotOpenError("an authorizer is opened once; make another")


def _driver() -> ModuleType:
    """What follows a database; facts from a document need no driver for one."""
    try:
        from qeetid_authz.postgres import following  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise ImportError(
            "following a database needs a driver; `pip install 'qeetid-authz[postgres]'`"
        ) from error
    return following


def _shut_all() -> None:
    for authorizer in _opened:
        authorizer._after_fork()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shut_all)


class Authorizer(_Following):
    """Answers in this process, and follows the database on a background thread.

    A context manager. `can` never blocks on the database.
    """

    _follower: "Follower"
    _thread: Thread

    @classmethod
    def open(cls, dsn: str, **options: Unpack[Options]) -> Self:
        """An authorizer that is loaded and follows.

        Args:
            dsn: of the Qeet ID database, its primary.
            **options: as the constructor takes them.

        Raises:
            UnreachableError: the database doesn't answer.
            SchemaError: its tables aren't Qeet ID's.
            NotMigratedError, DisarmedError: `qeetid-authz migrate` must run first.
            StandbyError: it is a standby.
        """
        return cls(dsn, **options).__enter__()

    def __enter__(self) -> Self:
        if self.is_loaded:
            return self
        self._require_unopened()
        self._follower = _driver().Follower(self._dsn, self._follow())
        self._follower.begin()
        self._thread = Thread(
            target=self._follower.run, name="qeetid-authz-feed", daemon=True
        )
        self._thread.start()
        self._start_watch()
        return self

    def close(self) -> None:
        """Stop following, and answer nothing any more. Closing twice is harmless."""
        super().close()
        if hasattr(self, "_thread"):
            self._follower.stop()
            self._thread.join(_PATIENCE)
            if self._thread.is_alive():  # it ends when the server lets go of it
                _log.warning("the feed's thread still waits for the database")


class AsyncAuthorizer(_Following):
    """Answers in this process, and follows the database on the running event loop.

    An asynchronous context manager. Questions are asked without `await`: they touch
    memory only.
    """

    _follower: "AsyncFollower"
    _task: asyncio.Task[None]

    @classmethod
    async def open(cls, dsn: str, **options: Unpack[Options]) -> Self:
        """An authorizer that is loaded and follows; as `Authorizer.open`."""
        return await cls(dsn, **options).__aenter__()

    async def __aenter__(self) -> Self:
        if self.is_loaded:
            return self
        self._require_unopened()
        self._follower = _driver().AsyncFollower(self._dsn, self._follow())
        await self._follower.begin()
        self._task = asyncio.create_task(self._follower.run(), name="qeetid-authz-feed")
        await asyncio.sleep(0)  # a task that never began wouldn't clean up either
        self._start_watch()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def close(self) -> None:
        """Answer nothing any more, and stop following as soon as the loop runs."""
        super().close()
        if hasattr(self, "_task"):
            self._task.cancel()

    async def aclose(self) -> None:
        """Stop following, and answer nothing any more. Closing twice is harmless."""
        self.close()
        if hasattr(self, "_task"):
            await asyncio.gather(self._task, return_exceptions=True)
            await self._follower.close()
