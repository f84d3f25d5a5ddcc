"""Who there is to act, and with which credentials."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, takewhile
from struct import iter_unpack
from typing import NamedTuple, TypeAlias

from qeetid_authz.ids import Id
from qeetid_authz.index.directory import Directory
from qeetid_authz.index.rows import Rows
from qeetid_authz.model import (
    ACTIVE,
    MAY_ACT,
    SESSION_MEMORY,
    ApiKey,
    Changes,
    Machine,
    OidcClient,
    Snapshot,
)
from qeetid_authz.principal import Kind

Machines: TypeAlias = Directory[Machine]


class Users:
    """The statuses of users who exist, by id."""

    __slots__ = ("_rows", "_statuses")

    def __init__(self, packed: Iterable[tuple[str, bytes]] = ()) -> None:
        """Make one of statuses with a run of ids each."""
        self._statuses: list[str] = []
        self._rows = Rows()
        for status, run in sorted(packed, key=lambda each: -len(each[1])):
            if len(self._rows):
                for (user,) in iter_unpack("16s", run):
                    self.put(user, status)
            else:
                self._rows = Rows.of_run(run, self._number(status))

    def __len__(self) -> int:
        return len(self._rows)

    def copy(self) -> "Users":
        """The same, on its own from now on."""
        other = Users()
        other._statuses, other._rows = self._statuses.copy(), self._rows.copy()
        return other

    def get(self, user: Id) -> str | None:
        """The status of a user, or None."""
        number = self._rows.get(user)
        return None if number is None else self._statuses[number]

    def put(self, user: Id, status: str | None) -> str | None:
        """Take over a status, or None of one who is gone; the status before."""
        former = self.get(user)
        if status is None:
            self._rows.pop(user)
        elif status != former:
            self._rows.put(user, self._number(status))
        return former

    def items(self) -> Iterator[tuple[Id, str]]:
        """All users with their statuses, by id."""
        return ((user, self._statuses[number]) for user, number in self._rows.items())

    def _number(self, status: str) -> int:
        if status not in self._statuses:
            self._statuses.append(status)
        return self._statuses.index(status)


class Difference(NamedTuple):
    """Something that isn't what it was.

    Attributes:
        id: of a user, a machine, an API key or a session.
        tenants: those that it was and is of; none for users and sessions.
        holds: whether it may hold roles.
    """

    id: Id
    tenants: tuple[Id, ...]
    holds: bool


class Identities:
    """Users, machines, API keys, OIDC clients, and the sessions that were revoked.

    Attributes:
        users: the statuses of users.
        services: service principals, by id and by tenant.
        agents: agents, by id and by tenant.
        api_keys: API keys, by id and by prefix.
        clients: OIDC clients, by id and by client id.
        revoked_sessions: when each was revoked, in seconds since the Unix epoch, by
            the database's clock; the earliest first.
        session_memory: seconds after which a revocation is forgotten, since no token
            of the session is alive any more. Until then nothing takes it back.
    """

    __slots__ = (
        "agents",
        "api_keys",
        "clients",
        "revoked_sessions",
        "services",
        "session_memory",
        "users",
    )

    def __init__(self) -> None:
        self.users = Users()
        self.services: Machines = Directory(lambda row: row.tenant)
        self.agents: Machines = Directory(lambda row: row.tenant)
        self.api_keys: Directory[ApiKey] = Directory(lambda row: row.prefix)
        self.clients: Directory[OidcClient] = Directory(lambda row: row.client_id)
        self.revoked_sessions: dict[Id, float] = {}
        self.session_memory = SESSION_MEMORY

    def load(self, snapshot: Snapshot) -> None:
        """Take over what a snapshot holds of them."""
        self.users = Users(snapshot.statuses)
        for machine_id, machine in snapshot.services.items():
            self.services.put(machine_id, machine)
        for machine_id, machine in snapshot.agents.items():
            self.agents.put(machine_id, machine)
        for key_id, key in snapshot.api_keys.items():
            self.api_keys.put(key_id, key)
        for client_id, client in snapshot.clients.items():
            self.clients.put(client_id, client)
        self.revoked_sessions.update(snapshot.revoked_sessions)
        self.session_memory = snapshot.session_memory

    def remember(self, former: "Identities", now: float) -> None:
        """Keep what is known of revoked sessions, even if their rows are gone."""
        revoked = former.revoked_sessions | self.revoked_sessions
        by_time = sorted(revoked.items(), key=lambda session: session[1])
        self.revoked_sessions = dict(by_time)
        self._forget(min(by_time[-1][1] if by_time else 0.0, now))

    def kind(self, subject: Id) -> Kind:
        """What an id is that was given for a user's."""
        if subject in self.agents.rows:
            return Kind.AGENT
        return Kind.SERVICE if subject in self.services.rows else Kind.USER

    def machine(self, kind: Kind, subject: Id) -> Machine | None:
        """The agent or service principal of an id, or None."""
        return (self.agents if kind is Kind.AGENT else self.services).get(subject)

    def may_act(self, tenant: Id, subject: Id) -> bool:
        """Whether the status of a user or a machine lets it act in a tenant."""
        kind = self.kind(subject)
        if kind is Kind.USER:
            return self.users.get(subject) in MAY_ACT
        machine = self.machine(kind, subject)
        return (
            machine is not None
            and machine.tenant == tenant
            and machine.status == ACTIVE
        )

    def as_of_now(self) -> "Identities":
        """What `may_act` goes by; later changes make no difference to it."""
        other = Identities()
        other.users = self.users.copy()
        other.services.rows = self.services.rows.copy()
        other.agents.rows = self.agents.rows.copy()
        return other

    def registered_for(self, tenant: Id, scope: str) -> Iterator[Id]:
        """The machines of a tenant that may act and are registered with a scope."""
        for id_, machine in chain(
            self.services.named(tenant), self.agents.named(tenant)
        ):
            if scope in machine.scopes and self.may_act(tenant, id_):
                yield id_

    def change(self, changes: Changes, now: float) -> list[Difference]:
        """Take over what changed; what differs by it for those who act."""
        differing = [*self._change_users(changes.users)]
        differing += _change_machines(self.services, changes.services)
        differing += _change_machines(self.agents, changes.agents)
        for key_id, key in changes.api_keys.items():
            former = self.api_keys.put(key_id, key)
            if former != key:
                differing.append(Difference(key_id, _tenants(former, key), holds=False))
        for client_id, client in changes.clients.items():
            self.clients.put(client_id, client)
        differing += self._revoke(changes.revoked_sessions)
        latest = max(filter(None, changes.revoked_sessions.values()), default=0.0)
        self._forget(min(latest, now))
        return differing

    def _change_users(self, changed: Mapping[Id, str | None]) -> Iterator[Difference]:
        for user, status in changed.items():
            former = self.users.put(user, status)
            if (former in MAY_ACT) != (status in MAY_ACT):
                yield Difference(user, (), holds=True)

    def _revoke(self, revoked: Mapping[Id, float | None]) -> Iterator[Difference]:
        known = self.revoked_sessions
        for session, revoked_at in revoked.items():
            if revoked_at is not None and session not in known:
                known[session] = revoked_at
                yield Difference(session, (), holds=False)

    def _forget(self, now: float) -> None:
        """Let go of what was revoked so long ago that it can't matter."""
        known, horizon = self.revoked_sessions, now - self.session_memory
        for session in list(takewhile(lambda each: known[each] < horizon, known)):
            del known[session]


def _change_machines(
    machines: Machines, changed: Mapping[Id, Machine | None]
) -> Iterator[Difference]:
    for id_, machine in changed.items():
        former = machines.put(id_, machine)
        if former != machine:
            yield Difference(id_, _tenants(former, machine), holds=True)


def _tenants(*rows: Machine | ApiKey | None) -> tuple[Id, ...]:
    return tuple({row.tenant for row in rows if row is not None})
