"""A small town: its facts, who writes them, and questions about all of it."""

from collections.abc import Callable, Iterable
from random import Random
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from qeetid_authz import Authorizer, Principal
from qeetid_authz.model import Machine, Owned
from qeetid_authz.postgres.migrate import migrate
from tests.faults.checking import Grants, History, Observation, Write
from tests.tables import Tables, named, write
from tests.truth import grants

Statement = tuple[LiteralString, dict[str, Any]]

TENANTS = [named("tenant", n) for n in range(3)]
KEYS = [f"thing{n}:do" for n in range(4)]
PERMISSIONS = [named("permission", n) for n in range(4)]

_INTO: dict[str, LiteralString] = {
    "user_roles": "INSERT INTO rbac.user_roles (tenant_id, user_id, role_id)"
    " VALUES (%(tenant)s, %(user)s, %(role)s) ON CONFLICT DO NOTHING",
    "group_members": "INSERT INTO tenant.group_members (tenant_id, user_id, group_id)"
    " VALUES (%(tenant)s, %(user)s, %(group)s) ON CONFLICT DO NOTHING",
    "group_roles": "INSERT INTO rbac.group_roles (tenant_id, group_id, role_id)"
    " VALUES (%(tenant)s, %(group)s, %(role)s) ON CONFLICT DO NOTHING",
    "role_permissions": "INSERT INTO rbac.role_permissions (role_id, permission_id)"
    " VALUES (%(role)s, %(permission)s) ON CONFLICT DO NOTHING",
}
_OTHERS: tuple[LiteralString, ...] = (
    "DELETE FROM rbac.user_roles WHERE user_id = %(user)s AND role_id = %(role)s",
    "DELETE FROM tenant.group_members WHERE user_id = %(user)s",
    "DELETE FROM rbac.group_roles WHERE group_id = %(group)s AND role_id = %(role)s",
    "DELETE FROM rbac.role_permissions WHERE role_id = %(role)s"
    " AND permission_id = %(permission)s",
    "UPDATE \"user\".users SET status = CASE status WHEN 'active' THEN 'suspended'"
    " ELSE 'active' END WHERE id = %(user)s",
    "UPDATE auth.agents SET scopes = ARRAY[%(key)s] WHERE id = %(agent)s",
    "UPDATE auth.agents SET disabled_at = CASE WHEN disabled_at IS NULL THEN now() END"
    " WHERE id = %(agent)s",
)
_STATEMENTS: tuple[LiteralString, ...] = (*_INTO.values(), *_INTO.values(), *_OTHERS)


class District:
    """What belongs to one tenant."""

    def __init__(self, tenant: bytes) -> None:
        self.tenant = tenant
        self.users, self.roles, self.groups = (
            [named(kind, (tenant, n)) for n in range(3)]
            for kind in ("user", "role", "group")
        )
        self.agent = named("agent", tenant)

    @property
    def holders(self) -> list[bytes]:
        """Whoever may hold a permission."""
        return [*self.users, self.agent]

    def add_to(self, tables: Tables, random: Random) -> None:
        """Its first facts."""
        tables.tenants[self.tenant] = "active"
        tables.users |= dict.fromkeys(self.users, "active")
        tables.roles |= {r: Owned(self.tenant, r.hex()) for r in self.roles}
        tables.groups |= {g: Owned(self.tenant, g.hex()) for g in self.groups}
        tables.agents[self.agent] = Machine(self.tenant, (KEYS[0],), "active")
        tables.role_permissions |= {
            (role, random.choice(PERMISSIONS)) for role in self.roles
        }
        tables.user_roles |= {
            (self.tenant, holder, random.choice(self.roles)) for holder in self.holders
        }

    def statement(self, random: Random) -> Statement:
        """Some write."""
        parameters = {
            "tenant": self.tenant,
            "user": random.choice(self.holders),
            "role": random.choice(self.roles),
            "group": random.choice(self.groups),
            "permission": random.choice(PERMISSIONS),
            "agent": self.agent,
        }
        key = {"key": random.choice(KEYS)}
        return random.choice(_STATEMENTS), key | {
            name: UUID(bytes=id_) for name, id_ in parameters.items()
        }


DISTRICTS = [District(tenant) for tenant in TENANTS]
NAMES = [str(UUID(bytes=tenant)) for tenant in TENANTS]


def build(dsn: str) -> None:
    """Migrate a database and fill it."""
    migrate(dsn, bootstrap=True)
    tables = Tables(permissions=dict(zip(PERMISSIONS, KEYS, strict=True)))
    for district in DISTRICTS:
        district.add_to(tables, Random(1))
    with psycopg.connect(dsn) as connection:
        write(tables, connection)
        connection.execute("CREATE SCHEMA faults")
        connection.execute(
            "CREATE TABLE faults.written (number int PRIMARY KEY, tenant uuid NOT NULL)"
        )


