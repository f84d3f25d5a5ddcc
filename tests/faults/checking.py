"""The checker: each answer that was given is compared with what was written.

It knows nothing of the code that it checks but how to ask it. What should be answered
comes from Postgres: whoever writes asks it for the truth in the writing transaction.
Tenants are written by one author each, so that the history of each is a line, and a
snapshot shows exactly one place on every line.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import monotonic, sleep

from qeetid_authz.revision import Revision

Holding = tuple[str, str]
"""Who holds which key."""
Grants = frozenset[Holding]

PATIENCE = 20.0  # seconds
_PAUSE = 0.004  # seconds between two observations


@dataclass(slots=True)
class Write:
    """A transaction that wrote a tenant.

    Attributes:
        xid: its id.
        incarnation: the life of the server in which it ran.
        grants: all that holds in the tenant after it.
        number: by which the database remembers that it was committed.
        returned: when its commit had surely happened; None if that isn't known.
        is_lost: whether the database has forgotten it.
        begun: a time before which its commit had surely not begun.
    """

    xid: int
    incarnation: str
    grants: Grants
    number: int
    returned: float | None = None
    is_lost: bool = False
    begun: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What an authorizer said of the whole town, at one revision.

    Attributes:
        began: when it was asked.
        ended: when it had answered, and had told the age.
        age: of its revision, by its own account.
        grants: by tenant what is allowed there; None if all is denied as `stale`.
    """

    began: float
    ended: float
    revision: Revision
    age: float
    grants: Mapping[str, Grants] | None


@dataclass
class History:
    """What was written, and how long the database couldn't be reached.

    Attributes:
        lines: by tenant its writes, in order.
        lives: the server's incarnations, in order.
        away: from when till when nothing could be heard of the database.
    """

    lines: dict[str, list[Write]] = field(default_factory=dict)
    lives: list[str] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)
    _numbers: int = 0
    _lock: Lock = field(default_factory=Lock)

    def number(self) -> int:
        """A number that no other write has."""
        with self._lock:
            self._numbers += 1
            return self._numbers

    def wait_for_writes(self, number: int) -> None:
        """Return when every tenant has been written so many times."""
        deadline = monotonic() + PATIENCE
        while min(map(len, self.lines.values())) < number:
            assert monotonic() < deadline, "too little was written"
            sleep(0.01)

    def note_life(self, incarnation: str) -> None:
        """The server is found in this incarnation."""
        with self._lock:
            if incarnation not in self.lives:
                self.lives.append(incarnation)

    @property
    def lost(self) -> list[Write]:
        """Writes that were reported as committed and that the database has forgotten."""
        return [
            write
            for line in self.lines.values()
            for write in line
            if write.is_lost and write.returned is not None
        ]

    def check(self, seen: Iterable[Observation], bound: float) -> list[str]:
        """What is wrong with observations of one authorizer, given its bound."""
        wrong: list[str] = []
        former: Observation | None = None
        for each in seen:
            wrong += self._faults(each, bound)
            if former and self._place(each.revision) < self._place(former.revision):
                wrong.append(f"{former.revision} was followed by {each.revision}")
            former = each
        return wrong

    def _place(self, revision: Revision) -> tuple[int, int, int]:
        life = revision.incarnation
        return (
            self.lives.index(life) if life in self.lives else -1,
            revision.xmin,
            revision.xmax,
        )

    def _faults(self, each: Observation, bound: float) -> Iterable[str]:
        if each.grants is None:
            return
        if not self.knows(each.revision):
            yield f"{each.revision} is of a life that no author knows"
            return
        if each.age - (each.ended - each.began) > bound:
            yield f"answered at the age of {each.age:.3f} s"
        for left, back in self.away:
            if left + bound < each.began < back:
                yield f"answered {each.began - left:.3f} s after the database had gone"
        for tenant, line in self.lines.items():
            if each.grants[tenant] not in self._expected(line, each.revision):
                yield f"at {each.revision} wrong in tenant {tenant}"
            if not self._is_fresh(line, each):
                yield f"at {each.revision}, said to be {each.age:.3f} s old, too old"

    def _expected(self, line: list[Write], revision: Revision) -> list[Grants]:
        """What may hold at a revision: one state, but for writes that went down."""
        found = []
        for write in reversed(line):
            if self.is_visible(write, revision):
                found.append(write.grants)
                if not write.is_lost or write.returned is not None:
                    break
        return found

    def knows(self, revision: Revision) -> bool:
        """Whether some author has met the server in this life."""
        return revision.incarnation in self.lives

    def is_visible(self, write: Write, revision: Revision) -> bool:
        """Whether a snapshot shows a write, if that was committed at all."""
        if write.incarnation == revision.incarnation:
            return write.xid < revision.xmax and write.xid not in revision.running
        lived = self.lives.index(write.incarnation)
        return not write.is_lost and lived < self.lives.index(revision.incarnation)

    def _is_fresh(self, line: list[Write], each: Observation) -> bool:
        """Whether all is there that was committed when it claims to have been current."""
        current_at = each.began - each.age
        for write in reversed(line):
            if write.returned and write.returned < current_at and not write.is_lost:
                return self.is_visible(write, each.revision)
        return True


class Watcher(Thread):
    """Asks an authorizer again and again until it is told to stop."""

    def __init__(self, ask: Callable[[], Observation]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._over = Event()
        self.seen: list[Observation] = [ask()]
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self.seen.append(self._ask())
                sleep(_PAUSE)
        except BaseException as error:  # noqa: BLE001  (raised where it is stopped)
            self.failure = error

    def stop(self) -> None:
        """Ask no more.

        Raises:
            BaseException: asking failed.
        """
        self._over.set()
        self.join(PATIENCE)
        if self.failure:
            raise self.failure

    def wait_for(
        self, what: Callable[[Observation], bool], since: float = 0.0
    ) -> Observation:
        """The first observation after a time for which something holds."""
        at = 0
        until = monotonic() + PATIENCE
        while monotonic() < until:
            while at < len(self.seen):
                each = self.seen[at]
                at += 1
                if each.began >= since and what(each):
                    return each
            assert self.is_alive() or not self.failure, self.failure
            sleep(_PAUSE / 4)
        raise AssertionError(f"it was never seen; last {self.seen[-1]}")
