"""A connection to the simulated server that answers the feed's statements by name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Protocol
from uuid import UUID

from psycopg import errors

from qeetid_authz.postgres import feed
from qeetid_authz.postgres.queries import load
from qeetid_authz.replica import SCHEMA_VERSION
from tests.simulation.server import ENTITIES, LOG, Look, Server

Row = tuple[Any, ...]

_NAMES = {text: name for name, text in load("feed").items()}
_TABLES = {entity: table for table, entity in ENTITIES.items()}
_ARRAYS = {"load_users": "statuses"}


class Host(Protocol):
    """What the server lives in."""

    server: Server
    is_standby: bool

    def during(self, statement: str) -> None:
        """Let others do what they do meanwhile; raises when the connection breaks."""

    def looked(self, look: Look) -> None:
        """Note that a snapshot was shown."""


class Session:
    """A psycopg connection, as far as the feed uses one; its own cursor too.

    Attributes:
        look: the snapshot of the transaction that it is in.
        has_locks: whether nobody can truncate the tables.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._server = host.server
        self._life = host.server.life
        self._is_standby = host.is_standby
        self._repeats = False
        self.look: Look | None = None
        self.has_locks = False
        self._cursors: dict[str, Iterator[Row]] = {}
        self._rows: list[Row] = []
        self.description: object = None

    def pipeline(self) -> AbstractContextManager[None]:
        """As psycopg's."""
        return nullcontext()

    def cursor(self, *, binary: bool) -> "Session":
        """One that keeps the rows of one statement."""
        cursor = Session.__new__(Session)
        cursor.__dict__ = {"_of": self, "binary": binary}
        return cursor

    def execute(
        self, text: str, parameters: Mapping[str, Any] | None = None
    ) -> "Session":
        """Run a statement of the feed's."""
        session: Session = self.__dict__["_of"]
        rows = session.run(text, parameters or {})
        self._rows, self.description = rows or [], rows
        if rows is not None:
            self.description = "rows"
        return self

    def fetchall(self) -> list[Row]:
        """Its rows."""
        return list(self._rows)

    def run(self, text: str, parameters: Mapping[str, Any]) -> list[Row] | None:
        """The rows of a statement; None if it has none."""
        name = "begin" if text.startswith("BEGIN") else _NAMES[text]
        self._host.during(name)
        if self._life != self._server.life:
            raise errors.AdminShutdown("terminating connection")
        if name == "begin":
            self._repeats = "REPEATABLE READ" in text
        elif name in ("commit", "rollback"):
            self.end()
        elif name.startswith("load_"):
            return self._load(name, parameters)
        elif name.startswith("reread_"):
            return self._reread(name.removeprefix("reread_"), parameters)
        elif name.startswith("fetch_"):
            cursor = name.removeprefix("fetch_")
            return list(islice(self._cursors[cursor], feed._PAGES[cursor]))
        elif (special := _SPECIAL.get(name)) is not None:
            return special(self, parameters)
        return None

    def end(self) -> None:
        """End the transaction."""
        self.look, self.has_locks, self._cursors = None, False, {}

    def _seen(self) -> Look:
        """The snapshot of the transaction, or in it of the statement."""
        if self.look is None or not self._repeats:
            take = self._server.standby_look if self._is_standby else self._server.look
            self.look = take()
        if self.look.state.version is None:
            raise errors.UndefinedTable('relation "qeetid_authz.meta" does not exist')
        return self.look

    def _lock(self, _: Mapping[str, Any]) -> None:
        version = self._server.state.version
        if version is None:
            raise errors.UndefinedTable('relation "qeetid_authz.meta" does not exist')
        if version < SCHEMA_VERSION:
            raise errors.InsufficientPrivilege("permission denied for table agents")
        if self._server.locked():
            raise errors.LockNotAvailable("canceling statement due to lock timeout")
        self.has_locks = True

    def _probe(self, _: Mapping[str, Any]) -> list[Row]:
        look = self._seen()
        state = look.state
        self._host.looked(look)
        shown = (state.version, state.floor, sorted(state.disarmed))
        return [(str(look), look.life or None, *shown, str(state.fingerprint), 0.0)]

    def _glance(self, parameters: Mapping[str, Any]) -> list[Row]:
        if LOG in self._server.locked():
            raise errors.LockNotAvailable("canceling statement due to lock timeout")
        (row,) = self._probe(parameters)
        assert self.look is not None
        news = bool(list(_diff(self.look, parameters)))
        self.end()
        return [(*row, news)]

    def _version(self, _: Mapping[str, Any]) -> list[Row]:
        return [(self._server.state.version,)]

    def _declare_diff(self, parameters: Mapping[str, Any]) -> None:
        found = _diff(self._seen(), parameters)
        self._cursors["diff"] = islice(found, parameters["limit"])

    def _declare_group_members(self, _: Mapping[str, Any]) -> None:
        self._cursors["group_members"] = iter(
            list(self._seen().state.tables.snapshot().group_members)
        )

    def _load(self, name: str, parameters: Mapping[str, Any]) -> list[Row]:
        facts = self._seen().state.tables.snapshot()
        table = _ARRAYS.get(name, name.removeprefix("load_"))
        rows = getattr(facts, table)
        if isinstance(rows, set):
            return [(each,) for each in rows]
        if isinstance(rows, list):
            return list(rows)
        return [(id_, *_columns(value)) for id_, value in rows.items()]

    def _reread(self, entity: str, keys: Mapping[str, list[str | None]]) -> list[Row]:
        table = getattr(self._seen().state.tables, _TABLES[entity])
        lists = (keys["tenants"], keys["subjects"], keys["objects"])
        rows: list[Row] = []
        for given in zip(*lists, strict=True):
            key = tuple(UUID(each).bytes for each in given if each is not None)
            if isinstance(table, set):
                rows.append((*key, (key if len(key) > 1 else key[0]) in table))
            else:
                rows.append((*key, *_columns(table.get(key[0]), _WIDTHS[entity])))
        return rows


def _diff(look: Look, parameters: Mapping[str, Any]) -> Iterator[Row]:
    """The keys that the WHERE clause of `declare_diff` and of `look` finds."""
    xmax = int(parameters["xmax"])
    running = {int(xid) for xid in parameters["running"]}
    found = {
        (each.entity, *map(_text, each.key)): None
        for each in look.state.log
        if each.xid >= xmax or each.xid in running
    }
    return iter(found)


def _text(id_: bytes | None) -> str | None:
    return None if id_ is None else str(UUID(bytes=id_))


_WIDTHS = {
    "role": 2,
    "group": 2,
    "api_key": 7,
    "service": 3,
    "agent": 3,
    "client": 4,
    "ip_rule": 4,
    "permission": 1,
    "tenant": 1,
    "user": 1,
    "session": 1,
}


def _columns(value: Any, width: int = 1) -> Row:
    if value is None:
        return (None,) * width
    if not isinstance(value, tuple):
        return (value,)
    return tuple(list(each) if isinstance(each, tuple) else each for each in value)


_SPECIAL: dict[str, Callable[[Session, Mapping[str, Any]], list[Row] | None]] = {
    "look": Session._glance,
    "lock": Session._lock,
    "probe": Session._probe,
    "version": Session._version,
    "declare_diff": Session._declare_diff,
    "declare_group_members": Session._declare_group_members,
}
