"""The checker of concurrent answers: each was true at some moment at which it may be.

It adds to the checker of faults what many readers need: answers about a few facts, with
a revision or without one. Every tenant's history is a line, and each answer has a place
on it: not before what was committed when the replica was last current, not before the
reader's last answer, and not after what had begun to be committed when it came.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from qeetid_authz.revision import Revision
from tests.faults.checking import History, Write
from tests.truth import Grant


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader was told, once.

    Attributes:
        how: the question's name, for messages.
        began: when it was asked.
        ended: when it had been answered.
        age: of the replica's revision just before, by its own account.
        asked: the facts that were asked about.
        held: those of them that hold, it said.
        revisions: those that the parts of the answer name; none where it names none.
    """

    how: str
    began: float
    ended: float
    age: float
    asked: frozenset[Grant]
    held: frozenset[Grant]
    revisions: frozenset[Revision] = frozenset()


class Checker:
    """Compares what readers were told with what was written.

    The history must be complete: its authors have stopped, and all their writes are
    known to have been committed.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._places: dict[tuple[str, Revision], int] = {}

    def check(self, answers: Iterable[Answer]) -> list[str]:
        """What is wrong with the answers to one reader, in the order they came."""
        wrong: list[str] = []
        floors = dict.fromkeys(self._history.lines, 0)
        former: Revision | None = None
        for each in answers:
            if len(each.revisions) > 1:
                wrong.append(f"{each.how} at {len(each.revisions)} revisions at once")
                continue
            latter = next(iter(each.revisions), None)
            if former and latter and _order(latter) < _order(former):
                wrong.append(f"{each.how} at {latter} after {former}")
            former = latter or former
            for tenant in floors:
                fault = self._fault(each, latter, tenant, floors)
                if fault:
                    wrong.append(f"{each.how} in tenant {tenant} {fault}")
        return wrong

    def _fault(
        self,
        answer: Answer,
        revision: Revision | None,
        tenant: str,
        floors: dict[str, int],
    ) -> str | None:
        """What is wrong of one tenant, whose floor rises to the answer's place."""
        asked = {fact for fact in answer.asked if fact[0] == tenant}
        if not asked and revision is None:
            return None
        line = self._history.lines[tenant]
        oldest, newest = _window(line, answer)
        if revision is not None:
            place = self._place(tenant, revision)
            if place < oldest:
                return f"too old at {revision}"
            if place > newest:
                return f"of the future at {revision}"
            if place < floors[tenant]:
                return f"older than an answer before, at {revision}"
            oldest = newest = place
        held = {fact for fact in answer.held if fact[0] == tenant}
        for place in range(max(oldest, floors[tenant]), newest + 1):
            true = {(tenant, *holding) for holding in line[place].grants}
            if true & asked == held:
                floors[tenant] = place
                return None
        return "never true" if revision is None else f"not true at {revision}"

    def _place(self, tenant: str, revision: Revision) -> int:
        """Of the last write that a revision shows; -1 if it shows none."""
        known = self._places.get((tenant, revision))
        if known is None:
            shown = [
                at
                for at, write in enumerate(self._history.lines[tenant])
                if self._history.is_visible(write, revision)
            ]
            known = self._places[tenant, revision] = max(shown, default=-1)
        return known


def _window(line: list[Write], answer: Answer) -> tuple[int, int]:
    """The places of the oldest and the newest write that an answer may end with."""
    current_at = answer.began - answer.age
    oldest = bisect_left(line, current_at, key=lambda write: write.returned or inf) - 1
    newest = bisect_right(line, answer.ended, key=lambda write: write.begun) - 1
    return max(oldest, 0), newest


def _order(revision: Revision) -> tuple[int, int]:
    return revision.xmin, revision.xmax
