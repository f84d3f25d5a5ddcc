"""A follower in a simulated world, where anything may happen between two statements.

Every draw comes from one seed. What must hold is asserted as it goes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any, cast
from unittest import mock

from psycopg import OperationalError

from qeetid_authz import replicated
from qeetid_authz.engine.published import Prepared
from qeetid_authz.errors import DatabaseError
from qeetid_authz.model import Update
from qeetid_authz.postgres import feed
from qeetid_authz.postgres.connecting import translated
from qeetid_authz.postgres.feed import drive
from qeetid_authz.postgres.following import Action, Ask, Connect, Pause, Work, follow
from qeetid_authz.postgres.patience import PatientConnection
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.replica import SCHEMA_VERSION
from qeetid_authz.replicated import Replicated
from qeetid_authz.revision import Revision
from tests import principals
from tests.principals import ADDRESSES, NOW, random_principal
from tests.simulation.server import ENTITIES, LOG, Look, Server
from tests.simulation.session import Session
from tests.tables import Tables
from tests.writes import KEYS, SCOPES, TENANTS, USERS, random_tables

STALENESS = 3.0  # seconds
INTERVAL = 0.02  # seconds
LONGEST_PAUSE = 5.0  # seconds
STEPS = 50  # actions of the follower, each with whatever happens meanwhile
RECOVERY = 16  # actions within which all is well again once nothing fails
DISTRUST = {"feed_disarmed", "feed_broken", "not_migrated", "schema_mismatch"}
SMALL: dict[str, Any] = {
    "BACKLOG_LIMIT": 20,
    "_AT_ONCE": 3,
    "_PAGES": {"diff": 4, "group_members": 1},
}
"""Bounds of the feed that make small tables large ones."""


class UnforeseenError(Exception):
    """What nobody foresaw."""


class _Wall:
    """The wall clock of a world in which all clocks agree."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def __call__(self) -> float:
        return self._world.wall_clock()

    def database_said(self, now: float, at: float) -> None:
        """Take over what isn't new."""


class Watched(Replicated):
    """An authorizer that tells its world what it is told, and fails when that says."""

    def __init__(self, world: "World") -> None:
        self._world = world
        with (
            mock.patch.object(replicated, "steady", world.clock),
            mock.patch.object(replicated, "WallClock", return_value=_Wall(world)),
        ):
            super().__init__("", max_staleness=STALENESS, poll_interval=INTERVAL)

    def publish(
        self, update: Update, current_at: float, prepared: Prepared = None
    ) -> None:
        self._world.may_fail()
        super().publish(update, current_at, prepared)
        self._world.published()
        self._world.may_fail()

    def feed_failed(self, error: DatabaseError) -> None:
        self._world.distrusted |= error.code in DISTRUST
        super().feed_failed(error)

    def expire(self, *, only_if_old: bool = False) -> bool:
        if not only_if_old:
            self._world.distrusts()
        return super().expire(only_if_old=only_if_old)


