"""Processes that write to a database, so that who asks in this one isn't held up."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import psycopg

_PATIENCE = 30.0  # seconds
_spawning = get_context("spawn")


class Committed(NamedTuple):
    """When a COMMIT began and when it returned, in nanoseconds of the monotonic clock."""

    began: int
    returned: int


class Writer:
    """A connection in a process of its own; a context manager."""

    def __init__(self, dsn: str) -> None:
        self._pipe, theirs = _spawning.Pipe()
        self._theirs = theirs
        self._process = _spawning.Process(target=_write, args=(dsn, theirs))

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        self._receive()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pipe.send(None)
        self._process.join()
        self._pipe.close()

    def begin(
        self, statement: bytes, parameters: Mapping[str, Any], pause: float = 0.0
    ) -> None:
        """Have a statement executed and committed, after so many seconds."""
        self._pipe.send((statement, parameters, pause))

    def end(self) -> Committed:
        """Wait for the commit of what was begun.

        Raises:
            psycopg.Error: it failed.
            TimeoutError: it takes too long.
        """
        return Committed(*self._receive())

    def _receive(self) -> Any:
        if not self._pipe.poll(_PATIENCE):
            raise TimeoutError(f"a writer is silent for {_PATIENCE} s")
        came = self._pipe.recv()
        if isinstance(came, Exception):
            raise came
        return came


def _write(dsn: str, pipe: Connection) -> None:
    with psycopg.connect(dsn) as connection:
        pipe.send("connected")
        while (order := pipe.recv()) is not None:
            statement, parameters, pause = order
            time.sleep(pause)
            try:
                changed = connection.execute(statement, parameters).rowcount
                began = time.monotonic_ns()
                connection.commit()
                returned = time.monotonic_ns()
            except psycopg.Error as error:
                pipe.send(error)
            else:
                assert changed > 0, statement
                pipe.send((began, returned))


@contextmanager
def load(
    dsn: str,
    statements: list[bytes],
    rate: int,
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[list[int]]:
    """Execute statements in turn, so many a second, each in its own transaction.

    Each is given the parameters, and a `number` that goes up with every turn through
    them.

    Yields:
        Once it is over, how many were executed.
    """
    pipe, theirs = _spawning.Pipe()
    given = (dsn, statements, rate, dict(parameters), theirs)
    process = _spawning.Process(target=_load, args=given)
    process.start()
    theirs.close()
    executed: list[int] = []
    try:
        pipe.recv()
        yield executed
    finally:
        pipe.send(None)
        executed.append(pipe.recv())
        process.join()
        pipe.close()


def _load(
    dsn: str,
    statements: list[bytes],
    rate: int,
    parameters: dict[str, Any],
    pipe: Connection,
) -> None:
    executed = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        pipe.send("connected")
        started = time.monotonic()
        while not pipe.poll(max(0.0, started + executed / rate - time.monotonic())):
            turn, at = divmod(executed, len(statements))
            connection.execute(statements[at], {**parameters, "number": turn})
            executed += 1
    pipe.send(executed)
