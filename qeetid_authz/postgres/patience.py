"""Connections that don't wait for ever for a server that has stopped.

A frozen server acknowledges what it is sent, as does a proxy that forwards nothing:
neither TCP nor libpq finds anything wrong with them.
"""

from collections.abc import Generator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias, TypeVar

from psycopg import AsyncConnection, Connection, OperationalError
from psycopg.abc import PQGen

Row: TypeAlias = tuple[Any, ...]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for an answer.

    Attributes:
        seconds: of waiting.
        is_renewed: by whatever comes; else they are for the whole answer.
    """

    seconds: float
    is_renewed: bool = False


QUICK = Patience(10.0)
"""For what touches a few keys: whoever takes longer is better asked anew."""

LONG = Patience(60.0, is_renewed=True)
"""For what may read whole tables, and may then take as long as rows keep coming."""


class PatientConnection(Connection[Row]):
    """A connection that is given up when its server is silent for too long.

    Attributes:
        patience: how long it waits for the answer to a statement; None is for ever.
    """

    patience: Patience | None = None

    def wait(self, gen: PQGen[Result], *args: Any, **named: Any) -> Result:
        """As psycopg does, within patience.

        Raises:
            OperationalError: it ran out; the connection is closed.
        """
        return super().wait(_within(self, gen), *args, **named)


class PatientAsyncConnection(AsyncConnection[Row]):
    """The same on an event loop."""

    patience: Patience | None = None

    async def wait(self, gen: PQGen[Result], *args: Any, **named: Any) -> Result:
        """As psycopg does, within patience.

        Raises:
            OperationalError: it ran out; the connection is closed.
        """
        return await super().wait(_within(self, gen), *args, **named)


def _within(
    connection: PatientConnection | PatientAsyncConnection, gen: PQGen[Result]
) -> Generator[Any, Any, Result]:
    """Pass on what psycopg waits for: it reports every tenth of a second, if nothing."""
    patience, begun = connection.patience, monotonic()
    try:
        awaited = next(gen)
        while True:
            came = yield awaited
            awaited = gen.send(came)
            if patience is None:
                continue
            if came and patience.is_renewed:
                begun = monotonic()
            elif monotonic() - begun > patience.seconds:
                # First: whoever leaves a pipeline would wait once more.
                connection.pgconn.finish()
                raise OperationalError(f"no answer within {patience.seconds:g} seconds")
    except StopIteration as stop:
        result: Result = stop.value
        return result
