"""What the hosted server does for an answer: SQL over its tables, one statement prepared.

Without the network, the web server and the credential that come before it there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg

from bench.peers.filling import database
from bench.peers.peer import Peer, Product
from bench.peers.relations import relations
from bench.statements import queries
from bench.synthesis import Tenancy
from qeetid_authz.principal import Principal


class Asked:
    """A connection, which stays open."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = connection.cursor()
        self._check = queries("hosted")["check"]

    def asker(self, principal: Principal) -> dict[str, Any]:
        """The parameters that are about the user."""
        return {"user": UUID(principal.id), "tenant": UUID(principal.tenant_id)}

    def can(self, asker: dict[str, Any], permission: str) -> bool:
        """The one value of the one row."""
        asked = {**asker, "permission": permission}
        self._cursor.execute(self._check, asked, prepare=True)
        row = self._cursor.fetchone()
        assert row is not None
        allowed: bool = row[0]
        return allowed


@contextmanager
def _open(tenancy: Tenancy) -> Iterator[Peer]:
    with (
        database(relations(tenancy)) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        yield Asked(connection)


HOSTED = Product("SQL of the hosted server", "Postgres over TCP on localhost", _open)
