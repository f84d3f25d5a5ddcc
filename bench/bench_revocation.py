"""How long after its commit a revocation is heeded, as seen by who asks all the time.

The commit is made in another process, at a moment that the feed can't know. Who asks
without pause shares a process with the feed and leaves it no more than the
interpreter's turns: no application is harder on its feed. Who pauses for a millisecond
between two questions shows what the feed takes by itself.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from random import Random
from time import monotonic_ns, sleep
from typing import NamedTuple, Protocol
from uuid import UUID

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.statements import queries
from bench.world import API_KEY, PROBE, TENANT, World, uuid, world
from bench.writers import Writer, load
from qeetid_authz.authorizer import Authorizer
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.errors import (
    ApiKeyRevokedError,
    AuthenticationError,
    SessionRevokedError,
)
from qeetid_authz.options import POLL_INTERVAL
from qeetid_authz.principal import Principal

ROUNDS = 100
QUICK_ROUNDS = 20
WRITES = 200  # a second
PATIENCE = 10_000_000_000  # ns


class Asked(Protocol):
    """A question that is allowed until something is taken away."""

    def allows(self) -> bool:
        """Ask."""

    def refusal(self) -> object:
        """Why not."""


class Permission:
    """Whether a principal may."""

    def __init__(self, authorizer: Authorizer, principal: Principal) -> None:
        self._authorizer = authorizer
        self._principal = principal

    def allows(self) -> bool:
        """Ask."""
        return self._authorizer.can(self._principal, PROBE)

    def refusal(self) -> Reason:
        """Why not."""
        return self._authorizer.check(self._principal, PROBE).reason


class Credential:
    """Whether a credential is taken."""

    def __init__(self, authorizer: Authorizer, header: str) -> None:
        self._authorizer = authorizer
        self._header = header
        self._refusal: type[AuthenticationError] | None = None

    def allows(self) -> bool:
        """Present it."""
        try:
            self._authorizer.authenticate(self._header)
        except AuthenticationError as refusal:
            self._refusal = type(refusal)
            return False
        return True

    def refusal(self) -> type[AuthenticationError] | None:
        """As what it was refused the last time."""
        return self._refusal


Making = Callable[[World, Authorizer, str], Asked]


def _user(name: str) -> Making:
    principal = Principal.user(uuid(name), TENANT)
    return lambda _, authorizer, __: Permission(authorizer, principal)


def _agent(here: World, authorizer: Authorizer, _: str) -> Asked:
    principal = authorizer.authenticate(f"Bearer {here.agent_token()}")
    return Permission(authorizer, principal)


def _session(here: World, authorizer: Authorizer, session: str) -> Asked:
    token = here.user_token("direct", sid=session)
    return Credential(authorizer, f"Bearer {token}")


def _api_key(_: World, authorizer: Authorizer, __: str) -> Asked:
    return Credential(authorizer, API_KEY)


class Kind(NamedTuple):
    """Something that can be taken away; `name` is that of its SQL."""

    label: str
    name: str
    make: Making
    refusal: object


KINDS = (
    Kind("role unassigned", "role", _user("direct"), Reason.NO_GRANT),
    Kind("group left", "membership", _user("member"), Reason.NO_GRANT),
    Kind("group deleted", "group", _user("member"), Reason.NO_GRANT),
    Kind("session revoked", "session", _session, SessionRevokedError),
    Kind("API key revoked", "api_key", _api_key, ApiKeyRevokedError),
    Kind("user suspended", "user", _user("direct"), Reason.USER_INACTIVE),
    Kind("tenant suspended", "tenant", _user("direct"), Reason.TENANT_INACTIVE),
    Kind("agent suspended", "agent", _agent, Reason.AGENT_INACTIVE),
)


def cases(settings: Settings) -> list[Case]:
    """Without pause, alone and while somebody else writes; and with pauses."""
    users = 1_000 if settings.is_quick else 10_000
    ways = [(WRITES, 0)] if settings.is_quick else [(0, 0), (WRITES, 0), (WRITES, 1)]
    return [
        Case(
            f"{users:,} users, {rate} other writes/s, asked"
            f" {f'every {pause} ms' if pause else 'without pause'}",
            (users, rate, pause),
        )
        for rate, pause in ways
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Take away each kind of thing in rounds, and give it back."""
    users, rate, pause = case.sizes
    statements = queries("revocations")
    others = [statements["other_given"], statements["other_taken"]]
    with world(users) as here, Writer(here.dsn) as writer, here.open() as authorizer:
        rounds = Rounds(here, authorizer, writer, pause / 1e3, Random(settings.seed))
        started = monotonic_ns()
        with load(here.dsn, others, rate) if rate else nullcontext() as written:
            for kind in KINDS:
                samples = [
                    rounds.run(kind)
                    for _ in range(QUICK_ROUNDS if settings.is_quick else ROUNDS)
                ]
                for at, label in enumerate((kind.label, f"{kind.label}, with COMMIT")):
                    millis = [each[at] / 1e6 for each in samples]
                    yield Figure.of(label, "ms", millis)
        if written:
            seconds = (monotonic_ns() - started) / 1e9
            yield Figure.of("other writes", "/s", [written[0] / seconds])


class Rounds:
    """Takes away, waits for the refusal, gives back."""

    def __init__(
        self,
        here: World,
        authorizer: Authorizer,
        writer: Writer,
        pause: float,
        random: Random,
    ) -> None:
        """Prepare; `pause` is in seconds, between two questions."""
        self._here = here
        self._authorizer = authorizer
        self._writer = writer
        self._pause = pause
        self._random = random
        self._statements = queries("revocations")

    def run(self, kind: Kind) -> tuple[int, int]:
        """One round; nanoseconds from the commit, its end and its beginning, to deny.

        Raises:
            AssertionError: something was refused too early, never, or as another thing.
        """
        session = str(UUID(bytes=self._random.randbytes(16)))
        if kind.name == "session":
            self._commit(kind, session, "given")
        asked = kind.make(self._here, self._authorizer, session)
        assert asked.allows(), kind
        self._begin(kind, session, "taken", self._random.uniform(0, 2 * POLL_INTERVAL))
        refused = self._ask_until(asked, allowed=False)
        committed = self._writer.end()
        assert refused > committed.began, kind
        assert not asked.allows(), kind
        assert asked.refusal() == kind.refusal, (kind, asked.refusal())
        if kind.name != "session":  # which is revoked for good
            self._commit(kind, session, "given")
            self._ask_until(asked, allowed=True)
        return refused - committed.returned, refused - committed.began

    def _begin(self, kind: Kind, session: str, what: str, pause: float = 0.0) -> None:
        statement = self._statements[f"{kind.name}_{what}"]
        self._writer.begin(statement, {"session": session}, pause)

    def _commit(self, kind: Kind, session: str, what: str) -> None:
        self._begin(kind, session, what)
        self._writer.end()

    def _ask_until(self, asked: Asked, *, allowed: bool) -> int:
        """Ask until the answer is this; when it came, by the monotonic clock."""
        deadline = monotonic_ns() + PATIENCE
        while asked.allows() is not allowed:
            assert monotonic_ns() < deadline, "a change isn't seen"
            if self._pause:
                sleep(self._pause)
        return monotonic_ns()


SCENARIO = Scenario(
    "revocation",
    "the commit of a revocation to the first refusal",
    frozenset({"credentials", "database"}),
    cases,
    measure,
    in_quick=False,
)
