"""Engines that keep themselves current, whoever does the waiting."""

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from pathlib import Path
from random import Random
from threading import Event, Lock, Thread
from types import ModuleType
from typing import TYPE_CHECKING, Unpack
from weakref import WeakSet

from qeetid_authz.clocks import WallClock, steady
from qeetid_authz.credentials.claims import Expectations
from qeetid_authz.engine.engine import Engine
from qeetid_authz.engine.published import CREDENTIAL_MARGIN, NO_REVISION, Prepared
from qeetid_authz.errors import (
    DatabaseError,
    FeedError,
    NotOpenError,
    SnapshotError,
    UnreachableError,
)
from qeetid_authz.model import Semantics, Update
from qeetid_authz.options import Given, Options
from qeetid_authz.replica import UNTRUSTWORTHY, Replica
from qeetid_authz.revision import Revision, RevisionToken
from qeetid_authz.waiting import Waiting

if TYPE_CHECKING:
    from qeetid_authz.credentials.authentication import Authentication
    from qeetid_authz.credentials.keyring import Keyring
    from qeetid_authz.postgres.following import AsyncFollower, Follower, Following
    from qeetid_authz.snapshots.keeping import Keeper

_CLOCK_SLACK = 3600.0  # seconds by which the clocks of database and issuer may differ
_SHORTEST_LOOK = 0.01  # seconds
_LONGEST_LOOK = 0.1  # seconds, for which a machine that woke up may go by what it knew
PATIENCE = 5.0  # seconds that closing waits for a poll to end

log = logging.getLogger("qeetid_authz")
_jitter = Random()  # noqa: S311  (no secret; an application may have seeded the other)
_opened: "WeakSet[Replicated]" = WeakSet()


