"""A database server in memory: transactions, snapshots, a log, and what goes wrong.

What commits is visible to every snapshot taken later, so a snapshot is the committed
tables as they are when it is taken, and the transactions that still run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any, NamedTuple

from qeetid_authz.replica import SCHEMA_VERSION
from tests.tables import Tables
from tests.writes import random_write

ENTITIES = {
    "permissions": "permission",
    "roles": "role",
    "groups": "group",
    "tenants": "tenant",
    "users": "user",
    "role_permissions": "role_permission",
    "user_roles": "user_role",
    "group_members": "group_member",
    "group_roles": "group_role",
    "api_keys": "api_key",
    "services": "service",
    "agents": "agent",
    "revoked_sessions": "session",
    "clients": "client",
    "ip_rules": "ip_rule",
    "ip_enforced": "ip_config",
}
"""What the log calls the rows of a table."""

LOG = "change_log"
_lives = count(1)


class Entry(NamedTuple):
    """A row of the change log."""

    xid: int
    at: float
    entity: str
    key: tuple[bytes | None, bytes, bytes | None]


@dataclass(frozen=True)
class State:
    """What a server holds; never changed, but replaced.

    Attributes:
        fingerprint: differs after whatever the log can't tell of.
        disarmed: tables whose triggers are off.
        version: of our schema; None where it was removed.
    """

    tables: Tables
    log: tuple[Entry, ...] = ()
    floor: int = 0
    fingerprint: int = 0
    disarmed: frozenset[str] = frozenset()
    version: int | None = SCHEMA_VERSION
    next_xid: int = 100


@dataclass
class Transaction:
    """One that writes, and keeps others from the rows that it wrote.

    Attributes:
        unlogged: tables whose triggers it has turned off for itself.
        truncates: the table that it empties, locked from everybody.
    """

    writes: dict[tuple[str, Any], Any] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    unlogged: frozenset[str] = frozenset()
    truncates: str | None = None


@dataclass
class Look:
    """One snapshot.

    Attributes:
        state: what is visible in it, but for what was truncated since.
    """

    life: str
    xmin: int
    xmax: int
    running: tuple[int, ...]
    state: State

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.running))}"


def copied(tables: Tables) -> Tables:
    """The same rows in tables of their own."""
    return Tables(**{name: rows.copy() for name, rows in vars(tables).items()})


class Server:
    """A primary, and what of it a crash or a failover would leave.

    Attributes:
        life: one uninterrupted life of it.
        durable: what is on disk.
        replicated: what has come to the standby.
    """

    def __init__(self, tables: Tables) -> None:
        self.state = self.durable = self.replicated = State(tables)
        self.running: dict[int, Transaction] = {}
        self.completed = self.state.next_xid - 1
        self.life = f"life{next(_lives)}"

    def look(self) -> Look:
        """A snapshot, by the rules of `GetSnapshotData`."""
        xmax = self.completed + 1
        running = tuple(sorted(xid for xid in self.running if xid < xmax))
        return Look(self.life, min((*running, xmax)), xmax, running, self.state)

    def standby_look(self) -> Look:
        """A standby's: of what has come there, and without those that run."""
        return Look("", self.completed + 1, self.completed + 1, (), self.replicated)

    def begin(self, **options: Any) -> int:
        """Begin to write; the id of the transaction."""
        xid = self.state.next_xid
        self.state = replace(self.state, next_xid=xid + 1)
        self.running[xid] = Transaction(**options)
        return xid

    def write(self, xid: int, random: Random, now: float) -> None:
        """Write some rows, unless others keep them locked."""
        mine = self.running[xid]
        before = _applied(self.state.tables, mine.writes.items())
        after = copied(before)
        random_write(after, random, foreign_keys=False)
        writes = _differences(before, after, now)
        if any(self._is_locked(table, key, mine) for table, key in writes):
            return
        mine.writes |= writes
        if self.state.version is None:
            return
        silent = self.state.disarmed | mine.unlogged
        mine.entries += [
            Entry(xid, now, ENTITIES[table], _logged(table, key))
            for table, key in writes
            if table not in silent
        ]

    def _is_locked(self, table: str, key: Any, mine: Transaction) -> bool:
        wanted = _unique(table, key)
        return any(
            other.truncates == table
            or any(_unique(*written) == wanted for written in other.writes)
            for other in self.running.values()
            if other is not mine
        )

    def is_written(self, table: str) -> bool:
        """Whether a transaction that runs has a lock on a table that is written."""
        return any(
            each.truncates == table
            or (each.entries if table == LOG else table in {t for t, _ in each.writes})
            for each in self.running.values()
        )

    def locked(self) -> set[str]:
        """The tables that nobody may even read."""
        return {each.truncates for each in self.running.values() if each.truncates}

    def abort(self, xid: int) -> None:
        """End a transaction that comes to nothing."""
        del self.running[xid]
        self.completed = max(self.completed, xid)

    def commit(self, xid: int, *, lazily: bool = False) -> None:
        """Make what a transaction wrote visible to those who look from now on.

        Args:
            xid: whose.
            lazily: without waiting for the disk.
        """
        mine = self.running[xid]
        self.abort(xid)
        state = self.state
        tables = _applied(state.tables, mine.writes.items())
        log = (*state.log, *mine.entries) if state.version is not None else ()
        fingerprint = state.fingerprint + bool(mine.unlogged or mine.truncates)
        if mine.truncates == LOG:
            log = ()
        elif mine.truncates:
            getattr(tables, mine.truncates).clear()
        self.state = replace(state, tables=tables, log=log, fingerprint=fingerprint)
        if not lazily:
            self.flush()

    def flush(self) -> None:
        """Write to disk what isn't there yet."""
        self.durable = self.state

    def replicate(self) -> None:
        """Let the standby have what is on disk."""
        self.replicated = self.durable

    def change(self, **over: Any) -> None:
        """A transaction of one moment that changes something but rows."""
        xid = self.begin()
        self.state = replace(self.state, **over)
        self.commit(xid)

    def prune(self, since: float) -> None:
        """What `qeetid_authz.prune` does with what is older."""
        look, state = self.look(), self.state
        xid = self.begin()
        recent = [e.xid for e in state.log if e.at >= since and e.xid < look.xmax]
        mark = min((look.xmin, *recent))
        gone = [each.xid for each in state.log if each.xid < mark]
        kept = tuple(each for each in state.log if mark <= each.xid <= xid)
        floor = state.floor if state.floor <= look.xmax else 0
        self.state = replace(
            self.state, log=kept, floor=max([floor, *(each + 1 for each in gone)])
        )
        self.commit(xid)

    def crash(self) -> None:
        """Lose what isn't on disk, and hand out again the ids of what was lost."""
        self._live_again(self.durable)

    def fail_over(self) -> None:
        """Lose what hasn't come to the standby."""
        self._live_again(self.replicated)

    def restore(self, next_xid: int) -> None:
        """Be another server with what a dump of this holds, ids of others included."""
        self._live_again(replace(self.durable, next_xid=next_xid))

    def _live_again(self, state: State) -> None:
        self.state = self.durable = self.replicated = state
        self.running = {}
        self.completed = state.next_xid - 1
        self.life = f"life{next(_lives)}"


