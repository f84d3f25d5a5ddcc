"""Following the change feed: what to do in which order, and two ways to do it.

`follow` says what is to be done and reacts to how it went; `Follower` does it in the
calling thread, `AsyncFollower` on the running event loop.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, Protocol, TypeAlias

from qeetid_authz.engine.published import Prepared
from qeetid_authz.errors import DatabaseError, FeedError, UnreachableError
from qeetid_authz.model import Snapshot, Update
from qeetid_authz.postgres.connecting import connect, connect_async, translated
from qeetid_authz.postgres.feed import Poll, drive, drive_async, poll
from qeetid_authz.postgres.patience import PatientAsyncConnection, PatientConnection
from qeetid_authz.replica import Replica
from qeetid_authz.revision import Revision


class Sink(Protocol):
    """What takes the updates."""

    def prepare(self, update: Update) -> Prepared:
        """What publishing an update needs, on any thread."""

    def publish(
        self, update: Update, current_at: float, prepared: Prepared = None
    ) -> None:
        """Make an update current, known to be so at `current_at`."""

    def chore(self) -> Callable[[], None] | None:
        """What is to be done before the next update, such as noting what is known."""

    def expire(self) -> object:
        """Deny everything until the next update is published."""

    def feed_failed(self, error: DatabaseError) -> None:
        """A poll failed; the next follows after a pause."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect, having let go of any former connection."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Run a poll on the connection."""

    steps: Poll


@dataclass(frozen=True, slots=True)
class Work:
    """Work for long, where nobody is kept waiting."""

    work: Callable[[], Prepared] | Callable[[], None]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for some seconds, unless somebody is in a hurry and that helps."""

    seconds: float
    may_be_cut: bool = False


Action: TypeAlias = Connect | Ask | Work | Pause
Following: TypeAlias = Generator[Action, Any, None]
"""Actions out; what they came to in: an update, an index, or None."""


def follow(
    replica: Replica,
    sink: Sink,
    clock: Callable[[], float],
    jitter: Callable[[], float],
    *,
    begun: bool = False,
) -> Following:
    """What a follower has to do, without end.

    An error of an action is thrown in where the action was asked for. One that
    nobody foresaw makes the feed start over, and never stop: what was half applied
    is loaded anew. Only before the first update it is raised, unless there is
    something known to begin with.
    """
    while True:
        try:
            yield Connect()
            while True:
                looked_at = clock()
                update = yield Ask(poll(replica, sink.expire))
                yield from _publish(sink, update, looked_at)
                if chore := sink.chore():
                    yield Work(chore)
                if isinstance(update, Snapshot) and not replica.repeats:
                    continue  # which took long, and more may have changed meanwhile
                begun = True
                yield Pause(replica.pause(jitter()), may_be_cut=not replica.repeats)
        except Exception as error:
            if not begun:
                raise
            failure = _foreseen(error)
            replica.failed(failure)
            sink.feed_failed(failure)
            yield Pause(replica.pause(jitter()))


def _publish(sink: Sink, update: Update, looked_at: float) -> Following:
    """Publish an update; what goes wrong here may leave an index half changed."""
    try:
        prepared = None
        if not isinstance(update, Revision):
            prepared = yield Work(partial(sink.prepare, update))
        sink.publish(update, looked_at, prepared)
    except Exception as error:
        raise FeedError(f"an update failed ({error!r}); all is loaded anew") from error


def _foreseen(error: Exception) -> DatabaseError:
    if isinstance(error, DatabaseError):
        return error
    failure = DatabaseError(f"the feed failed ({error!r}); it tries again")
    failure.__cause__ = error
    return failure


class Follower:
    """Follows on the thread that calls `run`."""

    def __init__(self, dsn: str, following: Following) -> None:
        self._dsn = dsn
        self._following = following
        self._connection: PatientConnection | None = None
        self._stopped = Event()
        self._hurried = Event()

    def begin(self) -> None:
        """Connect and load.

        Raises:
            DatabaseError: it failed, and nothing follows.
        """
        action = next(self._following)
        try:
            while not isinstance(action, Pause):
                action = self._following.send(self._act(action))
        except BaseException:
            self._disconnect()
            raise

    def run(self) -> None:
        """Follow until stopped, after `begin`."""
        action = self._following.send(None)
        try:
            while not self._stopped.is_set():
                try:
                    done = self._act(action)
                except Exception as error:  # noqa: BLE001  (the feed never stops)
                    action = self._following.throw(error)
                else:
                    action = self._following.send(done)
        finally:
            self._disconnect()

    def stop(self) -> None:
        """Let `run` return as soon as it can."""
        self._stopped.set()
        self._hurried.set()

    def hurry(self) -> None:
        """Poll as soon as possible; a poll that has begun doesn't count."""
        self._hurried.set()

    def _act(self, action: Action) -> Update | Prepared:
        match action:
            case Connect():
                self._disconnect()
                self._connection = connect(self._dsn)
            case Ask(steps):
                with translated(self._dsn):
                    return drive(self._connected(), steps)
            case Work(work):
                return work()
            case Pause(seconds, may_be_cut=True):
                self._hurried.wait(seconds)
                self._hurried.clear()
            case Pause(seconds):
                self._stopped.wait(seconds)
        return None

    def _connected(self) -> PatientConnection:
        if self._connection is None:
            raise UnreachableError("there is no connection to the database")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class AsyncFollower:
    """The same as tasks of the running event loop; cancelling `run` stops it."""

    def __init__(self, dsn: str, following: Following) -> None:
        self._dsn = dsn
        self._following = following
        self._connection: PatientAsyncConnection | None = None
        self._hurried = asyncio.Event()

    async def begin(self) -> None:
        """Connect and load.

        Raises:
            DatabaseError: it failed, and nothing follows.
        """
        action = next(self._following)
        try:
            while not isinstance(action, Pause):
                action = self._following.send(await self._act(action))
        except BaseException:
            await self._disconnect()
            raise

    async def run(self) -> None:
        """Follow until cancelled, after `begin`."""
        action = self._following.send(None)
        try:
            while True:
                try:
                    done = await self._act(action)
                except Exception as error:  # noqa: BLE001  (the feed never stops)
                    action = self._following.throw(error)
                else:
                    action = self._following.send(done)
        finally:
            await self.close()

    def hurry(self) -> None:
        """Poll as soon as possible; a poll that has begun doesn't count."""
        self._hurried.set()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._disconnect()

    async def _act(self, action: Action) -> Update | Prepared:
        match action:
            case Connect():
                await self._disconnect()
                self._connection = await connect_async(self._dsn)
            case Ask(steps):
                with translated(self._dsn):
                    return await drive_async(self._connected(), steps)
            case Work(work):
                return await asyncio.to_thread(work)
            case Pause(seconds, may_be_cut=True):
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._hurried.wait()
                self._hurried.clear()
            case Pause(seconds):
                await asyncio.sleep(seconds)
        return None

    def _connected(self) -> PatientAsyncConnection:
        if self._connection is None:
            raise UnreachableError("there is no connection to the database")
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
