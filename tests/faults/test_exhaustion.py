"""Row 17: the server has no room left, on its disk or for another connection."""

import time
from contextlib import ExitStack

import psycopg
import pytest

from tests.faults.checking import History
from tests.faults.conftest import Recorder, authors, watched
from tests.faults.servers import DATABASE, Mortal, execute
from tests.faults.town import build

BOUND = 0.6  # seconds
CONNECTIONS = 20
FULL = 64 * 1024
"""Bytes that a file may have when the disk is to be full: no log of writes fits."""


def test_a_full_disk(server: Mortal, history: History, recorded: Recorder) -> None:
    """A server that can't write goes down; there is no room till somebody makes some.

    Files that may not grow stand for the disk, for which nothing has to be mounted.
    """
    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=BOUND) as subject,
    ):
        server.limit_files(FULL)
        writing[0].disconnect()
        with pytest.raises(psycopg.Error):
            writing[0].write(writing[0].granting())
        server.await_end()
        left = time.monotonic()
        subject.watcher.wait_for(lambda each: each.grants is None)
        time.sleep(BOUND / 2)
        history.away.append((left, time.monotonic()))
        back = server.come_back()
        for author in writing:
            author.disconnect()
        seconds = [subject.wait_for_write(author, back) for author in writing]
        subject.assert_right(server.town)
        recorded(17, "a full disk", seconds[0], subject)

    assert {"start": 1, "incarnation": 1} == subject.authz.replica.resyncs


def test_no_connection_left(history: History, recorded: Recorder) -> None:
    """Who finds none asks less and less often, denies past the bound, and resumes."""
    settings = {"max_connections": str(CONNECTIONS), "log_connections": "on"}
    with Mortal(**settings) as server, ExitStack() as stack:
        server.create_database(DATABASE)
        build(server.town)
        execute(
            server.dsn(),
            "CREATE ROLE follower LOGIN PASSWORD 'x' IN ROLE qeetid_authz_reader",
        )
        dsn = psycopg.conninfo.make_conninfo(server.town, user="follower", password="x")
        writing = stack.enter_context(authors(history, server.town))
        subject = stack.enter_context(watched(dsn, history, max_staleness=BOUND))
        with ExitStack() as held:
            killer = stack.enter_context(psycopg.connect(server.town, autocommit=True))
            for _ in range(CONNECTIONS - len(writing) - 2):
                held.enter_context(psycopg.connect(server.town))
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'follower'"
            )
            held.enter_context(psycopg.connect(server.town))
            left = time.monotonic()
            before = server.attempts()
            for author in writing:
                author.write(author.granting())
            subject.watcher.wait_for(lambda each: each.grants is None)
            time.sleep(2.0)
            tried = server.attempts() - before
            history.away.append((left, time.monotonic()))
        back = time.monotonic()
        seconds = [subject.wait_for_write(author, back) for author in writing]
        subject.assert_right(server.town)
        recorded(17, "no connection left", seconds[0], subject)

    assert 2 <= tried <= 12
    assert {"start": 1} == subject.authz.replica.resyncs
