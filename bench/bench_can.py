"""What a question costs, against a call of a method that does nothing.

Both are called by the same loop over the same questions.
"""

import gc
from collections.abc import Iterator
from time import thread_time_ns

from bench.cases import Case, Scenario, Settings
from bench.catalogues import choose
from bench.contest import Contender, ask, compete, own_copy
from bench.figures import Figure
from bench.questions import COUNT, Questions, of_many, of_one
from bench.synthesis import Shape, Tenancy, synthesise
from qeetid_authz.engine.engine import Engine
from qeetid_authz.principal import Principal

RATIO = 2.5
FLATNESS = 1.3
PASSES = 300

PERMISSIONS, USERS, CATALOGUE = "by permissions", "by users", "catalogue, 10,000 users"
ONE, IN_TURN = "one principal", f"{COUNT:,} in turn"


class Empty:
    """A method of two arguments that does nothing."""

    def can(self, principal: Principal, permission: str) -> None:
        """Nothing."""


class Contest:
    """One engine with its questions, and the empty method with the same."""

    def __init__(self, label: str, engine: Engine, questions: Questions) -> None:
        self.label = label
        self.engine = engine
        self.questions = questions
        self.empty = Contender(f"{label}: empty call", ask, Empty(), questions.pairs, 0)
        self.can = Contender(
            f"{label}: can", ask, engine, questions.pairs, questions.allowed
        )

    def figures(self) -> Iterator[Figure]:
        """What the passes come to."""
        for each in (self.can, self.empty):
            yield Figure.of(each.label, "ns", each.samples)
        ratios = self.can.ratios(self.empty)
        yield Figure.of(f"{self.label}: ratio", "x", ratios, RATIO)


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
    compete([side for each in contests for side in (each.empty, each.can)], passes)
    gc.enable()
    for contest in contests:
        contest.questions.verify(contest.engine)


def _flatness(pattern: str, contests: list[Contest]) -> Iterator[Figure]:
    if len(contests) > 1:
        medians = [
            Figure.of("", "ns", contest.can.samples).median for contest in contests
        ]
        flatness = max(medians) / min(medians)
        yield Figure.of(f"{pattern}: flatness", "x", [flatness], FLATNESS)


def _first_question(
    label: str, engine: Engine, questions: Questions, repeats: int
) -> Figure:
    samples = []
    loop = own_copy(ask)
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
