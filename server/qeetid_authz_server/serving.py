"""Serving: bind, follow, answer, and stop without dropping what was begun."""

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import current_thread, main_thread
from typing import Any

from aiohttp import web

from qeetid_authz_server.app import AUTHORIZER, BODIES, FAST_PATH, HEALTH, make_app
from qeetid_authz_server.listening.listener import Listener
from qeetid_authz_server.listening.tls import server_context
from qeetid_authz_server.protocol import Runner
from qeetid_authz_server.settings import Settings
from qeetid_authz_server.telemetry.logs import HTTP_LOG, configure_logging

_GRACE = 0.5  # seconds, for what is written when the drain ends
_TICK = 0.01  # seconds
_LINGERING = 1.0  # seconds, for the rest of a body that was refused
_LINE_SIZE = 1 << 16  # bytes of a request line or a header

_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, on uvloop where it is installed.

    Raises as `serve` does.
    """
    configure_logging(settings.log_level)
    _dump_no_core()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings))


async def serve(
    settings: Settings, *, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return.

    Both signals are its own while it runs; a second one ends the waiting at once.
    Outside the main thread there are no signals: cancel it.

    Args:
        settings: how.
        ready: called once with the base URL, or with `unix:/path`, when it answers.

    Raises:
        ListenError: the address can't be listened on.
        SettingsError: the certificate or its key is of no use.
        AuthzError: what `AsyncAuthorizer.open` raises.
    """
    app = make_app(settings)
    listener = Listener(settings.address, server_context(settings))
    runner = Runner(
        app,
        fast_path=app.get(FAST_PATH),
        access_log=None,
        logger=HTTP_LOG,
        shutdown_timeout=_GRACE,
        lingering_time=_LINGERING,
        max_line_size=_LINE_SIZE,
        max_field_size=_LINE_SIZE,
        auto_decompress=False,  # it would be done on this loop, before anybody is asked
    )
    with _caught_signals() as signals:
        try:
            await signals.interrupt(_start(runner, listener))
            if not signals.first.is_set():
                _announce(listener, app, ready)
                await signals.first.wait()
                await _drain(runner, settings.drain_timeout, signals.second)
        finally:
            await runner.cleanup()
            listener.close()
            if listener.base_url:
                _log.info("stopped")


def _dump_no_core() -> None:
    """What is in memory, the DSN and keys among it, is not to end in a file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


async def _start(runner: web.AppRunner, listener: Listener) -> None:
    await runner.setup()
    gc.collect()
    gc.freeze()  # What was loaded is never looked through for garbage again.
    await listener.start(runner)


def _announce(
    listener: Listener, app: web.Application, ready: Callable[[str], None] | None
) -> None:
    revision = str(app[AUTHORIZER].revision)
    _log.info("serving", extra={"url": listener.base_url, "revision": revision})
    if ready is not None:
        ready(listener.base_url)


async def _drain(runner: web.AppRunner, timeout: float, hurry: asyncio.Event) -> None:
    """Take no connection any more, and wait until every request is answered."""
    health = runner.app[HEALTH]
    health.draining = True
    runner.app[BODIES].hurry()
    _log.info("draining", extra={"in_flight": health.in_flight})
    for site in runner.sites:
        await site.stop()
    try:
        async with asyncio.timeout(timeout):
            while health.in_flight and not hurry.is_set():  # noqa: ASYNC110  (in the end only)
                await asyncio.sleep(_TICK)
    except TimeoutError:
        _log.warning("drain_timed_out", extra={"in_flight": health.in_flight})


@dataclass(slots=True)
class _Signals:
    """The first signal asks for a stop, the second for a quick one."""

    first: asyncio.Event = field(default_factory=asyncio.Event)
    second: asyncio.Event = field(default_factory=asyncio.Event)

    def arrived(self) -> None:
        (self.second if self.first.is_set() else self.first).set()

    async def interrupt(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work, but no further than the first signal."""
        working = asyncio.create_task(work)
        waiting = asyncio.create_task(self.first.wait())
        try:
            await asyncio.wait({working, waiting}, return_when="FIRST_COMPLETED")
        finally:
            waiting.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
        if not working.cancelled():
            working.result()


@contextmanager
def _caught_signals() -> Iterator[_Signals]:
    signals = _Signals()
    if current_thread() is not main_thread():
        yield signals
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.arrived)
    try:
        yield signals
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415  (not everywhere available)
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