class World:
    """A server, those who write to it, a follower, and those who ask it.

    Attributes:
        truth: by revision, what the tables held.
        remembered: sessions that the authorizer has seen revoked.
        asked_at: when the poll began whose update was published last.
        distrusted: whether changes may have gone unseen since.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._choose_fortunes()
        self.now = 1000.0
        tables = random_tables(self.random, foreign_keys=False)
        tables.revoked_sessions.clear()
        self.server = Server(tables)
        self.is_standby = False
        self.session: Session | None = None
        self.truth: dict[Revision, Tables] = {}
        self._shown = 0
        self._order: dict[Revision, int] = {}
        self._start()

    def _choose_fortunes(self) -> None:
        """Few kinds of trouble, often: one hides the next where all may happen."""
        choose = self.random.choice
        self._eagerness = choose((0.05, 0.2, 0.5))
        self._trouble = choose((0.0, 0.05, 0.2))
        self._troubles = self.random.sample(_TROUBLES, choose((1, 2, 4)))
        self._breaking = choose((0.0, 0.0, 0.005, 0.03))
        self._failing = choose((0.0, 0.0, 0.03, 0.2))

    def clock(self) -> float:
        """Seconds of the follower's."""
        return self.now

    def wall_clock(self) -> float:
        """Seconds since the Unix epoch."""
        return NOW + self.now

    def _start(self) -> None:
        """A process begins, with nothing known."""
        self.authz = Watched(self)
        self.remembered: dict[bytes, float] = {}
        self._last: Revision | None = None
        self.asked_at = self._asking_at = self.now
        self.distrusted = self._has_begun = self._is_strange = False
        self._following = follow(
            self.authz.replica, self.authz, self.clock, self.random.random
        )
        self._action: Action = next(self._following)

    # What the follower does.

    def step(self) -> Action:
        """One action of the follower's; returns it."""
        action = self._action
        try:
            done = self._act(action)
        except Exception as error:
            if isinstance(error, AssertionError):
                raise
            self._proceed(error)
        else:
            self._proceed(done)
        self._ask()
        return action

    def _proceed(self, came: Any) -> None:
        try:
            if isinstance(came, Exception):
                self._action = self._following.throw(came)
            else:
                self._action = self._following.send(came)
        except (DatabaseError, UnforeseenError):
            assert not self._has_begun, "only what hasn't begun may give up"
            self._start()

    def _act(self, action: Action) -> Any:
        match action:
            case Connect():
                with translated(""):
                    self.during("connect")
                self.session = Session(self)
            case Ask(steps):
                self._asking_at = self.now
                assert self.session is not None
                with translated(""):
                    return drive(cast("PatientConnection", self.session), steps)
            case Work(work):
                self.may_fail()
                prepared = work()
                self._meanwhile()
                return prepared
            case Pause(seconds):
                self._has_begun = True
                assert 0 < seconds <= LONGEST_PAUSE
                self.pass_time(seconds)
                self._meanwhile()
        return None

    def during(self, statement: str) -> None:
        """What happens before a statement is executed, the end of it included."""
        self._meanwhile()
        self.pass_time(self.random.random() * 0.004)
        if self.random.random() < self._breaking:
            self.pass_time(self.random.choice((0.0, 2.0, 10.0)))
            raise OperationalError("server closed the connection unexpectedly")

    def may_fail(self) -> None:
        """Fail now and then, in a way that nobody foresaw."""
        if self.random.random() < self._failing:
            raise UnforeseenError

    def looked(self, look: Look) -> None:
        """Note what a snapshot shows, and when."""
        revision = Revision.parse(look.life, str(look))
        self._shown += 1
        self._order[revision] = self._shown
        self.truth[revision] = look.state.tables
        if (last := self._last) is not None and revision.incarnation:
            is_same_life = revision.incarnation == last.incarnation
            self._is_strange |= not is_same_life or revision.xmax < last.xmax

    def distrusts(self) -> None:
        """Everything is denied from now on, for which there must be a reason."""
        assert self.distrusted or self._is_strange
        self.distrusted = True

    def published(self) -> None:
        """Compare what is answered now with what the snapshot holds."""
        revision, last = self.authz.revision, self._last
        if last is not None and last.incarnation == revision.incarnation:
            assert (last.xmin, last.xmax) <= (revision.xmin, revision.xmax)
            assert self._order[last] <= self._order[revision]
        assert revision in self.truth, "no such snapshot was shown"
        assert revision.incarnation, "a standby was believed"
        self._last, self.asked_at = revision, self._asking_at
        self.distrusted = self._is_strange = False
        self.remembered |= self.truth[revision].revoked_sessions

    # Those who ask.

    def _ask(self) -> None:
        if self._last is None:
            return
        self._watch()
        for _ in range(2):
            who, ip = random_principal(self.random), self.random.choice(ADDRESSES)
            self._compare(who, self.random.choice(SCOPES), ip)
        user, tenant = self.random.choice(USERS), self.random.choice(TENANTS)
        self._compare(
            Principal.of(Kind.USER, user, tenant),
            self.random.choice(KEYS),
            None,
        )

    def _watch(self) -> None:
        """What the watch does, which is on time here."""
        self.authz.expire(only_if_old=True)
        self.authz.expire_credentials()

    def _compare(self, who: Principal, key: str, ip: str | None) -> None:
        decision = self.authz.check(who, key, ip)
        is_stale = self.distrusted or self.now > self.asked_at + STALENESS
        assert is_stale is (decision.reason == "stale")
        expected = not is_stale and self._is_allowed(who, key, ip)
        assert self._last == decision.revision
        assert expected is decision.allowed
        assert expected is self.authz.can(who, key, ip)

    def _is_allowed(self, who: Principal, key: str, ip: str | None) -> bool:
        assert self._last is not None
        tables = replace(self.truth[self._last], revoked_sessions=self.remembered)
        return principals.can(tables, "strict", who, key, ip)

    # What happens in the world.

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def _meanwhile(self) -> None:
        while self.random.random() < self._eagerness:
            self._write()
        if self.random.random() < self._trouble:
            self.random.choice(self._troubles)(self)
        if self.random.random() < 0.05:
            self.random.choice(_CHORES)(self)

    def _write(self) -> None:
        """One of those who write begins, goes on, or ends, in any order."""
        server, random = self.server, self.random
        xid = random.choice([None, *server.running])
        if xid is None:
            if len(server.running) < 5:
                xid = server.begin()
                server.write(xid, random, self.wall_clock())
        elif server.running[xid].truncates:
            self._end_truncation(xid)
        elif random.random() < 0.5:
            server.write(xid, random, self.wall_clock())
        elif random.random() < 0.8:
            server.commit(xid, lazily=random.random() < 0.3)
        else:
            server.abort(xid)

    def _truncate(self) -> None:
        tables = self.server.state.tables
        table = self.random.choice([LOG, *(t for t in ENTITIES if getattr(tables, t))])
        is_read = self.session is not None and self.session.has_locks
        if not is_read and not self.server.is_written(table):
            self.server.begin(truncates=table)

    def _end_truncation(self, xid: int) -> None:
        """Empty a table, for those with an older snapshot too."""
        table = self.server.running[xid].truncates
        self.server.commit(xid)
        look = self.session.look if self.session else None
        if look is None or table is None:
            return
        if table == LOG:
            look.state = replace(look.state, log=())
        else:
            emptied = {table: type(getattr(look.state.tables, table))()}
            look.state = replace(
                look.state, tables=replace(look.state.tables, **emptied)
            )

    def _write_unlogged(self) -> None:
        """Turn the triggers off for the length of one transaction."""
        xid = self.server.begin(unlogged=frozenset(ENTITIES))
        self.server.write(xid, self.random, self.wall_clock())
        self.server.commit(xid)

    def _toggle_trigger(self) -> None:
        table = self.random.choice([*ENTITIES])
        if not self.server.is_written(table):
            state = self.server.state
            self.server.change(
                disarmed=state.disarmed ^ {table}, fingerprint=state.fingerprint + 1
            )

    def _toggle_schema(self) -> None:
        """Migrate to another version, remove the schema, or migrate to ours."""
        server, found = self.server, self.server.state
        if self.random.random() < 0.5:
            version = SCHEMA_VERSION + self.random.choice((-1, 0, 1))
            server.change(version=version)
        elif not server.running:
            server.change(
                version=None if found.version else SCHEMA_VERSION,
                log=(),
                floor=0,
                disarmed=frozenset(),
                fingerprint=found.fingerprint + 1,
            )

    def _crash(self) -> None:
        self.server.crash()

    def _fail_over(self) -> None:
        self.server.fail_over()

    def _restore(self) -> None:
        self.server.restore(self.random.randrange(3, 200))

    def _mislead(self) -> None:
        """The address leads to a standby, or to the primary again."""
        self.is_standby = not self.is_standby

    def _stall(self) -> None:
        self.pass_time(self.random.choice((0.5, 4.0, 20.0)))

    def _prune(self) -> None:
        self.server.prune(self.wall_clock() - self.random.choice((0.0, 0.1, 1.0)))

    def _flush(self) -> None:
        self.server.flush()

    def _replicate(self) -> None:
        self.server.replicate()

    # What must hold in the end.

    def recover(self) -> None:
        """Let nothing fail any more: soon all is current."""
        self._trouble = self._eagerness = self._breaking = self._failing = 0.0
        self.is_standby = False
        server = self.server
        for xid in list(server.running):
            server.commit(xid)
        if server.state.version != SCHEMA_VERSION:
            server.change(
                version=SCHEMA_VERSION,
                log=(),
                fingerprint=server.state.fingerprint + 1,
            )
        if server.state.disarmed:
            server.change(
                disarmed=frozenset(), fingerprint=server.state.fingerprint + 1
            )
        server.prune(0.0)
        if self.session and self.session._is_standby:
            server._live_again(server.state)  # nobody stays on a standby for ever
        for _ in range(RECOVERY):
            self.step()
            if self._is_current():
                break
        assert self._is_current(), f"not current after {RECOVERY} actions"
        for tenant in TENANTS:
            for user in USERS:
                for key in KEYS:
                    self._compare(Principal.of(Kind.USER, user, tenant), key, None)

    def _is_current(self) -> bool:
        look = self.server.look()
        seen = self._last
        return (
            seen is not None
            and not self.distrusted
            and (seen.incarnation, seen.xmax) == (look.life, look.xmax)
            and self.now <= self.asked_at + STALENESS
        )


_CHORES = (World._prune, World._flush, World._replicate)
_TROUBLES = (
    World._truncate,
    World._write_unlogged,
    World._toggle_trigger,
    World._toggle_trigger,
    World._toggle_schema,
    World._crash,
    World._fail_over,
    World._restore,
    World._mislead,
    World._stall,
)


@contextmanager
def small_bounds() -> Iterator[None]:
    """Have the feed page, split and give up early."""
    with mock.patch.multiple(feed, **SMALL):
        yield


def live(seed: int) -> None:
    """Live through one schedule and its end."""
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    world.recover()
