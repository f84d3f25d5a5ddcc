"""The change feed's protocol, written once for threads and event loops.

A poll is a generator that yields batches of statements and is sent their rows: it
knows neither connections nor waiting. `drive` and `drive_async` run it on either kind
of psycopg connection, a round trip a batch. What takes long where there is much, it
yields as well, to be sent what came of it: no event loop waits for that.

Every update that comes out equals one snapshot of the database: the log says which
keys may differ, and what they hold is read in the same snapshot. Where nothing has
happened, one statement tells so.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, LiteralString, TypeAlias, TypeVar

from psycopg import Error
from psycopg.errors import InsufficientPrivilege

from qeetid_authz.ids import Id
from qeetid_authz.model import (
    ApiKey,
    Changes,
    IpRule,
    Machine,
    OidcClient,
    Owned,
    Snapshot,
    Update,
)
from qeetid_authz.postgres.patience import (
    LONG,
    QUICK,
    PatientAsyncConnection,
    PatientConnection,
)
from qeetid_authz.postgres.queries import load
from qeetid_authz.replica import (
    BACKLOG_LIMIT,
    OTHER_PAST,
    Cursor,
    Probe,
    Replica,
    require_version,
)
from qeetid_authz.revision import Revision

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[LiteralString, Mapping[str, Any] | None]
Batch: TypeAlias = Sequence[Statement]
Work: TypeAlias = Callable[[], Any]


class Long(tuple[Statement, ...]):
    """A batch that may take long, since it reads as much as there is."""

    __slots__ = ()


Poll: TypeAlias = Generator[Batch | Work, Any, Update]
"""An error of a batch is thrown in where the batch was asked for."""

Thing = TypeVar("Thing")

_SQL = load("feed")
_OPENING = ("begin", "limit_lock", "limit_statement", "forbid_jit", "lock")
_AT_ONCE = 2_000  # keys that are read again in one go
_PAGES = {"diff": 2_000, "group_members": 100}  # rows that their statements fetch
_FACTS = [name[5:] for name in _SQL if name.startswith("load_")]


def poll(replica: Replica, distrust: Callable[[], object] = bool) -> Poll:
    """One poll: what is new since the replica's cursor, which it moves on.

    Args:
        replica: how far it has come.
        distrust: called before all is loaded because the database has another past:
            what is known may hold what was never committed there.

    Returns:
        All facts, or those that may have changed, or the mere revision if none has.

    Raises:
        StandbyError, NotMigratedError, DisarmedError: the source can't be trusted.
    """
    if replica.cursor and not replica.is_busy:
        ((row,),) = yield [_do("look", _since(replica.cursor.revision))]
        *shown, has_news = row
        probe = _probe(shown)
        if probe.revision and not has_news and replica.is_followed_by(probe):
            replica.advanced(_cursor(probe.revision, probe), None)
            return probe.revision
    return (yield from _read(replica, distrust))


def _read(replica: Replica, distrust: Callable[[], object]) -> Poll:
    """All that is new, in a transaction of its own."""
    news = []
    if replica.cursor:
        diff = _since(replica.cursor.revision) | {"limit": BACKLOG_LIMIT + 1}
        news = [_do("prefer_index"), _do("declare_diff", diff), _do("fetch_diff")]
    try:
        rows = yield Long([*map(_do, _OPENING), _do("probe"), *news])
    except InsufficientPrivilege:
        # An earlier version of our schema lets its readers read fewer tables.
        _, ((version,),) = yield [_do("rollback"), _do("version")]
        require_version(version)
        raise
    (shown,) = rows[len(_OPENING)]
    probe = _probe(shown)
    revision, cause = replica.judge(probe)
    if cause in OTHER_PAST:
        distrust()
    touched: list[Row] = []
    if not cause:
        touched = yield from _fetch("diff", rows[-1])
    if len(touched) > BACKLOG_LIMIT:
        cause = "backlog"
    update: Update = revision
    if cause:
        update = yield from _load(revision, replica.session_memory)
    elif touched:
        update = yield from _reread(revision, touched)
    yield [_do("commit")]
    is_busy = not isinstance(update, Revision)
    replica.advanced(_cursor(revision, probe), cause, is_busy=is_busy)
    return update


def drive(connection: PatientConnection, steps: Poll) -> Update:
    """Run a poll on a connection in autocommit mode."""
    try:
        step = next(steps)
        while True:
            try:
                done = step() if callable(step) else _run(connection, step)
            except Error as error:
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as stop:
        update: Update = stop.value
        return update


def _run(connection: PatientConnection, batch: Batch) -> list[list[Row]]:
    connection.patience = LONG if isinstance(batch, Long) else QUICK
    with connection.pipeline() if len(batch) > 1 else nullcontext():
        cursors = [
            connection.cursor(binary=True).execute(*statement) for statement in batch
        ]
    return [each.fetchall() if each.description else [] for each in cursors]


async def drive_async(connection: PatientAsyncConnection, steps: Poll) -> Update:
    """Run a poll on an asynchronous connection in autocommit mode."""
    try:
        step = next(steps)
        while True:
            try:
                if callable(step):
                    done = await asyncio.to_thread(step)
                else:
                    done = await _run_async(connection, step)
            except Error as error:
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as stop:
        update: Update = stop.value
        return update


async def _run_async(
    connection: PatientAsyncConnection, batch: Batch
) -> list[list[Row]]:
    connection.patience = LONG if isinstance(batch, Long) else QUICK
    async with connection.pipeline() if len(batch) > 1 else nullcontext():
        cursors = [
            await connection.cursor(binary=True).execute(*statement)
            for statement in batch
        ]
    return [await each.fetchall() if each.description else [] for each in cursors]


def _do(name: str, parameters: Mapping[str, Any] | None = None) -> Statement:
    return _SQL[name], parameters


def _since(known: Revision) -> dict[str, Any]:
    return {
        "xmax": str(known.xmax),
        "running": [str(xid) for xid in known.running],
    }


def _probe(shown: Sequence[Any]) -> Probe:
    snapshot, incarnation, version, floor, disarmed, fingerprint, now = shown
    revision = None if incarnation is None else Revision.parse(incarnation, snapshot)
    return Probe(revision, version, floor, tuple(disarmed), fingerprint, now)


def _cursor(revision: Revision, probe: Probe) -> Cursor:
    return Cursor(revision, probe.fingerprint, probe.now)


def _load(
    revision: Revision, session_memory: float
) -> Generator[Batch | Work, Any, Snapshot]:
    """Every fact there is."""
    memory = {"memory": session_memory}
    rows = yield Long(
        [
            _do("allow_scan"),
            *(
                _do(f"load_{n}", memory if n == "revoked_sessions" else None)
                for n in _FACTS
            ),
        ]
    )
    facts: dict[str, Any] = dict(zip(_FACTS, rows[1:], strict=True))
    *_, first = yield Long([_do("declare_group_members"), _do("fetch_group_members")])
    facts["group_members"] = yield from _fetch("group_members", first)
    snapshot: Snapshot = yield partial(_snapshot, revision, facts, session_memory)
    return snapshot


def _snapshot(
    revision: Revision, facts: dict[str, Any], session_memory: float
) -> Snapshot:
    return Snapshot(
        revision,
        permissions=dict(facts["permissions"]),
        roles=_all(Owned, facts["roles"]),
        groups=_all(Owned, facts["groups"]),
        tenants=dict(facts["tenants"]),
        statuses=facts["users"],
        role_permissions=facts["role_permissions"],
        user_roles=facts["user_roles"],
        group_members=_letting_go(facts["group_members"]),
        group_roles=facts["group_roles"],
        api_keys=_all(_api_key, facts["api_keys"]),
        services=_all(_machine, facts["services"]),
        agents=_all(_machine, facts["agents"]),
        revoked_sessions=dict(facts["revoked_sessions"]),
        clients=_all(OidcClient, facts["clients"]),
        ip_rules=_all(IpRule, facts["ip_rules"]),
        ip_enforced={tenant for (tenant,) in facts["ip_enforced"]},
        session_memory=session_memory,
    )


def _fetch(
    cursor: str, fetched: list[Row]
) -> Generator[Batch, list[list[Row]], list[Row]]:
    """All rows of a cursor, of which the first were fetched."""
    rows = fetched
    while len(fetched) == _PAGES[cursor]:
        (fetched,) = yield Long([_do(f"fetch_{cursor}")])
        rows += fetched
    return rows


def _letting_go(rows: list[Row]) -> Iterator[tuple[Id, bytes]]:
    """The rows one by one, each forgotten as soon as it is given."""
    while rows:
        owner, run = rows.pop()
        yield owner, run


def _reread(
    revision: Revision, touched: list[Row]
) -> Generator[Batch | Work, Any, Changes]:
    """What the touched keys hold now."""
    if len(touched) <= _AT_ONCE:
        asked = _asked(touched)
        rows = yield [statement for _, statement in asked]
        return _changes(
            revision, [(e, r) for (e, _), r in zip(asked, rows, strict=True)]
        )
    found = []
    for entity, statement in (yield partial(_asked, touched)):
        (some,) = yield [statement]
        found.append((entity, some))
    changes: Changes = yield partial(_changes, revision, found)
    return changes


def _asked(touched: list[Row]) -> list[tuple[str, Statement]]:
    """What to ask about which entity, some keys at a time; touched ones are let go."""
    keys: defaultdict[str, list[Row]] = defaultdict(list)
    while touched:
        entity, *key = touched.pop()
        keys[entity].append(tuple(key))
    return [
        (entity, _reread_some(entity, of_entity[at : at + _AT_ONCE]))
        for entity, of_entity in keys.items()
        for at in range(0, len(of_entity), _AT_ONCE)
    ]


def _changes(revision: Revision, read: list[tuple[str, list[Row]]]) -> Changes:
    """What was read of which entity, together; it is let go."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    while read:
        entity, rows = read.pop()
        found[entity] += rows
    return Changes(
        revision,
        permissions=dict(found.get("permission", ())),
        roles=_each(Owned, found.get("role", ())),
        groups=_each(Owned, found.get("group", ())),
        tenants=dict(found.get("tenant", ())),
        users=dict(found.get("user", ())),
        role_permissions={
            (a, b): held for a, b, held in found.get("role_permission", ())
        },
        user_roles=_triples(found.get("user_role", ())),
        group_members=_triples(found.get("group_member", ())),
        group_roles=_triples(found.get("group_role", ())),
        api_keys=_each(_api_key, found.get("api_key", ())),
        services=_each(_machine, found.get("service", ())),
        agents=_each(_machine, found.get("agent", ())),
        revoked_sessions=dict(found.get("session", ())),
        clients=_each(OidcClient, found.get("client", ())),
        ip_rules=_each(IpRule, found.get("ip_rule", ())),
        ip_enforced=dict(found.get("ip_config", ())),
    )


def _reread_some(entity: str, keys: list[Row]) -> Statement:
    tenants, subjects, objects = map(list, zip(*keys, strict=True))
    parameters = {"tenants": tenants, "subjects": subjects, "objects": objects}
    return _do(f"reread_{entity}", parameters)


def _all(make: Callable[..., Thing], rows: Iterable[Row]) -> dict[Id, Thing]:
    return {id_: make(*columns) for id_, *columns in rows}


def _each(make: Callable[..., Thing], rows: Iterable[Row]) -> dict[Id, Thing | None]:
    """The same of rows that may be gone, and then have no tenant."""
    return {id_: make(*columns) if columns[0] else None for id_, *columns in rows}


def _triples(rows: Iterable[Row]) -> dict[tuple[Id, Id, Id], bool]:
    return {(tenant, a, b): held for tenant, a, b, held in rows}


def _api_key(*columns: Any) -> ApiKey:
    tenant, user, prefix, secret_hash, scopes, expires_at, revoked = columns
    return ApiKey(tenant, user, prefix, secret_hash, tuple(scopes), expires_at, revoked)


def _machine(tenant: Id, scopes: Sequence[str], status: str) -> Machine:
    return Machine(tenant, tuple(scopes), status)
