"""Rows found by id or by a name that several may share."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from qeetid_authz.ids import Id

Row = TypeVar("Row")


class Directory(Generic[Row]):
    """Rows of one table, by id and by name."""

    __slots__ = ("_by_name", "_name_of", "rows")

    def __init__(self, name_of: Callable[[Row], Hashable]) -> None:
        self.rows: dict[Id, Row] = {}
        self._by_name: dict[Hashable, set[Id]] = {}
        self._name_of = name_of

    def put(self, id_: Id, row: Row | None) -> Row | None:
        """Take over a row, or None for one that is gone; the row that was there."""
        former = self.rows.pop(id_, None)
        if former is not None:
            ids = self._by_name[self._name_of(former)]
            ids.discard(id_)
            if not ids:
                del self._by_name[self._name_of(former)]
        if row is not None:
            self.rows[id_] = row
            self._by_name.setdefault(self._name_of(row), set()).add(id_)
        return former

    def get(self, id_: Id) -> Row | None:
        """The row of an id, or None."""
        return self.rows.get(id_)

    def named(self, name: Hashable) -> list[tuple[Id, Row]]:
        """The rows of a name, by id."""
        return [(id_, self.rows[id_]) for id_ in sorted(self._by_name.get(name, ()))]
