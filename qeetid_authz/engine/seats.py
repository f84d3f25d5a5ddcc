"""Principals that were asked about, each seated at the answers of what it holds."""

from collections.abc import Iterable
from heapq import heappop, heappush
from math import floor, inf
from weakref import WeakKeyDictionary

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.index.permissions import Grants

LIMIT = 200_000
"""Seats at most, of which half may be of principals with bounds; when there is none
left all are vacated, which costs each principal a first question again. So many
reasons are noted at most, too."""


class Seats:
    """Seats by the key of a principal, and what they rest on.

    The seat of a user without bounds rests on the user's row alone, whose name is its
    key, and its grants are kept by its profile. All others note what else they rest on,
    when they must be vacated, and keep their grants.

    Attributes:
        answers: key -> answers; always the same dict, so that it can be read without
            asking anybody.
        reasons: key -> permission -> the name of the reason of the decision, of those
            who have a seat and were checked; the same dict as well.
    """

    def __init__(self) -> None:
        self.answers: dict[bytes, dict[str, bool]] = {}
        self.reasons: dict[bytes, dict[str, str]] = {}
        self._shared: WeakKeyDictionary[Grants, dict[str, str]] = WeakKeyDictionary()
        self._noted = 0
        self._grounds: dict[bytes, tuple[bytes, ...]] = {}
        self._kept: dict[bytes, Grants] = {}
        self._resting: dict[bytes, set[bytes]] = {}
        self._due: dict[int, set[bytes]] = {}
        self._seconds_of: dict[bytes, int] = {}
        self._seconds: list[int] = []

    def take(self, key: bytes, grants: Grants) -> None:
        """Seat a user without bounds."""
        if len(self.answers) >= LIMIT:
            self.clear()
        self.answers[key] = grants.answers

    def take_bounded(
        self,
        key: bytes,
        grants: Grants,
        grounds: Iterable[bytes],
        deadline: float | None,
    ) -> None:
        """Seat a principal on its grounds.

        Args:
            key: the principal's.
            grants: what it holds.
            grounds: names of all that this rests on.
            deadline: when the seat must be vacated at the latest, in seconds since the
                Unix epoch.
        """
        if key in self._grounds:
            self._leave(key)
        if len(self._grounds) >= LIMIT // 2:
            self.clear()
        self._grounds[key] = tuple(set(grounds))  # an actor may be the subject
        for ground in self._grounds[key]:
            self._resting.setdefault(ground, set()).add(key)
        if deadline is not None and deadline < inf:
            self._note_deadline(key, floor(deadline))
        self._kept[key] = grants
        self.answers[key] = grants.answers

    def note(self, key: bytes, grants: Grants, permission: str, reason: Reason) -> None:
        """Have the same decided again of who has a seat, for as long as it is kept.

        Whoever rests on its row alone is told the same as all with these grants.
        """
        if key not in self.answers:
            return
        if self._noted >= LIMIT:
            self.forget_reasons()
        self._noted += 1
        reasons = self.reasons.get(key)
        if reasons is None:
            is_own = key in self._grounds
            reasons = {} if is_own else self._shared.setdefault(grants, {})
            self.reasons[key] = reasons
        reasons[permission] = reason.value

    def forget_reasons(self) -> None:
        """Have everything decided anew; the answers stand."""
        self.reasons.clear()
        self._shared.clear()
        self._noted = 0

    def _note_deadline(self, key: bytes, second: int) -> None:
        due = self._due.get(second)
        if due is None:
            due = self._due[second] = set()
            heappush(self._seconds, second)
        due.add(key)
        self._seconds_of[key] = second

    def kept(self, key: bytes) -> Grants | None:
        """The grants that a seat keeps, or None."""
        return self._kept.get(key)

    def vacate(self, ground: bytes) -> None:
        """Take away the seats that rest on what changed."""
        self.answers.pop(ground, None)
        self.reasons.pop(ground, None)
        for key in list(self._resting.get(ground, ())):
            self._leave(key)

    def _leave(self, key: bytes) -> None:
        self.answers.pop(key, None)
        self.reasons.pop(key, None)
        self._kept.pop(key, None)
        second = self._seconds_of.pop(key, None)
        if second in self._due:
            self._due[second].discard(key)
        for ground in self._grounds.pop(key, ()):
            resting = self._resting[ground]
            resting.discard(key)
            if not resting:
                del self._resting[ground]

    def clear(self) -> None:
        """Take away all seats."""
        self.answers.clear()
        self.forget_reasons()
        self._grounds.clear()
        self._kept.clear()
        self._resting.clear()
        self._due.clear()
        self._seconds_of.clear()
        self._seconds.clear()

    def expire(self, now: float) -> None:
        """Take away the seats whose deadline has come."""
        while self._seconds and self._seconds[0] <= now:
            for key in self._due.pop(heappop(self._seconds)):
                self._leave(key)
