"""What people call users and tenants, looked up each time that somebody asks.

Nothing of it is remembered: a name may be somebody else's a moment later.
"""

from collections.abc import Sequence

from qeetid_authz.ids import Id, format_id, parse_id
from qeetid_authz.postgres.lookups import Connection, Lookups
from qeetid_authz.postgres.queries import load

_QUERIES = load("lookup")


class Names:
    """Who is who; every method raises as `Lookups.run` does."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    async def users(self, emails: Sequence[str]) -> dict[str, Id]:
        """Whose e-mails those are, by them as they are given, in any case.

        Only of users who aren't deleted, so each has one at most; who is unknown is
        left out.
        """
        return await self._found("living_users", emails)

    async def tenants(self, slugs: Sequence[str]) -> dict[str, Id]:
        """Whose slugs those are, by them as they are given, in any case."""
        return await self._found("tenants", slugs)

    async def emails(self, users: Sequence[Id]) -> dict[Id, str]:
        """The e-mails of users by id; who is unknown is left out."""
        ids = list(map(format_id, users))

        async def look_up(connection: Connection) -> dict[Id, str]:
            cursor = await connection.execute(_QUERIES["emails"], [ids])
            return {parse_id(id_): email for id_, email in await cursor.fetchall()}

        return await self._lookups.run(look_up)

    async def _found(self, query: str, names: Sequence[str]) -> dict[str, Id]:
        # No name of the database holds what its texts can't.
        given = [name for name in names if "\0" not in name and name.isprintable()]

        async def look_up(connection: Connection) -> dict[str, Id]:
            cursor = await connection.execute(_QUERIES[query], [given])
            return {name: parse_id(id_) for name, id_ in await cursor.fetchall()}

        return await self._lookups.run(look_up) if given else {}
