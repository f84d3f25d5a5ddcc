"""Looking up users and tenants by the names that people use, and the reverse."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from qeetid_authz.postgres.connecting import translated
from qeetid_authz.postgres.queries import load

_QUERIES = load("lookup")


class DatabaseDirectory:
    """Who is who in a Qeet ID database.

    Ids are canonical text. Every method raises a `DatabaseError` when the database
    fails or isn't Qeet ID's.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        """Look things up over an idle connection, each question by itself."""
        self._connection = connection

    def users(self, email: str) -> list[str]:
        """The ids that an e-mail, in any case, may mean.

        That of the user who isn't deleted, else those of all who are.
        """
        found = self._rows("users_by_email", email)
        living = [id_ for id_, lives in found if lives]
        return living or [id_ for id_, _ in found]

    def tenants(self, slug: str) -> list[str]:
        """The id of the tenant that has a slug, in any case; none or one."""
        return [id_ for (id_,) in self._rows("tenants_by_slug", slug)]

    def emails(self, user_ids: Sequence[str]) -> dict[str, str]:
        """The e-mails of users by id; who is unknown is left out."""
        return dict(self._rows("emails", list(user_ids)))

    def _rows(self, query: str, value: object) -> list[Any]:
        with translated():
            return self._connection.execute(_QUERIES[query], [value]).fetchall()


def server_version(connection: Connection[Any]) -> str:
    """The version of the Postgres server, as it calls itself."""
    return str(_value(connection, "server_version"))


def is_empty(connection: Connection[Any]) -> bool:
    """Whether a database holds nobody's tables."""
    return bool(_value(connection, "is_empty"))


def _value(connection: Connection[Any], query: str) -> object:
    with translated():
        row = connection.execute(_QUERIES[query]).fetchone()
    return row and row[0]
