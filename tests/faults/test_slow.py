"""Rows 11 and 12: a consumer that is suspended or slow, and one that is told twice."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from qeetid_authz import Authorizer, Engine
from qeetid_authz.engine.published import Prepared
from qeetid_authz.index.compiler import compile_snapshot
from qeetid_authz.model import Update
from tests.described import describe
from tests.faults.checking import History
from tests.faults.conftest import Recorder, authors, watched
from tests.faults.servers import Mortal
from tests.integration.following import HandDriven, described
from tests.server.town import ACME, ANN, KEY, build
from tests.tables import read

BOUND = 0.5  # seconds
SLEEP = 2.0  # seconds

Connection = psycopg.Connection[Any]


@contextmanager
def asking(database: str) -> Iterator[subprocess.Popen[str]]:
    """A process that asks whether Ann may, without end."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.faults.suspended",
            database,
            str(BOUND),
            ANN,
            ACME,
            KEY,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()


@contextmanager
def suspended(process: subprocess.Popen[str]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        yield
        time.sleep(began + SLEEP - time.monotonic())
    finally:
        process.send_signal(signal.SIGCONT)


def after_waking(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the process was told since it woke up."""
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def revoke(connection: Connection) -> None:
    """Take from Ann what she may, in whichever way she has it."""
    with connection.transaction():
        connection.execute("DELETE FROM rbac.user_roles")
        connection.execute("DELETE FROM tenant.group_members")


def test_a_process_suspended_in_which_a_right_was_revoked(
    connection: Connection, database: str
) -> None:
    """`check` allows nothing after waking up, and the feed goes on from where it was."""
    build(connection)
    with asking(database) as process:
        with suspended(process):
            revoke(connection)
        told = after_waking(process)

    assert 0 == told["check"]
    assert {"start": 1} == told["resyncs"]


def test_a_process_suspended_while_the_log_was_pruned(
    connection: Connection, database: str
) -> None:
    """It loads everything anew, having lost nothing."""
    build(connection)
    with asking(database) as process:
        with suspended(process):
            revoke(connection)
            connection.execute("SELECT qeetid_authz.prune('0 seconds')")
        told = after_waking(process)

    assert 0 == told["check"]
    assert {"start": 1, "pruned": 1} == told["resyncs"]


def test_an_index_that_is_slow_to_change(
    server: Mortal,
    history: History,
    recorded: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each update takes longer than the bound: it is refused, and what isn't is right."""
    prepare = Authorizer.prepare

    def slowly(self: Authorizer, update: Update) -> Prepared:
        time.sleep(BOUND * 1.2)
        return prepare(self, update)

    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=BOUND) as subject,
    ):
        monkeypatch.setattr(Authorizer, "prepare", slowly)
        for author in writing:
            author.start()
        time.sleep(3.0)
        for author in writing:
            author.stop()
        monkeypatch.setattr(Authorizer, "prepare", prepare)
        seconds = subject.wait_for_write(writing[0], time.monotonic())
        subject.assert_right(server.town)
        recorded(11, "each update takes 0.6 s", seconds, subject)

    assert {"start": 1} == subject.authz.replica.resyncs
    assert subject.answers[1] > 0


def test_told_twice(connection: Connection, database: str) -> None:
    """What comes again, by an old cursor or as it was, changes nothing."""
    build(connection)
    replica = HandDriven(database, Engine("strict"))
    replica.poll()
    before = replica.replica.cursor
    with connection.transaction():
        connection.execute("DELETE FROM rbac.user_roles")
        connection.execute("INSERT INTO rbac.permissions (key) VALUES ('a:new')")
        connection.execute("DELETE FROM rbac.group_roles")
    update = replica.poll()
    once = described(replica.engine)
    after = replica.replica.cursor
    for _ in range(2):
        replica.replica.cursor = before
        again = replica.poll()
        assert type(update) is type(again)
        assert after is not None
        assert once == described(replica.engine)
        replica.engine.publish(update, 0.0)
        assert once == described(replica.engine)
    replica.close()

    expected = describe(
        compile_snapshot(read(connection).snapshot(), replica.engine.semantics)
    )
    assert expected == once
