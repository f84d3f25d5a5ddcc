"""What a question costs, against a call of a method that does nothing.

Both are called by the same loop over the same questions.
"""

import gc
from collections.abc import Iterator
from statistics import median
from time import thread_time_ns

from bench.cases import Case, Scenario, Settings
from bench.contest import Contender, Empty, ask, compete, loop, own_copy
from bench.figures import Figure, Point
from bench.questions import COUNT, Questions, of_many, of_one
from bench.subjects import Subject, named, subject
from bench.synthesis import SHAPES, Shape
from qeetid_authz.engine.engine import Engine

RATIO = 2.0
FLATNESS = 1.2
PASSES = 300

PERMISSIONS, USERS, GROUPS = "by permissions", "by users", "by groups of the user"
ROLES = "by roles of the tenant"
SHAPED = "by shape"
ONE, IN_TURN = "one principal", f"{COUNT:,} in turn"
FLAT_FROM = {PERMISSIONS: 10, USERS: 1_000, GROUPS: 1, ROLES: 1}
"""The sizes from which on a question must cost the same."""


class Contest:
    """One engine with its questions, and the empty method with the same."""

    def __init__(
        self,
        label: str,
        engine: Engine,
        questions: Questions,
        point: Point | None,
        headline: str | None = None,
    ) -> None:
        self.engine = engine
        self.questions = questions
        self._label = label
        self._point = point
        self._headline = headline
        self._empty = Contender(
            f"{label}: empty call", ask, Empty(), questions.always(None)
        )
        self.can = Contender(f"{label}: can", ask, engine, questions.triples)
        self._loop = Contender(
            f"{label}: loop alone", loop, None, questions.always(None)
        )
        self.sides = (self._empty, self.can, self._loop)

    def figures(self) -> Iterator[Figure]:
        """What the passes come to."""
        yield Figure.of(
            self.can.label,
            "ns",
            self.can.samples,
            point=self._point,
            headline=self._headline,
        )
        yield Figure.of(self._empty.label, "ns", self._empty.samples)
        ratios = self.can.ratios(self._empty)
        yield Figure.of(f"{self._label}: ratio", "x", ratios, RATIO)
        empty, can, around = (median(side.samples) for side in self.sides)
        bare = (can - around) / (empty - around)
        yield Figure.of(f"{self._label}: ratio without the loop", "x", [bare])


def cases(settings: Settings) -> list[Case]:
    """Sizes of one axis share a process, so that they are measured side by side."""
    if settings.is_quick:
        return [
            Case(PERMISSIONS, (10, 1_000)),
            Case(USERS, (1_000, 10_000)),
            Case(GROUPS, (1, 100)),
        ]
    shapes = range(len(SHAPES))
    axes = [
        Case(PERMISSIONS, (1, 10, 100, 1_000, 13_790)),
        Case(USERS, (100, 1_000, 10_000, 100_000, 1_000_000)),
        Case(GROUPS, (1, 10, 100, 1_000, 10_000)),
        Case(ROLES, (1, 10, 100, 1_000, 10_000)),
    ]
    return [*axes, Case(SHAPED, tuple(shapes))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Measure all sizes of one axis side by side."""
    subjects = {}
    for size in case.sizes:
        asked, label, point = _subject(case, size, settings)
        subjects[label] = (asked, point, of_many(asked.tenancy, settings.seed))
    for pattern in (ONE, IN_TURN):
        contests = []
        for label, (asked, point, many) in subjects.items():
            questions = many if pattern is IN_TURN else None
            contests.append(
                Contest(
                    f"{pattern}, {label}",
                    asked.engine,
                    questions or of_one(asked.tenancy, settings.seed),
                    point and Point(f"can, {pattern}, {point.curve}", point.size),
                    _headline(case, pattern, label),
                )
            )
        _compete(contests, settings.repeats(PASSES))
        for contest in contests:
            yield from contest.figures()
        if case.label in FLAT_FROM:
            yield _flatness(pattern, case, contests)
    for label, (asked, point, many) in subjects.items():
        samples = _first_question(asked.engine, many, settings.repeats(50))
        spot = point and Point(f"first question, {point.curve}", point.size)
        yield Figure.of(
            f"first question, {label}",
            "ns",
            samples,
            point=spot,
            headline=_headline(case, "first question", label),
        )


def _subject(
    case: Case, size: int, settings: Settings
) -> tuple[Subject, str, Point | None]:
    """What is asked, how its size is called, and its place on the axis."""
    if case.label == SHAPED:
        name = list(SHAPES)[size]
        return named(name, settings), name, None
    users = 1_000 if settings.is_quick else 10_000
    shapes = {
        USERS: lambda: Shape(users=size),
        GROUPS: lambda: Shape(
            users=users, groups=max(100, size), roles=200, first_groups=size
        ),
        ROLES: lambda: Shape(
            users=users, groups=1_000, roles=size, roles_per_group=min(size, 2)
        ),
        PERMISSIONS: lambda: Shape(
            users=users,
            permissions=size,
            permissions_per_role=min(size, max(2, size // 10)),
        ),
    }
    asked = subject(shapes[case.label](), settings.seed)
    return asked, f"{size:,}", Point(case.label, size)


def _headline(case: Case, what: str, label: str) -> str | None:
    """Pictures show the largest tenant."""
    if case.label != USERS or label != f"{case.sizes[-1]:,}":
        return None
    return what if what == "first question" else f"can, {what}"


def _compete(contests: list[Contest], passes: int) -> None:
    for contest in contests:
        contest.questions.verify(contest.engine)
    gc.collect()
    gc.disable()
    compete([side for each in contests for side in each.sides], passes)
    gc.enable()
    for contest in contests:
        contest.questions.verify(contest.engine)


def _flatness(pattern: str, case: Case, contests: list[Contest]) -> Figure:
    """The largest median over the smallest, from some size on."""
    medians = [
        Figure.of("", "ns", contest.can.samples).median
        for size, contest in zip(case.sizes, contests, strict=True)
        if size >= FLAT_FROM[case.label]
    ]
    flatness = max(medians) / min(medians)
    return Figure.of(f"{pattern}: flatness", "x", [flatness], FLATNESS)


def _first_question(engine: Engine, questions: Questions, repeats: int) -> list[float]:
    samples, triples = [], questions.triples
    asking = own_copy(ask)
    for _ in range(repeats):
        engine.expire()  # which forgets who was asked about
        engine.publish(engine.revision, 0.0)
        before = thread_time_ns()
        right = asking(engine, triples, 1)
        samples.append((thread_time_ns() - before) / len(triples))
        assert right == len(triples)
    return samples


SCENARIO = Scenario(
    "can",
    "a question, as a multiple of an empty method call, over sizes",
    frozenset({"engine", "targets"}),
    cases,
    measure,
)
