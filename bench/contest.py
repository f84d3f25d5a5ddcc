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
"""What asks somebody all questions so many times; how many answers were good."""


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
    """Somebody who is asked, the questions, and how many of them have good answers.

    Attributes:
        samples: nanoseconds of a call, the mean of each pass.
    """

    def __init__(
        self, label: str, loop: Loop, asked: Any, questions: Sequence[Any], good: int
    ) -> None:
        self.label = label
        self.samples: list[float] = []
        self._loop = own_copy(loop)
        self._asked = asked
        self._questions = questions
        self._good = good

    def run(self) -> None:
        """One pass.

        Raises:
            AssertionError: an answer was wrong.
        """
        before = thread_time_ns()
        counted = self._loop(self._asked, self._questions, ROUNDS)
        elapsed = thread_time_ns() - before
        self.samples.append(elapsed / (len(self._questions) * ROUNDS))
        assert counted == self._good * ROUNDS, (self.label, counted, self._good)

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


def ask(asked: Any, questions: Sequence[tuple[Principal, str]], rounds: int) -> int:
    """How many questions are allowed, by a method `can`."""
    allowed = 0
    for _ in range(rounds):
        for principal, permission in questions:
            if asked.can(principal, permission):
                allowed += 1
    return allowed


def check(asked: Any, questions: Sequence[tuple[Principal, str]], rounds: int) -> int:
    """How many questions are allowed, by the decisions of a method `check`."""
    allowed = 0
    for _ in range(rounds):
        for principal, permission in questions:
            if asked.check(principal, permission).allowed:
                allowed += 1
    return allowed


def authenticate(asked: Any, headers: Sequence[str], rounds: int) -> int:
    """How many credentials are taken, by a method `authenticate`."""
    taken = 0
    for _ in range(rounds):
        for header in headers:
            if asked.authenticate(header) is not None:
                taken += 1
    return taken
