"""What a question costs, against a call of a method that does nothing.

Both are called by the same loop over the same questions, a pass of one after a pass
of the other. Each engine has a copy of the loop to itself, as a call in an application
has its own: the interpreter adapts a call to what it calls. Time is the thread's own
time on a processor, which other processes can't lengthen by taking turns.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from time import thread_time_ns
from types import FunctionType
from typing import Protocol, cast

from bench.cases import Case, Scenario, Settings
from bench.catalogues import choose
from bench.figures import Figure
from bench.questions import COUNT, Questions, of_many, of_one
from bench.synthesis import Shape, Tenancy, synthesise
from qeetid_authz.engine import Engine
from qeetid_authz.model import Principal

RATIO = 2.5
FLATNESS = 1.3
PASSES = 300
ROUNDS = 10

PERMISSIONS, USERS, CATALOGUE = "by permissions", "by users", "catalogue, 10,000 users"
ONE, IN_TURN = "one principal", f"{COUNT:,} in turn"


class Asked(Protocol):
    """What the loop calls."""

    def can(self, principal: Principal, permission: str) -> bool | None:
        """Answer, or nothing."""


class Empty:
    """A method of two arguments that does nothing."""

    def can(self, principal: Principal, permission: str) -> None:
        """Nothing."""


Loop = Callable[[Asked, Sequence[tuple[Principal, str]], int], int]


def _loop(asked: Asked, questions: Sequence[tuple[Principal, str]], rounds: int) -> int:
    """How many questions are allowed."""
    allowed = 0
    for _ in range(rounds):
        for principal, permission in questions:
            if asked.can(principal, permission):
                allowed += 1
    return allowed


class Contest:
    """One engine with its questions, and the empty method with the same."""

    def __init__(self, label: str, engine: Engine, questions: Questions) -> None:
        self.label = label
        self.engine = engine
        self.questions = questions
        self.can: list[float] = []
        self.empty: list[float] = []
        self._contenders: list[tuple[Loop, Asked, int, list[float]]] = [
            (_own_loop(), Empty(), 0, self.empty),
            (_own_loop(), engine, questions.allowed, self.can),
        ]

    def run(self) -> None:
        """One pass of each."""
        asked = len(self.questions.pairs) * ROUNDS
        for loop, what, allowed, samples in self._contenders:
            before = thread_time_ns()
            counted = loop(what, self.questions.pairs, ROUNDS)
            samples.append((thread_time_ns() - before) / asked)
            assert counted == allowed * ROUNDS, (self.label, counted, allowed)

    def forget(self) -> None:
        """Drop the passes so far, which warmed up."""
        self.can.clear()
        self.empty.clear()

    def figures(self) -> Iterator[Figure]:
        """What the passes come to."""
        ratios = [can / empty for can, empty in zip(self.can, self.empty, strict=True)]
        yield Figure.of(f"{self.label}: can", "ns", self.can)
        yield Figure.of(f"{self.label}: empty call", "ns", self.empty)
        yield Figure.of(f"{self.label}: ratio", "x", ratios, RATIO)


def _own_loop() -> Loop:
    return cast("Loop", FunctionType(_loop.__code__.replace(), _loop.__globals__))


def cases(settings: Settings) -> list[Case]:
    """Sizes of one axis share a process, so that they are measured side by side."""
    if settings.is_quick:
        return [Case(PERMISSIONS, (10, 1_000)), Case(USERS, (1_000, 10_000))]
    return [
        Case(PERMISSIONS, (10, 1_000, 10_000)),
        Case(USERS, (1_000, 100_000, 1_000_000)),
        Case(CATALOGUE, (10_000,)),
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Measure all sizes of one axis side by side."""
    engines = []
    one: list[Contest] = []
    many: list[Contest] = []
    for size in case.sizes:
        tenancy = _tenancy(case, size, settings)
        engine = Engine()
        engine.publish(tenancy.snapshot, 0.0)
        engines.append((f"{size:,}", engine, of_many(tenancy, settings.seed)))
        alone = of_one(tenancy, settings.seed)
        one.append(Contest(f"{ONE}, {size:,}", engine, alone))
        many.append(Contest(f"{IN_TURN}, {size:,}", engine, engines[-1][2]))
    for pattern, contests in ((ONE, one), (IN_TURN, many)):
        _compete(contests, settings.repeats(PASSES))
        for contest in contests:
            yield from contest.figures()
        yield from _flatness(pattern, contests)
    for label, engine, questions in engines:
        yield _first_question(label, engine, questions, settings.repeats(50))


def _tenancy(case: Case, size: int, settings: Settings) -> Tenancy:
    if case.label == USERS:
        return synthesise(Shape(users=size), settings.seed)
    if case.label == CATALOGUE:
        catalogue = choose(settings.catalogue, settings.seed)
        return synthesise(Shape(users=size), settings.seed, catalogue)
    users = 1_000 if settings.is_quick else 10_000
    shape = Shape(
        users=users, permissions=size, permissions_per_role=max(2, size // 10)
    )
    return synthesise(shape, settings.seed)


def _compete(contests: list[Contest], passes: int) -> None:
    for contest in contests:
        contest.questions.verify(contest.engine)
    gc.collect()
    gc.disable()
    _rounds(contests, max(10, passes // 10))
    for contest in contests:
        contest.forget()
    _rounds(contests, passes)
    gc.enable()
    for contest in contests:
        contest.questions.verify(contest.engine)


def _rounds(contests: list[Contest], passes: int) -> None:
    for _ in range(passes):
        for contest in contests:
            contest.run()


def _flatness(pattern: str, contests: list[Contest]) -> Iterator[Figure]:
    if len(contests) > 1:
        medians = [Figure.of("", "ns", contest.can).median for contest in contests]
        flatness = max(medians) / min(medians)
        yield Figure.of(f"{pattern}: flatness", "x", [flatness], FLATNESS)


def _first_question(
    label: str, engine: Engine, questions: Questions, repeats: int
) -> Figure:
    samples = []
    loop = _own_loop()
    for _ in range(repeats):
        engine.expire()  # which forgets who was asked about
        engine.publish(engine.revision, 0.0)
        before = thread_time_ns()
        allowed = loop(engine, questions.pairs, 1)
        samples.append((thread_time_ns() - before) / len(questions.pairs))
        assert allowed == questions.allowed
    return Figure.of(f"first question, {label}", "ns", samples)


SCENARIO = Scenario(
    "can",
    "a question, as a multiple of an empty method call, over sizes",
    frozenset({"engine", "targets"}),
    cases,
    measure,
)