class Author(Thread):
    """Writes one tenant, alone; as a thread at random until it is told to stop.

    It survives whatever happens to the server, and finds out which of its writes did.
    """

    def __init__(self, history: History, dsn: str, district: District) -> None:
        super().__init__(daemon=True)
        self.dsn = dsn
        self._district = district
        self._tenant = str(UUID(bytes=district.tenant))
        self._line = history.lines.setdefault(self._tenant, [])
        self._history = history
        self._random = Random(self._tenant)
        self._connection: psycopg.Connection[Any] | None = None
        self._over = Event()
        self.errors: list[psycopg.Error] = []
        if not self._line:
            self.write()

    def run(self) -> None:
        random = self._random
        while not self._over.is_set():
            try:
                some = [self.statement() for _ in range(3)]
                if random.random() < 0.15:
                    self._abort(some)
                else:
                    self.write(*some[: random.randrange(1, 4)])
            except psycopg.Error as error:
                self.errors.append(error)
                sleep(0.01)

    def statement(self) -> Statement:
        """Some write to its tenant."""
        return self._district.statement(self._random)

    def granting(self) -> Statement:
        """A write that allows something new: all its users get all its roles."""
        return (
            "INSERT INTO rbac.user_roles (tenant_id, user_id, role_id)"
            " SELECT tenant_id, holder, id FROM rbac.roles,"
            " unnest(%(holders)s::uuid[]) AS holder WHERE tenant_id = %(tenant)s"
            " ON CONFLICT DO NOTHING",
            {
                "tenant": self._tenant,
                "holders": [UUID(bytes=each) for each in self._district.holders],
            },
        )

    def stop(self) -> None:
        """Write no more, and let go of the connection."""
        self._over.set()
        if self.ident:
            self.join()
        self.disconnect()

    def write(self, *statements: Statement) -> Write:
        """Write in one transaction, and note what is true after it.

        Raises:
            psycopg.Error: it may or may not have been committed.
        """
        connection = self._connected()
        number = self._history.number()
        try:
            for statement in statements:
                connection.execute(*statement)
            write = self._noted(connection, number)
            self._line.append(write)
            connection.commit()
        except psycopg.Error:
            self.disconnect()
            raise
        write.returned = monotonic()
        return write

    def _noted(self, connection: psycopg.Connection[Any], number: int) -> Write:
        row = connection.execute(
            "INSERT INTO faults.written VALUES (%s, %s)"
            " RETURNING pg_current_xact_id()::text::bigint, qeetid_authz.incarnation()",
            (number, self._tenant),
        ).fetchone()
        assert row is not None
        self._history.note_life(row[1])
        xid, incarnation = row
        grants = true_in(connection, self._tenant)
        return Write(xid, incarnation, grants, number, begun=monotonic())

    def _abort(self, statements: Iterable[Statement]) -> None:
        connection = self._connected()
        for statement in statements:
            connection.execute(*statement)
        connection.rollback()

    def disconnect(self) -> None:
        """Let go of the connection; the next write makes another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            connection = psycopg.connect(self.dsn, connect_timeout=2)
            try:
                self._find_out(connection)
            except psycopg.Error:
                connection.close()
                raise
            self._connection = connection
        # One at a time: a commit that was cut off may still be under way.
        self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext(%s))", (self._tenant,)
        )
        return self._connection

    def _find_out(self, connection: psycopg.Connection[Any]) -> None:
        """Ask the database which of the former writes it knows."""
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext(%s))", (self._tenant,)
        )
        kept = {
            number
            for (number,) in connection.execute(
                "SELECT number FROM faults.written WHERE tenant = %s", (self._tenant,)
            )
        }
        connection.commit()
        for each in self._line:
            each.is_lost = each.number not in kept
            if each.returned is None and not each.is_lost:
                each.returned = monotonic()


def true_in(connection: psycopg.Connection[Any], tenant: str) -> Grants:
    """All that is allowed in a tenant, by SQL."""
    return frozenset(
        (user, key) for of, user, key in grants(connection, "strict") if of == tenant
    )


QUESTIONS = [
    (Principal.user(str(UUID(bytes=holder)), name), key)
    for name, district in zip(NAMES, DISTRICTS, strict=True)
    for holder in district.holders
    for key in KEYS
]


def asking(authz: Authorizer) -> Callable[[], Observation]:
    """A function that asks an authorizer about the whole town."""

    def ask() -> Observation:
        began = monotonic()
        decisions = authz.check_many(QUESTIONS)
        first = decisions[0]
        age = first.age
        ended = monotonic()
        allowed: dict[str, set[tuple[str, str]]] = {name: set() for name in NAMES}
        for (who, key), decision in zip(QUESTIONS, decisions, strict=True):
            assert decision.revision == first.revision
            if decision:
                allowed[who.tenant_id].add((who.id, key))
        is_stale = first.reason == "stale"
        assert not is_stale or not any(decisions)
        return Observation(
            began,
            ended,
            first.revision,
            age,
            None if is_stale else {t: frozenset(held) for t, held in allowed.items()},
        )

    return ask