def _applied(tables: Tables, writes: Iterable[tuple[tuple[str, Any], Any]]) -> Tables:
    tables = copied(tables)
    for (name, key), value in writes:
        rows = getattr(tables, name)
        if isinstance(rows, set):
            (rows.add if value else rows.discard)(key)
        elif value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    return tables


def _differences(
    before: Tables, after: Tables, now: float
) -> dict[tuple[str, Any], Any]:
    """What was written; a session is revoked when it is revoked."""
    writes: dict[tuple[str, Any], Any] = {}
    for name in ENTITIES:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(old, set):
            writes |= {(name, key): key in new for key in old ^ new}
        else:
            writes |= {
                (name, key): new.get(key)
                for key in old.keys() | new.keys()
                if old.get(key) != new.get(key)
            }
    return {
        (name, key): now if name == "revoked_sessions" else value
        for (name, key), value in sorted(writes.items(), key=_name)
    }


def _unique(table: str, key: Any) -> tuple[str, Any]:
    """What only one transaction at a time may write, as unique indexes see to."""
    if table == "permissions":  # a key may go from any to any
        return table, None
    if table in ("group_members", "group_roles"):  # a pair has one tenant
        return table, key[1:]
    return table, key


def _name(write: tuple[tuple[str, Any], Any]) -> tuple[str, Any]:
    return write[0]


def _logged(table: str, key: Any) -> tuple[bytes | None, bytes, bytes | None]:
    """Tenant, subject and object, as the triggers log them."""
    if table == "role_permissions":
        return None, key[0], key[1]
    if isinstance(key, tuple):
        tenant, subject, object_ = key
        return tenant, subject, object_
    return None, key, None