class Replicated(Engine):
    """What both authorizers share: an engine, a replica and a watch on its age."""

    _follower: "Follower | AsyncFollower"

    def __init__(self, dsn: str, **given: Unpack[Given]) -> None:
        """Prepare; nothing is connected or loaded before it is opened.

        Args:
            dsn: of the Qeet ID database, its primary.
            **given: as `Options` has them.

        Raises:
            TypeError: `dsn` is no string, or there is no such option.
            ValueError: an option makes no sense.
        """
        if not isinstance(dsn, str):
            raise TypeError(f"a DSN must be a string, not `{dsn!r}`")
        told = Options(**given)
        self._time = WallClock()
        super().__init__(
            told.semantics,
            steady,
            told.max_staleness,
            self._time,
            raises_stale=told.raises_stale,
        )
        self._told = told
        self._waiting = Waiting()
        self._keeper: Keeper | None = None
        self._changed = NO_REVISION
        memory = told.max_token_life + told.leeway + _CLOCK_SLACK
        self.replica = Replica(told.poll_interval, session_memory=memory)
        self.keyring: Keyring | None = None
        if told.jwks is not None:
            self.keyring = _authentication().Keyring(told.jwks)
        strict = self.semantics is Semantics.STRICT
        self._expected = Expectations(
            told.issuer,
            told.audience,
            told.leeway,
            requires_expiry=strict,
            max_life=told.max_token_life if strict else inf,
        )
        self._made: Authentication | None = None
        self._making = Lock()
        self.last_error: DatabaseError | None = None
        self._dsn = dsn
        self._closing = Event()

    def publish(
        self, update: Update, current_at: float, prepared: Prepared = None
    ) -> None:
        """Make a later revision current; as `Engine.publish`."""
        if self.replica.cursor is not None:
            self._time.database_said(self.replica.cursor.now, current_at)
        super().publish(update, current_at, prepared)
        if not isinstance(update, Revision):
            self._changed = update.revision
        self.last_error = None
        self._waiting.look(self, current_at)

    def chore(self) -> Callable[[], None] | None:
        """What is to be done before the next update: to keep what is known."""
        if self._keeper is None or self._index is None:
            return None
        # Every transaction of the database makes a revision, few change any fact.
        return self._keeper.chore(
            self._index, self._lock, self._changed, self._basis.current_at
        )

    def _find_directory(self) -> None:
        """Take the directory for snapshots, if one is given.

        Raises:
            SnapshotError: nothing can be kept there.
        """
        if self._told.snapshot_dir is not None:
            driver()
            from qeetid_authz.postgres.connecting import describe  # noqa: PLC0415
            from qeetid_authz.snapshots.keeping import Keeper  # noqa: PLC0415

            source = describe(self._dsn)
            directory = Path(self._told.snapshot_dir)
            self._keeper = Keeper(directory, source, self._told.snapshot_key)

    def _resume(self, error: UnreachableError) -> None:
        """Begin with what was kept.

        Raises:
            UnreachableError: nothing was kept that can be used.
        """
        if self._keeper is None:
            raise error
        try:
            snapshot, age = self._keeper.load(
                self.replica.session_memory, self.max_staleness
            )
            prepared = self.prepare(snapshot)
        except SnapshotError as refusal:
            extra = {"event": "snapshot_refused"}
            log.warning("the snapshot isn't used: %s", refusal, extra=extra)
            raise error from refusal
        self.publish(snapshot, steady() - age, prepared)
        self.feed_failed(error)
        log.warning(
            "answering from a snapshot", extra={"event": "snapshot_used", "age": age}
        )

    def feed_failed(self, error: DatabaseError) -> None:
        """Note that a poll failed; fail closed if changes may have gone unseen."""
        if self.last_error is None or self.last_error.code != error.code:
            cause = error if isinstance(error, FeedError) else None
            extra = {"event": "feed_failed", "code": error.code}
            log.warning("feed failed: %s", error, extra=extra, exc_info=cause)
        self.last_error = error
        if isinstance(error, UNTRUSTWORTHY):
            self.expire()

    def _begin_waiting(self, token: RevisionToken) -> "Future[None]":
        """Wait for a transaction, with a poll at once."""
        awaited = self._waiting.begin(token, self._clock())
        self._waiting.look(self, self._basis.current_at)
        self._follower.hurry()
        return awaited

    @property
    def authentication(self) -> "Authentication":
        """What tells for whom a credential stands; made when first needed.

        Raises:
            ImportError: the extra `tokens` isn't installed.
        """
        if self._made is not None:
            return self._made
        with self._making:
            if self._made is None:
                self._made = _authentication().Authentication(
                    self, self.keyring, self._expected, self._wall_clock
                )
            return self._made

    @property
    def sizes(self) -> dict[str, int]:
        """How many entries the index has of each kind; none before it is loaded."""
        index = self._index
        return {} if index is None else index.sizes()

    @property
    def seats(self) -> int:
        """Principals whose answers are at hand."""
        return len(self._answers)

    def _load_keys(self) -> "list[Future[None]]":
        """Begin to load the issuer's keys, which no opening fails for want of."""
        return [] if self.keyring is None else [self.keyring.start()]

    def close(self) -> None:
        """Answer nothing any more. Closing twice is harmless."""
        self._closing.set()
        super().close()
        self._waiting.look(self, inf)
        self._release()

    def _release(self) -> None:
        if self.keyring is not None:
            self.keyring.close()
        with self._making:
            if self._made is not None:
                self._made.close()

    def _watch(self) -> None:
        """Expire what is too old, whatever the feed is doing.

        Without it nothing would keep `can` from going by what it knew, for ever.
        """
        try:
            self._expire_in_time()
        except BaseException:
            why = "what watches the age of this authorizer failed; open another"
            self.shut(NotOpenError(why))
            raise

    def _expire_in_time(self) -> None:
        stale = False
        while not self._closing.wait(self._time_to_look()):
            self.expire_credentials()
            was_stale, stale = stale, self.expire(only_if_old=True)
            if stale and not was_stale:
                extra = {"event": "replica_stale", "age": self.age}
                log.error("replica is stale", extra=extra)

    def _time_to_look(self) -> float:
        left = max(self.max_staleness - self.age, _SHORTEST_LOOK)
        return min(left, CREDENTIAL_MARGIN / 2, _LONGEST_LOOK)

    def _follow(self, *, begun: bool = False) -> "Following":
        following: Following = driver().follow(
            self.replica, self, steady, _jitter.random, begun=begun
        )
        return following

    def _after_fork(self) -> None:
        """In a child nothing follows: answering there would never end being allowed."""
        self._lock = Lock()
        self._making = Lock()
        self.keyring = self._made = None
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


def driver() -> ModuleType:
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


def _authentication() -> ModuleType:
    """What judges credentials; who authenticates by itself needs none of it."""
    try:
        from qeetid_authz.credentials import authentication  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("jwt", "cryptography", "cachetools"):
            raise
        raise ImportError(
            "judging credentials needs more; `pip install 'qeetid-authz[tokens]'`"
        ) from error
    return authentication


def _shut_all() -> None:
    for authorizer in _opened:
        authorizer._after_fork()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shut_all)
