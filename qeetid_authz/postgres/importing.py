"""A document into the tables of Qeet ID."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from psycopg import Connection, IntegrityError, errors

from qeetid_authz.document import Document
from qeetid_authz.document.resolution import resolve
from qeetid_authz.document.resolved import Resolved
from qeetid_authz.errors import ImportConflictError
from qeetid_authz.postgres.connecting import require_idle, translated
from qeetid_authz.postgres.queries import load

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told the step under way, how many are done and how many there are."""

_QUERIES = load("documents")

# The file has its queries in the order in which they run: entities first, as
# relations refer to them; removals before additions.
_COPIES = [name for name in _QUERIES if name.startswith("copy_")]
_MATCHES = [name for name in _QUERIES if name.startswith("match_")]
_CHANGES = {
    "added": "added",
    "changed": "changed",
    "deleted": "changed",
    "removed": "removed",
}
_WRITES = [name for name in _QUERIES if name.rpartition("_")[2] in _CHANGES]
_STEPS = len(_COPIES) + len(_MATCHES) + len(_WRITES) + 3

_CONFLICTS = {
    "taken": "{kind} `{name}` has id `{id}` here and `{other}` in the database; "
    "use that id or give none",
    "derived": "{kind} `{name}` has no id, and the one derived from its name, `{id}`, "
    "is that of `{other}` in the database; give it an id",
    "moved": "{kind} `{name}` has id `{id}`, which belongs to tenant `{other}` in the "
    "database; give it another id",
    "several": "the database holds several groups `{name}` in this tenant; "
    "give the id of one: {other}",
}


class Counts(NamedTuple):
    """How many rows of one kind an import wrote."""

    added: int = 0
    changed: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        counts: rows by kind: permissions, users, tenants, roles, groups,
            role_permissions, user_roles, group_members, group_roles.
    """

    counts: dict[str, Counts]


def import_document(
    connection: Connection[Any],
    document: Document,
    *,
    progress: Progress | None = None,
) -> ImportReport:
    """Make everything that a document names as it says, in one transaction.

    A named role gets exactly the named permissions, a named group exactly the named
    roles and members, a named assignment exactly the named roles. What an entry
    leaves out and what no entry names stays as it is; so do rows that no document
    can name (Qeet ID facts 0.2 and 0.3).

    An entry means the row of its id, or else of its natural key: key, slug, live
    e-mail, role name in the tenant, group name in the tenant if there is one.

    Raises:
        DocumentError: the document contradicts itself.
        ImportConflictError: it contradicts the database, which stays as it was.
        DatabaseError: the database fails or isn't Qeet ID's.
        ValueError: the connection is inside a transaction.
    """
    rows = resolve(document)
    require_idle(connection)
    with _refusals(), connection.transaction():
        return _Import(connection, progress or _silent).run(rows)


@contextmanager
def _refusals() -> Iterator[None]:
    with translated():
        try:
            yield
        except (IntegrityError, errors.ProgramLimitExceeded) as error:
            said, detail = error.diag.message_primary, error.diag.message_detail
            raise ImportConflictError(
                f"the database refuses a row of the document: {said}; {detail or ''}"
                f" (in {error.diag.constraint_name or 'an index'})"
            ) from error


class _Import:
    """The steps of an import, each counted for whoever watches."""

    def __init__(self, connection: Connection[Any], progress: Progress) -> None:
        self._connection = connection
        self._progress = progress
        self._done = 0

    def run(self, rows: Resolved) -> ImportReport:
        self._connection.execute(_QUERIES["stage"])
        for query in _COPIES:
            self._copy(query, getattr(rows, query.removeprefix("copy_")))
        for query in ("analyze", *_MATCHES):
            self._execute("comparing", query)
        self._refuse_conflicts()
        self._execute("comparing", "want")
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for query in _WRITES:
            kind, _, change = query.rpartition("_")
            written = self._execute(f"writing {_words(kind)}", query)
            counts[kind][_CHANGES[change]] += written
        self._progress("done", _STEPS, _STEPS)
        return ImportReport({kind: Counts(**each) for kind, each in counts.items()})

    def _step(self, label: str) -> None:
        self._progress(label, self._done, _STEPS)
        self._done += 1

    def _execute(self, label: str, query: str) -> int:
        self._step(label)
        return self._connection.execute(_QUERIES[query]).rowcount

    def _copy(self, query: str, rows: Iterable[Sequence[object]]) -> None:
        self._step(f"reading {_words(query.removeprefix('copy_'))}")
        cursor = self._connection.cursor()
        with cursor, cursor.copy(_QUERIES[query]) as copy:
            for row in rows:
                copy.write_row([_cell(value) for value in row])

    def _refuse_conflicts(self) -> None:
        self._step("comparing")
        found = self._connection.execute(_QUERIES["conflicts"]).fetchall()
        problems = [
            _CONFLICTS[rule].format(kind=kind, name=name, id=id_, other=other)
            for kind, name, rule, id_, other in found
        ]
        if problems:
            raise ImportConflictError("; ".join(problems))


def _cell(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _silent(label: str, done: int, total: int) -> None:
    """Nobody watches."""
