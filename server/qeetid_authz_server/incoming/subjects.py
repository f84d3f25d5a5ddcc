"""Users and machines as people name them: by id, or a user by its e-mail."""

from collections.abc import Iterable

from qeetid_authz.ids import Id, parse_wire_id
from qeetid_authz.postgres.names import Names


class Subjects:
    """Tells who is meant."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def find(self, references: Iterable[str]) -> dict[str, Id]:
        """The ids of those who are meant, by reference; who isn't known is left out.

        Ids, in any spelling that Qeet ID takes, are read and no more: whether anybody
        has one is for the index to say. Only e-mails are looked up.

        Args:
            references: ids, or e-mails in any case.

        Raises:
            DatabaseError, OverloadedError, NotOpenError: e-mails can't be looked up.
        """
        given = dict.fromkeys(references)
        found = {
            text: id_
            for text in given
            if (id_ := parse_wire_id(text.encode("utf-8", "replace"))) is not None
        }
        emails = [text for text in given if "@" in text]
        return found | (await self._names.users(emails) if emails else {})
