"""The tables of Qeet ID as a document."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from qeetid_authz.document import (
    Assignment,
    Document,
    GroupEntry,
    PermissionEntry,
    RoleEntry,
    TenantEntry,
    UserEntry,
)
from qeetid_authz.document.resolution import fold
from qeetid_authz.ids import parse_wire_id
from qeetid_authz.postgres.connecting import require_idle, translated
from qeetid_authz.postgres.queries import load

_QUERIES = load("documents")


def export_document(connection: Connection[Any]) -> tuple[Document, list[str]]:
    """Write down the whole database, as of one snapshot, in a fixed order.

    Importing the document again changes nothing. Users are named by e-mail, or by
    id where several have the same.

    Returns:
        The document and a note for each sort of row that no document can name.

    Raises:
        DatabaseError: the database fails or isn't Qeet ID's.
        ValueError: the connection is inside a transaction.
    """
    require_idle(connection)
    with translated(), connection.transaction():
        connection.execute(_QUERIES["read_snapshot"])
        return _Export(connection).document(), _notes(connection)


@dataclass
class _Export:
    """Reads a database in the order in which a document tells of it."""

    connection: Connection[Any]
    names: dict[str, str] = field(default_factory=dict)

    def document(self) -> Document:
        permissions = tuple(
            PermissionEntry(key=key, description=description)
            for key, description in self._rows("export_permissions")
        )
        users = self._users()
        self.names = _references(users)
        return Document(permissions=permissions, users=users, tenants=self._tenants())

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(_QUERIES[query]).fetchall()

    def _users(self) -> tuple[UserEntry, ...]:
        return tuple(
            UserEntry(id=id_, email=email, display_name=name, status=status)
            for id_, email, name, status in self._rows("export_users")
        )

    def _tenants(self) -> tuple[TenantEntry, ...]:
        roles, groups, assignments = self._roles(), self._groups(), self._assignments()
        return tuple(
            TenantEntry(
                slug=slug,
                name=name,
                id=id_,
                status=status,
                roles=tuple(roles[id_]),
                groups=tuple(groups[id_]),
                assignments=tuple(assignments[id_]),
            )
            for id_, slug, name, status in self._rows("export_tenants")
        )

    def _roles(self) -> dict[str, list[RoleEntry]]:
        found: dict[str, list[RoleEntry]] = defaultdict(list)
        for tenant, id_, name, description, keys in self._rows("export_roles"):
            held = tuple(keys)
            entry = RoleEntry(
                name=name, permissions=held, id=id_, description=description
            )
            found[tenant].append(entry)
        return found

    def _groups(self) -> dict[str, list[GroupEntry]]:
        found: dict[str, list[GroupEntry]] = defaultdict(list)
        for tenant, id_, name, roles, users in self._rows("export_groups"):
            members = tuple(sorted(self.names[user] for user in users))
            entry = GroupEntry(name=name, roles=tuple(roles), members=members, id=id_)
            found[tenant].append(entry)
        return found

    def _assignments(self) -> dict[str, list[Assignment]]:
        found: dict[str, list[Assignment]] = defaultdict(list)
        for tenant, user, roles in self._rows("export_assignments"):
            found[tenant].append(Assignment(user=self.names[user], roles=tuple(roles)))
        for assignments in found.values():
            assignments.sort(key=lambda assignment: assignment.user)
        return found


def _references(users: Iterable[UserEntry]) -> dict[str, str]:
    """How to name each user, by id: by e-mail, if it can mean nobody else."""
    users = tuple(users)
    shared = Counter(fold(user.email) for user in users)
    return {
        str(user.id): user.email
        if shared[fold(user.email)] == 1 and not _is_id(user.email)
        else str(user.id)
        for user in users
    }


def _notes(connection: Connection[Any]) -> list[str]:
    found = connection.execute(_QUERIES["export_notes"]).fetchall()
    return [
        f"left out of `{table}`, as they {why}: {count}"
        for table, why, count in found
        if count
    ]


def _is_id(text: str) -> bool:
    return parse_wire_id(text.encode()) is not None
