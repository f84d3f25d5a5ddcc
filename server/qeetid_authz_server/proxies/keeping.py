"""The routes that are current: read at the start, and again whenever they change."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import time
from typing import Final

from aiohttp import web

from qeetid_authz_server.loading import SettingsError
from qeetid_authz_server.proxies.reading import Routing, read_routes
from qeetid_authz_server.settings import PREFIX

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at the file; a change counts once two saw it alike."""

_LARGEST = 1 << 20  # bytes

_log = logging.getLogger(__name__)


class Keeper:
    """Holds the last good routes of a file.

    The file is read whole at each look, on another thread: whatever moves under its
    name, by a link, a mount or a copy of equal age, is noticed.

    Attributes:
        loaded_at: when the routes became current, in seconds since the Unix epoch.
        is_refused: whether what is in the file now can't be used.
    """

    def __init__(self, path: Path, is_permission: Callable[[str], bool]) -> None:
        """Prepare.

        Args:
            path: where the routes are.
            is_permission: whether the database has a permission of a key.
        """
        self._path = path
        self._is_permission = is_permission
        self._routing: Routing | None = None
        self._seen: bytes | None = None
        self._judged: bytes | None = None
        self._candidate: Routing | None = None
        self._told: tuple[str, ...] = ()
        self.loaded_at = 0.0
        self.is_refused = False

    @property
    def routing(self) -> Routing | None:
        """The routes that are current; None before the start."""
        return self._routing

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Read the routes, and look for changes as long as the application runs.

        Raises:
            SettingsError: they can't be used.
        """
        try:
            data = await asyncio.to_thread(self._read)
            routing = await asyncio.to_thread(read_routes, data, str(self._path))
            _require_known(routing, self._is_permission)
        except SettingsError as error:
            raise SettingsError(
                f"{PREFIX}ROUTES {problem}" for problem in error.problems
            ) from None
        self._seen = self._judged = data
        self._take(routing)
        watching = asyncio.create_task(self._watch(), name="qeetid-authz-routes")
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            try:
                await self.look()
            except SettingsError as error:
                self._refuse(error.problems)
            except Exception as error:  # noqa: BLE001  (or nobody would look again)
                _log.exception("routes_failed")
                self._refuse((type(error).__name__,))

    async def look(self) -> None:
        """Take what is in the file, if it is new and has stopped changing.

        Raises:
            SettingsError: it can't be used.
        """
        seen, self._seen = self._seen, None
        try:
            data = self._seen = await asyncio.to_thread(self._read)
        except SettingsError:
            self._judged = None  # What comes back is looked at anew.
            raise
        if data != seen:
            return
        if data != self._judged:
            self._candidate, self._judged = None, data
            self._candidate = await asyncio.to_thread(
                read_routes, data, str(self._path)
            )
        if self._candidate is not None:
            _require_known(self._candidate, self._is_permission)
            self._take(self._candidate)

    def _take(self, routing: Routing) -> None:
        self._routing, self._candidate = routing, None
        self.loaded_at, self.is_refused, self._told = time(), False, ()
        number = len(routing.table.routes)
        _log.info("routes_loaded", extra={"routes": number})

    def _refuse(self, problems: tuple[str, ...]) -> None:
        """Keep the routes there are, and say why, once."""
        self.is_refused = True
        if problems != self._told:
            self._told = problems
            _log.error("routes_refused", extra={"problems": problems})

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                data = file.read(_LARGEST + 1)
        except OSError as error:
            why = f"`{self._path}` can't be read ({error.strerror})"
            raise SettingsError([why]) from None
        if len(data) > _LARGEST:
            why = f"`{self._path}` has more than {_LARGEST} bytes"
            raise SettingsError([why])
        return data


def _require_known(routing: Routing, is_permission: Callable[[str], bool]) -> None:
    problems = routing.unknown(is_permission)
    if problems:
        raise SettingsError(problems)
