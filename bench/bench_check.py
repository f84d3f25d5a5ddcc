"""What a decision with its reason costs, against a method that returns a constant."""

import gc
from collections.abc import Iterator

from bench.cases import Case, Scenario, Settings
from bench.contest import Contender, Empty, check, compete
from bench.figures import Figure
from bench.questions import COUNT, Questions, of_many, of_one
from bench.subjects import Subject, subject
from bench.synthesis import Shape

RATIO = 4.0
PASSES = 200
USERS = 10_000


def cases(_: Settings) -> list[Case]:
    """One tenant."""
    return [Case(f"{USERS:,} users", (USERS,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Ask about one user, and about many in turn."""
    (users,) = case.sizes
    asked = subject(Shape(users=users), settings.seed)
    for pattern, questions in (
        ("one principal", of_one(asked.tenancy, settings.seed)),
        (f"{COUNT:,} in turn", of_many(asked.tenancy, settings.seed)),
    ):
        yield from _contest(pattern, asked, questions, settings.repeats(PASSES))


def _contest(
    pattern: str, asked: Subject, questions: Questions, passes: int
) -> Iterator[Figure]:
    questions.verify(asked.engine)
    denied = questions.always(answer=False)
    empty = Contender(f"{pattern}: empty call", check, Empty(), denied)
    ours = Contender(f"{pattern}: check", check, asked.engine, questions.triples)
    gc.collect()
    gc.disable()
    compete([empty, ours], passes)
    gc.enable()
    headline = f"check, {pattern}"
    yield Figure.of(ours.label, "ns", ours.samples, headline=headline)
    yield Figure.of(empty.label, "ns", empty.samples)
    yield Figure.of(f"{pattern}: ratio", "x", ours.ratios(empty), RATIO)


SCENARIO = Scenario(
    "check",
    "a decision with its reason, as a multiple of a call that returns a constant",
    frozenset({"engine", "targets"}),
    cases,
    measure,
)
