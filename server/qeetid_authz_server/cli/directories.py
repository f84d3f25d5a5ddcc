"""Who is meant: a user by id or e-mail, a tenant by id or slug."""

from collections.abc import Sequence
from typing import Protocol

from qeetid_authz.document import Document
from qeetid_authz.document.resolution import fold, resolve
from qeetid_authz.ids import format_id, parse_id
from qeetid_authz_server.cli.failures import UnknownNameError


class Directory(Protocol):
    """Who is who; see `DatabaseDirectory` for what each method means."""

    def users(self, email: str) -> list[str]:
        """The ids that an e-mail may mean."""

    def tenants(self, slug: str) -> list[str]:
        """The ids that a slug may mean."""

    def emails(self, user_ids: Sequence[str]) -> dict[str, str]:
        """The e-mails of users by id."""


class DocumentDirectory:
    """Who is who in a document."""

    def __init__(self, document: Document) -> None:
        """Read the names.

        Raises:
            DocumentError: the document contradicts itself.
        """
        rows = resolve(document)
        self._users = {format_id(row.id): row for row in rows.users}
        self._slugs = {format_id(row.id): row.slug for row in rows.tenants}

    def users(self, email: str) -> list[str]:
        """The ids that an e-mail may mean."""
        found = {i: r for i, r in self._users.items() if fold(r.email) == fold(email)}
        living = [id_ for id_, row in found.items() if row.status != "deleted"]
        return living or list(found)

    def tenants(self, slug: str) -> list[str]:
        """The ids that a slug may mean."""
        return [i for i, each in self._slugs.items() if fold(each) == fold(slug)]

    def emails(self, user_ids: Sequence[str]) -> dict[str, str]:
        """The e-mails of users by id."""
        known = [id_ for id_ in user_ids if id_ in self._users]
        return {id_: self._users[id_].email for id_ in known}


def find_user(directory: Directory, text: str) -> str:
    """The id of the user that `text` means, an id or an e-mail.

    Raises:
        UnknownNameError: it is no id, and nobody has this e-mail, or several have.
    """
    return _as_id(text) or _only(directory.users(text), "user", "e-mail", text)


def find_tenant(directory: Directory, text: str) -> str:
    """The id of the tenant that `text` means, an id or a slug.

    Raises:
        UnknownNameError: it is no id, and no tenant has this slug.
    """
    return _as_id(text) or _only(directory.tenants(text), "tenant", "slug", text)


def _as_id(text: str) -> str | None:
    try:
        return format_id(parse_id(text))
    except ValueError:
        return None


def _only(ids: list[str], kind: str, name: str, text: str) -> str:
    match ids:
        case [only]:
            return only
        case []:
            raise UnknownNameError(
                f"no {kind} has {name} `{text}`; give the {name} of one, or an id"
            )
        case _:
            raise UnknownNameError(
                f"several {kind}s have {name} `{text}`; give the id of one:"
                f" {', '.join(ids)}"
            )
