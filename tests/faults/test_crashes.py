"""Rows 3 and 4: the server crashes under writers, and comes back by itself or not."""

import os
import signal
import time

import psycopg
import pytest

from tests.faults.checking import History
from tests.faults.conftest import Recorder, authors, watched
from tests.faults.servers import Mortal

BOUND = 0.5  # seconds

CRASHES = {
    "immediate stop": (signal.SIGQUIT, 0.0),
    "kill -9 of the postmaster, away for long": (signal.SIGKILL, 2 * BOUND),
}


@pytest.mark.parametrize("how", CRASHES)
def test_a_crash_under_writers(
    server: Mortal, history: History, recorded: Recorder, how: str
) -> None:
    """Nothing committed is lost, and past the bound nothing is allowed."""
    sent, pause = CRASHES[how]
    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=BOUND) as subject,
    ):
        for author in writing:
            author.start()
        history.wait_for_writes(20)
        server.shut_down(sent)
        left = time.monotonic()
        time.sleep(pause)
        history.away.append((left, time.monotonic()))
        back = server.come_back()
        for author in writing:
            author.stop()
        seconds = subject.wait_for_write(writing[0], back)
        subject.assert_right(server.town)
        recorded(3, how, seconds, subject)

    assert {"start": 1, "incarnation": 1} == subject.authz.replica.resyncs
    stale = [each for each in subject.watcher.seen if each.grants is None]
    assert pause <= BOUND or any(left < each.began < back for each in stale)


def test_a_backend_killed(server: Mortal, history: History, recorded: Recorder) -> None:
    """It takes the whole server through a crash, of which nothing but its life tells."""
    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=5.0) as subject,
    ):
        for author in writing:
            author.start()
        history.wait_for_writes(20)
        with psycopg.connect(server.town) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
            victim.close()
        time.sleep(0.02)
        back = server.await_ready()
        for author in writing:
            author.stop()
        seconds = subject.wait_for_write(writing[0], back)
        subject.assert_right(server.town)
        recorded(4, "kill -9 of a backend", seconds, subject)

    assert {"start": 1, "incarnation": 1} == subject.authz.replica.resyncs
