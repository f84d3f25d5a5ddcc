"""Databases of many tenants, filled by `sql/tenancies.sql`, and what SQL says of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from bench.statements import run, statements
from qeetid_authz.engine.engine import Engine
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.migrate import migrate
from qeetid_authz.postgres.queries import script
from qeetid_authz.principal import Principal

_SETTINGS = {"max_wal_size": "8GB", "shared_buffers": "512MB", "autovacuum": "off"}


class Size(NamedTuple):
    """How many of what there are in all; `roles` is of each tenant."""

    tenants: int
    users: int
    groups: int
    roles: int

    @property
    def options(self) -> str:
        """The settings that the SQL reads."""
        pairs = self._asdict().items()
        return " ".join(f"-c bench.{name}={value}" for name, value in pairs)


class Answer(NamedTuple):
    """A question, and what the database says."""

    principal: Principal
    key: str
    granted: bool


class Database(NamedTuple):
    """Where it is, and a thousand answers."""

    dsn: str
    answers: tuple[Answer, ...]

    def verify(self, engine: Engine) -> None:
        """Ask an engine what the database was asked.

        Raises:
            AssertionError: it answers otherwise.
        """
        for principal, key, granted in self.answers:
            assert engine.can(principal, key) is granted, (principal, key)


@contextmanager
def tenancies(size: Size) -> Iterator[Database]:
    """A migrated database of that size, on a server of its own."""
    with Cluster(settings=_SETTINGS) as cluster:
        dsn = cluster.dsn()
        with psycopg.connect(dsn, options=size.options, autocommit=True) as connection:
            connection.execute(script("bootstrap"))
            run(connection, "tenancies")
            answers = tuple(_answers(connection))
        migrate(dsn)
        assert {each.granted for each in answers} == {True, False}
        yield Database(dsn, answers)


def _answers(connection: psycopg.Connection[Any]) -> Iterator[Answer]:
    (question,) = statements("tenancy_questions")
    for user, tenant, key, granted in connection.execute(question):
        yield Answer(Principal.user(str(user), str(tenant)), key, granted)
