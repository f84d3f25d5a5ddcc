"""Row 10: a server whose processes all stand still, while the kernel answers for them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from urllib.parse import urlsplit

import psutil
import pytest

from qeetid_authz import Authorizer, Principal
from qeetid_authz.postgres import feed
from qeetid_authz.postgres.patience import Patience
from tests.faults.checking import History
from tests.faults.conftest import Recorder, authors, watched
from tests.faults.proxy import Proxy
from tests.faults.servers import DATABASE, Mortal, execute
from tests.faults.town import NAMES, TENANTS, build
from tests.integration.following import eventually
from tests.tables import named

BOUND = 0.5  # seconds
SLACK = 0.1  # seconds past the bound
SOON = 0.7  # seconds of patience


@contextmanager
def frozen(server: Mortal) -> Iterator[float]:
    """Stops a server and all its backends; since when none of them runs."""
    postmaster = psutil.Process(server.pid)
    postmaster.suspend()  # first: it starts no others
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for process in stopped[1:]:
        process.suspend()
    try:
        yield time.monotonic()
    finally:
        for process in reversed(stopped):
            os.kill(process.pid, signal.SIGCONT)


class Asker(Thread):
    """Asks in a tight loop, and notes when it was last allowed what is asked."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._over = Event()
        self.allowed_at = 0.0

    def run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            if self._ask():
                self.allowed_at = began

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join()


def test_a_frozen_server(server: Mortal, history: History, recorded: Recorder) -> None:
    """Past the bound nothing is allowed; when it thaws it is followed from there."""
    ann = Principal.user(named("user", (TENANTS[0], 0)).hex(), NAMES[0])
    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=BOUND) as subject,
    ):
        authz = subject.authz
        key = next(iter(authz.effective_permissions(ann)))
        askers = [
            Asker(lambda: authz.can(ann, key)),
            Asker(lambda: authz.check(ann, key)),
        ]
        for asker in askers:
            asker.start()
        time.sleep(0.2)
        with frozen(server) as left:
            time.sleep(2.0)
            last = [asker.allowed_at - left for asker in askers]
            back = time.monotonic()
            history.away.append((left, back))
        seconds = subject.wait_for_write(writing[0], back)
        for asker in askers:
            asker.stop()
        subject.assert_right(server.town)
        recorded(10, "server frozen for 2 s", seconds, subject)

    assert 0 < min(last)
    assert max(last) < BOUND + SLACK
    assert min(asker.allowed_at for asker in askers) > back
    assert {"start": 1} == subject.authz.replica.resyncs


def test_a_server_that_stays_frozen(
    server: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another server takes its address, that is found and loaded anew."""
    for name in ("QUICK", "LONG"):
        monkeypatch.setattr(feed, name, Patience(SOON))
    with Mortal() as other, Proxy(server.port) as address:
        other.create_database(DATABASE)
        build(other.town)
        password = urlsplit(server.town).password
        execute(other.town, f"ALTER ROLE qeetid PASSWORD '{password}'")
        dsn = address.dsn(server.town)
        with Authorizer.open(dsn, max_staleness=BOUND) as authz:
            with frozen(server) as left:
                address.target = other.port
                eventually(lambda: authz.is_stale)
                eventually(lambda: "incarnation" in authz.replica.resyncs)
                seconds = time.monotonic() - left
                eventually(lambda: not authz.is_stale)

            assert SOON - SLACK < seconds < SOON + 2.0
            assert {"start": 1, "incarnation": 1} == authz.replica.resyncs
