"""Calls timed against each other, a pass of one after a pass of the other.

Each contender has a copy of its loop to itself, as a call in an application has its
own: the interpreter adapts a call to what it calls. Time is the thread's own time on a
processor, which other processes can't lengthen by taking turns.
"""

from collections.abc import Callable, Sequence
from time import thread_time_ns
from types import FunctionType
from typing import Any, TypeAlias, cast

from qeetid_authz.principal import Principal

ROUNDS = 10

Loop: TypeAlias = Callable[[Any, Sequence[Any], int], int]
"""What asks somebody all questions so many times; how many answers were right."""

Triple: TypeAlias = tuple[Principal, str, Any]
"""Who, what, and the right answer."""


class Denied:
    """As much of a decision as is looked at."""

    __slots__ = ("allowed",)

    def __init__(self) -> None:
        self.allowed = False


class Empty:
    """Methods that do nothing, called as those that are measured."""

    def __init__(self) -> None:
        self._denied = Denied()

    def can(self, principal: Principal, permission: str) -> None:
        """Nothing."""

    def check(self, principal: Principal, permission: str) -> Denied:  # noqa: ARG002
        """The same denial to everybody."""
        return self._denied

    def authenticate(self, header: str) -> str:
        """What was given."""
        return header


class Contender:
    """Somebody who is asked, and the questions.

    Attributes:
        samples: nanoseconds of a call, the mean of each pass.
    """

    def __init__(
        self, label: str, loop: Loop, asked: Any, questions: Sequence[Any]
    ) -> None:
        self.label = label
        self.samples: list[float] = []
        self._loop = own_copy(loop)
        self._asked = asked
        self._questions = questions

    def run(self) -> None:
        """One pass.

        Raises:
            AssertionError: an answer was wrong.
        """
        before = thread_time_ns()
        right = self._loop(self._asked, self._questions, ROUNDS)
        elapsed = thread_time_ns() - before
        calls = len(self._questions) * ROUNDS
        self.samples.append(elapsed / calls)
        assert right == calls, (self.label, right, calls)

    def ratios(self, other: "Contender") -> list[float]:
        """What a call costs in calls of another, pass by pass."""
        pairs = zip(self.samples, other.samples, strict=True)
        return [mine / theirs for mine, theirs in pairs]


def compete(contenders: Sequence[Contender], passes: int) -> None:
    """Let all take turns, some passes of each to warm up and then those that count."""
    for _ in range(max(10, passes // 10)):
        for contender in contenders:
            contender.run()
    for contender in contenders:
        contender.samples.clear()
    for _ in range(passes):
        for contender in contenders:
            contender.run()


def own_copy(loop: Loop) -> Loop:
    """The same loop, for one to call."""
    function = cast("FunctionType", loop)
    return FunctionType(function.__code__.replace(), function.__globals__)


def loop(asked: Any, questions: Sequence[Triple], rounds: int) -> int:
    """The loop of `ask` around no call."""
    right = 0
    for _ in range(rounds):
        for _principal, _permission, answer in questions:
            if asked is answer:
                right += 1
    return right


def ask(asked: Any, questions: Sequence[Triple], rounds: int) -> int:
    """How many answers of a method `can` are right."""
    right = 0
    for _ in range(rounds):
        for principal, permission, answer in questions:
            if asked.can(principal, permission) is answer:
                right += 1
    return right


def check(asked: Any, questions: Sequence[Triple], rounds: int) -> int:
    """How many decisions of a method `check` are right."""
    right = 0
    for _ in range(rounds):
        for principal, permission, answer in questions:
            if asked.check(principal, permission).allowed is answer:
                right += 1
    return right


def authenticate(asked: Any, headers: Sequence[str], rounds: int) -> int:
    """How many credentials are taken, by a method `authenticate`."""
    taken = 0
    for _ in range(rounds):
        for header in headers:
            if asked.authenticate(header) is not None:
                taken += 1
    return taken
