"""The demonstration's life: everything it starts ends with it.

Signals only set a flag, so that none can come between starting something and
remembering that it was started.
"""

import asyncio
import os
import signal
from typing import Any

from qeetid_authz.errors import AuthzError
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz_server.demo.asking import ask_all
from qeetid_authz_server.demo.showing import Audience
from qeetid_authz_server.demo.stage import Stage, require_empty, set_up
from qeetid_authz_server.listening.listener import ListenError
from qeetid_authz_server.loading import load_settings
from qeetid_authz_server.serving import serve
from qeetid_authz_server.settings import Settings

_ADDRESSES = ("127.0.0.1:4010", "127.0.0.1:0")
"""Where to listen: the usual port, or any when it is taken."""

_DATABASE = "qeetid"
_FIXED = {"semantics": "strict", "caller_auth": "required", "log_level": "error"}
"""What the demonstration's answers rest on."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(dsn: str | None, settings: Settings, audience: Audience) -> None:
    """Show the demonstration and serve until a signal ends it.

    Args:
        dsn: of an empty database; None runs a server for the occasion.
        settings: what the sidecar is to heed, besides the database.
        audience: who watches.

    Raises:
        DemoError: the database isn't empty, or an answer was wrong.
        DatabaseError: there is no server to run, or it can't serve.
    """
    asyncio.run(_run(dsn, settings, audience))


async def _run(dsn: str | None, settings: Settings, audience: Audience) -> None:
    stopping = asyncio.Event()
    _heed_signals(stopping)
    cluster = Cluster()
    try:
        if dsn is None:
            audience.step("starting Postgres")
            _forget_other_servers()
            await asyncio.to_thread(cluster.start)
            await asyncio.to_thread(cluster.create_database, _DATABASE)
            dsn = cluster.dsn(_DATABASE)
        else:
            await asyncio.to_thread(require_empty, dsn)
        if not stopping.is_set():
            await _perform(dsn, settings, audience, stopping)
    except AuthzError:
        # Ctrl-C reaches the programs that we run as well, and they fail of it.
        if not stopping.is_set():
            raise
    finally:
        _heed_signals(stopping)  # the sidecar has heeded them in its own way
        await asyncio.to_thread(cluster.stop)


def _heed_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for each in _SIGNALS:
        loop.add_signal_handler(each, stopping.set)


def _forget_other_servers() -> None:
    """What the environment says of a server isn't meant for the one made here."""
    for name in [each for each in os.environ if each.startswith("PG")]:
        del os.environ[name]


async def _perform(
    dsn: str, settings: Settings, audience: Audience, stopping: asyncio.Event
) -> None:
    audience.step("making the tables and importing three tenants")
    stage = await asyncio.to_thread(set_up, dsn)
    audience.step("starting the sidecar")
    usual = settings.listen == Settings.model_fields["listen"].default
    addresses = _ADDRESSES if usual else (settings.listen,)
    for listen in addresses:
        heeded = (
            settings.model_dump()
            | _FIXED
            | {"database_url": dsn, "listen": listen, "jwks": stage.jwks}
        )
        try:
            await _serve(load_settings(**heeded), stage, audience, stopping)
        except ListenError:
            if listen == addresses[-1]:
                raise
        else:
            return


async def _serve(
    settings: Settings, stage: Stage, audience: Audience, stopping: asyncio.Event
) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_ready(base_url: str) -> None:
        _heed_signals(stopping)
        ready.set_result(base_url)

    async def ask() -> None:
        base_url = await ready
        audience.answers(stage, base_url, await ask_all(stage, base_url))

    serving = asyncio.create_task(serve(settings, ready=on_ready))
    stop = asyncio.create_task(stopping.wait())
    asking = asyncio.create_task(ask())
    try:
        await _first_of(serving, stop, asking)
        if asking.done():
            asking.result()
            await _first_of(serving, stop)
        if serving.done():
            serving.result()
    finally:
        for task in (asking, serving, stop):
            task.cancel()
        await asyncio.gather(asking, serving, stop, return_exceptions=True)


async def _first_of(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
