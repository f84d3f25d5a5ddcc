"""Authorizers: engines that follow a database.

`Authorizer` follows on a background thread, for synchronous applications;
`AsyncAuthorizer` as a task of the running event loop.
"""

import asyncio
from concurrent.futures import wait
from threading import Thread
from typing import TYPE_CHECKING, Self, Unpack

from qeetid_authz.errors import UnreachableError
from qeetid_authz.options import Given
from qeetid_authz.principal import Principal
from qeetid_authz.replicated import PATIENCE, Replicated, driver, log
from qeetid_authz.revision import RevisionToken

if TYPE_CHECKING:
    from qeetid_authz.postgres.following import AsyncFollower, Follower


class Authorizer(Replicated):
    """Answers in this process, and follows the database on a background thread.

    A context manager. `can` never blocks on the database.
    """

    _follower: "Follower"
    _thread: Thread

    @classmethod
    def open(cls, dsn: str, **options: Unpack[Given]) -> Self:
        """An authorizer that is loaded and follows.

        Args:
            dsn: of the Qeet ID database, its primary.
            **options: as `qeetid_authz.options.Options` has them.

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
        self._find_directory()
        self._follower = driver().Follower(self._dsn, self._follow())
        try:
            self._follower.begin()
        except UnreachableError as error:
            self._resume(error)
            following = self._follow(begun=True)
            self._follower = driver().Follower(self._dsn, following)
        wait(self._load_keys(), PATIENCE)
        self._thread = Thread(
            target=self._follower.run, name="qeetid-authz-feed", daemon=True
        )
        self._thread.start()
        self._start_watch()
        return self

    def authenticate(self, header: str) -> Principal:
        """The principal that a credential stands for.

        May take as long as verifying a secret or fetching a key does, when it meets
        either for the first time.

        Args:
            header: the value of an `Authorization` header, `Bearer TOKEN` or
                `ApiKey KEY`.

        Raises:
            AuthenticationError: the credential is refused, by one subclass a cause.
            UnavailableError: it can't be judged now.
            ImportError: the extra `tokens` isn't installed.
            NotOpenError: the authorizer isn't open.
        """
        return self.authentication.authenticate(header)

    def wait_for(self, at_least: str) -> None:
        """Return when answers rest on a transaction.

        Args:
            at_least: its revision token, which the writer gets in it from
                `SELECT qeetid_authz.revision_token()`.

        Raises:
            TypeError, ValueError: that is no revision token.
            RevisionUnseenError: it hasn't arrived within `at_least_timeout`.
            RevisionForeignError: it is of another life of the database.
            NotOpenError: the authorizer isn't open.
        """
        self._reach(at_least)

    def _reach(self, at_least: str | None) -> None:
        if at_least is None:
            return
        token = RevisionToken.parse(at_least)
        self.require_open()
        if not self.revision.has_seen(token):
            awaited = self._begin_waiting(token)
            wait([awaited], self._told.at_least_timeout)
            self._waiting.end(awaited)
        self.require_seen(token)

    def close(self) -> None:
        """Stop following, and answer nothing any more. Closing twice is harmless."""
        super().close()
        if hasattr(self, "_thread"):
            self._follower.stop()
            self._thread.join(PATIENCE)
            if self._thread.is_alive():  # it ends when the server lets go of it
                log.warning(
                    "the feed's thread still waits for the database",
                    extra={"event": "feed_lingers"},
                )


class AsyncAuthorizer(Replicated):
    """Answers in this process, and follows the database on the running event loop.

    An asynchronous context manager. Questions are asked without `await`: they touch
    memory only.
    """

    _follower: "AsyncFollower"
    _task: asyncio.Task[None]

    @classmethod
    async def open(cls, dsn: str, **options: Unpack[Given]) -> Self:
        """An authorizer that is loaded and follows; as `Authorizer.open`."""
        return await cls(dsn, **options).__aenter__()

    async def __aenter__(self) -> Self:
        if self.is_loaded:
            return self
        self._require_unopened()
        self._find_directory()
        self._follower = driver().AsyncFollower(self._dsn, self._follow())
        try:
            await self._follower.begin()
        except UnreachableError as error:
            await asyncio.to_thread(self._resume, error)
            following = self._follow(begun=True)
            self._follower = driver().AsyncFollower(self._dsn, following)
        if keys := self._load_keys():
            await asyncio.wait(map(asyncio.wrap_future, keys), timeout=PATIENCE)
        self._task = asyncio.create_task(self._follower.run(), name="qeetid-authz-feed")
        await asyncio.sleep(0)  # a task that never began wouldn't clean up either
        self._start_watch()
        return self

    async def authenticate(self, header: str) -> Principal:
        """The principal that a credential stands for; as `Authorizer.authenticate`.

        Nothing of it keeps the event loop from other work for long.
        """
        return await self.authentication.authenticate_async(header)

    async def wait_for(self, at_least: str) -> None:
        """Return when answers rest on a transaction; as `Authorizer.wait_for`."""
        token = RevisionToken.parse(at_least)
        self.require_open()
        if not self.revision.has_seen(token):
            awaited = self._begin_waiting(token)
            arrival = asyncio.wrap_future(awaited)
            try:
                await asyncio.wait([arrival], timeout=self._told.at_least_timeout)
            finally:
                self._waiting.end(awaited)
                arrival.cancel()
        self.require_seen(token)

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
