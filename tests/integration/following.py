"""Helpers for tests that watch a replica follow a database."""

import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import psycopg

from qeetid_authz.authorizer import Authorizer
from qeetid_authz.engine.engine import Engine
from qeetid_authz.index.compiler import compile_snapshot
from qeetid_authz.model import Update
from qeetid_authz.postgres.connecting import connect
from qeetid_authz.postgres.feed import drive, poll
from qeetid_authz.replica import Replica
from tests.described import describe
from tests.tables import Tables, read

DEADLINE = 20.0  # seconds


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, or fail the test."""
    until = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.002)


def assert_follows(authz: Authorizer, connection: psycopg.Connection[Any]) -> None:
    """The index comes to equal the tables, compiled from scratch."""
    tables = read(connection)
    expected = describe(compile_snapshot(tables.snapshot(), authz.semantics))
    try:
        eventually(lambda: described(authz) == expected)
    except AssertionError:
        assert expected == described(authz)


def described(authz: Engine) -> dict[str, Any]:
    """What the published index says, at one revision."""
    with authz._lock:
        return deepcopy(describe(authz._require_index()))


class HandDriven:
    """A replica whose polls the test makes one by one."""

    def __init__(self, dsn: str, engine: Engine) -> None:
        self.engine = engine
        self.replica = Replica(0.02)
        self.connection = connect(dsn)

    def poll(self) -> Update:
        """One poll, published."""
        update = drive(self.connection, poll(self.replica))
        self.engine.publish(update, 0.0)
        return update

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()


class PollAndCompare:
    """Polls, and reads all tables in the very snapshot that the poll published."""

    def __init__(self, dsn: str, engine: Engine) -> None:
        self.engine = engine
        self.replica = Replica(0.02)
        self.connection = connect(dsn)
        self._let_look_in_one_snapshot()

    def _let_look_in_one_snapshot(self) -> None:
        """Else it would tell nothing in the transaction in which the truth is read."""
        row = self.connection.execute(
            "SELECT pg_get_functiondef('qeetid_authz.look(xid8, xid8[])'::regprocedure)"
        ).fetchone()
        guard = "current_setting('transaction_isolation') <> 'read committed'"
        assert row is not None
        assert row[0].count(guard) == 1
        self.connection.execute(row[0].replace(guard, "false"))

    def step(self) -> bool:
        """One poll; whether the index equals the tables at its snapshot."""
        update, truth = self._poll_with_truth()
        self.engine.publish(update, 0.0)
        expected = compile_snapshot(truth.snapshot(), self.engine.semantics)
        return described(self.engine) == describe(expected)

    def _poll_with_truth(self) -> tuple[Update, Tables]:
        steps = poll(self.replica)
        batch = next(steps)
        truth: Tables | None = None
        try:
            assert not callable(batch)
            if len(batch) == 1:
                ((query, parameters),) = batch
                self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                look = self.connection.cursor(binary=True).execute(query, parameters)
                truth = read(self.connection)
                self.connection.execute("COMMIT")
                batch = steps.send([look.fetchall()])
            truth = None
            while True:
                if callable(batch):
                    batch = steps.send(batch())
                    continue
                with self.connection.pipeline():
                    cursors = [
                        self.connection.cursor(binary=True).execute(*statement)
                        for statement in batch
                    ]
                rows = [c.fetchall() if c.description else [] for c in cursors]
                if truth is None:
                    # The snapshot is fixed: read the truth in the same transaction.
                    truth = read(self.connection)
                batch = steps.send(rows)
        except StopIteration as stop:
            assert truth is not None
            return stop.value, truth

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()
