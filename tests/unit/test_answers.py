"""The checker of concurrent answers rejects each kind of wrong history."""

from dataclasses import replace

import pytest

from qeetid_authz.revision import Revision
from tests.faults.checking import Grants, History, Write
from tests.integration.answers import Answer, Checker
from tests.truth import Grant

LIFE = "life"
NOBODY: Grants = frozenset()
BOTH: Grants = frozenset({("ann", "k"), ("bob", "k")})
ANN: Grant = ("one", "ann", "k")
BOB: Grant = ("one", "bob", "k")
CAT: Grant = ("two", "cat", "k")

# In tenant one a pair that comes, goes and comes, in tenant two somebody who comes once.
ONE = [
    Write(10, LIFE, NOBODY, 1, 1.0, begun=0.9),
    Write(20, LIFE, BOTH, 2, 2.0, begun=1.9),
    Write(30, LIFE, NOBODY, 3, 3.0, begun=2.9),
    Write(40, LIFE, BOTH, 4, 4.0, begun=3.9),
]
TWO = [
    Write(11, LIFE, NOBODY, 5, 1.0, begun=0.9),
    Write(41, LIFE, frozenset({("cat", "k")}), 6, 4.0, begun=3.9),
]
CHECKER = Checker(History({"one": ONE, "two": TWO}, [LIFE]))


def seen(xmax: int, *running: int) -> frozenset[Revision]:
    return frozenset({Revision(LIFE, min(running, default=xmax), xmax, running)})


def told(
    at: float, held: set[Grant], revisions: frozenset[Revision] = frozenset()
) -> Answer:
    """An answer about everything, quickly given by a replica that is 0.05 s old."""
    asked = frozenset({ANN, BOB, CAT})
    return Answer("ask", at, at + 0.01, 0.05, asked, frozenset(held), revisions)


def of_pair(at: float, held: set[Grant]) -> Answer:
    """An answer about the pair, without a revision."""
    return replace(told(at, held), asked=frozenset({ANN, BOB}))


@pytest.mark.parametrize(
    "answers",
    [
        [told(2.5, {ANN, BOB}, seen(25)), told(3.5, set(), seen(35))],
        [of_pair(2.5, {ANN, BOB}), of_pair(3.5, set()), of_pair(4.5, {ANN, BOB})],
        # While a commit is under way, both before and after it are true.
        [of_pair(2.95, {ANN, BOB}), of_pair(2.95, set())],
        # A snapshot may show a later commit before an earlier one.
        [told(3.95, {CAT}, seen(42, 40))],
        # As old as the replica says it is.
        [replace(of_pair(3.5, {ANN, BOB}), age=1.0)],
    ],
)
def test_right_answers_pass(answers: list[Answer]) -> None:
    """What was true somewhere between an answer's age and its end is right."""
    assert [] == CHECKER.check(answers)


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        ("never true", [of_pair(2.5, {ANN})]),
        ("never true", [of_pair(2.95, {BOB})]),
        ("not true at", [told(2.5, {ANN}, seen(25))]),
        ("not true at", [told(4.5, {ANN, BOB}, seen(45))]),
        ("2 revisions at once", [told(2.95, set(), seen(25) | seen(35))]),
    ],
)
def test_torn_answers_are_rejected(fault: str, answers: list[Answer]) -> None:
    """Half of a transaction is wrong, and so is a batch of two revisions."""
    assert_rejected(fault, answers)


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        ("never true", [of_pair(3.5, {ANN, BOB})]),
        ("too old at", [told(3.5, {ANN, BOB}, seen(25))]),
        ("too old at", [replace(told(3.5, {ANN, BOB}, seen(25)), age=0.4)]),
    ],
)
def test_stale_answers_are_rejected(fault: str, answers: list[Answer]) -> None:
    """What was undone before the replica was last current isn't true any more."""
    assert_rejected(fault, answers)


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        ("never true", [of_pair(1.5, {ANN, BOB})]),
        ("of the future at", [told(1.5, {ANN, BOB}, seen(25))]),
    ],
)
def test_answers_of_the_future_are_rejected(fault: str, answers: list[Answer]) -> None:
    """Nobody can know what hasn't begun to be committed."""
    assert_rejected(fault, answers)


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        ("after", [told(2.95, set(), seen(35)), told(2.95, {ANN, BOB}, seen(25))]),
        ("never true", [told(2.95, set(), seen(35)), of_pair(2.95, {ANN, BOB})]),
        ("older than", [of_pair(2.95, set()), told(2.95, {ANN, BOB}, seen(25))]),
        ("never true", [of_pair(2.95, set()), of_pair(2.95, {ANN, BOB})]),
    ],
)
def test_going_back_is_rejected(fault: str, answers: list[Answer]) -> None:
    """A reader that was told of a commit is not told of a time before it."""
    assert_rejected(fault, answers)


def test_the_reader_before_does_not_matter() -> None:
    """Two readers of one replica are checked apart, as each has an order of its own."""
    late, early = told(2.95, set(), seen(35)), told(2.95, {ANN, BOB}, seen(25))
    assert [] == CHECKER.check([late])
    assert [] == CHECKER.check([early])


def assert_rejected(fault: str, answers: list[Answer]) -> None:
    """The last answer is wrong, and nothing before it."""
    assert [] == CHECKER.check(answers[:-1])
    found = CHECKER.check(answers)
    assert found
    assert any(fault in each for each in found), found
