"""A question to this engine and to other products, over the same facts.

Each product is asked in a process of its own by the same loop, one question after the
other, and its every answer compared with the relations. Time is what the asker waits, as
some answer from another process.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from math import ceil
from time import perf_counter
from typing import Any, NamedTuple

import psutil

from bench.cases import Case, Scale, Scenario, Settings
from bench.figures import Figure, Point, Result
from bench.peers.ours import OURS
from bench.peers.peer import Peer
from bench.peers.products import PRODUCTS
from bench.questions import of_many
from bench.runner import MIB
from bench.synthesis import Shape, Tenancy, synthesise

PASSES = 30
PASS_SECONDS = 0.05
TARGET_USERS = 1_000
SHAPES = {
    TARGET_USERS: Shape(users=TARGET_USERS, groups=50, roles=20, permissions=100),
    10_000: Shape(users=10_000, groups=500, roles=200, permissions=1_000),
}
QUESTION = "a question"


class Call(NamedTuple):
    """Two arguments, and the answer that is right."""

    asker: Any
    permission: str
    answer: bool


def cases(settings: Settings) -> list[Case]:
    """Every product at every size, but those that take minutes to load."""
    return [
        Case(_label(product.name, users), (at, users))
        for users in SHAPES
        for at, product in enumerate(PRODUCTS)
        if users == TARGET_USERS
        or settings.scale is Scale.FULL
        or not (settings.is_quick or product.loads_slowly)
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Load, ask once, and ask on; raises `Absent` for what isn't installed."""
    at, users = case.sizes
    product = PRODUCTS[at]
    tenancy = synthesise(SHAPES[users], settings.seed)
    before, started = _occupied_mib(), perf_counter()
    with product.open(tenancy) as peer:
        calls = _calls(peer, tenancy, settings.seed)
        assert ask(peer, calls[:1], 1) == 1
        loaded = (perf_counter() - started) * 1e3
        added = _occupied_mib() - before
        assert ask(peer, calls, 1) == len(calls)
        samples = list(_passes(peer, calls, settings.repeats(PASSES)))
    curve = Point(f"{product.name}, by users", users)
    yield Figure.of(
        f"{QUESTION}, {product.where}",
        "us",
        samples,
        point=curve,
        headline=product.name if users == TARGET_USERS else None,
    )
    yield Figure.of("from facts to the first answer", "ms", [loaded])
    yield Figure.of("memory added, with its server", "MiB", [added])


def conclude(results: Sequence[Result]) -> Iterator[Figure]:
    """How many times our time each product takes, by size.

    Of each the best pass counts, as what neighbours of the machine take is nobody's
    doing.
    """
    best = {each.case: each.figures[0].minimum for each in results}
    for users in SHAPES:
        ours = best.get(_label(OURS.name, users))
        for product in PRODUCTS[1:]:
            label = _label(product.name, users)
            if ours is None or label not in best:
                continue
            target = product.at_least if users == TARGET_USERS else None
            yield Figure.of(
                f"{label}: times our `can`",
                "x",
                [best[label] / ours],
                at_least=target,
            )


def ask(peer: Peer, calls: Iterable[Call], rounds: int) -> int:
    """How many answers are right."""
    right = 0
    for _ in range(rounds):
        for asker, permission, answer in calls:
            if peer.can(asker, permission) is answer:
                right += 1
    return right


def _calls(peer: Peer, tenancy: Tenancy, seed: int) -> list[Call]:
    questions = of_many(tenancy, seed)
    return [
        Call(peer.asker(principal), permission, answer)
        for (principal, permission), answer in zip(
            questions.pairs, questions.answers, strict=True
        )
    ]


def _passes(peer: Peer, calls: list[Call], passes: int) -> Iterator[float]:
    """Microseconds of a question, the mean of each pass.

    A pass is of as many questions, or rounds of all of them, as take a moment.
    """
    started = perf_counter()
    assert ask(peer, calls[:10], 1) == 10
    one = (perf_counter() - started) / 10
    wanted = ceil(PASS_SECONDS / one)
    asked, rounds = calls[: max(10, wanted)], max(1, wanted // len(calls))
    for _ in range(passes):
        started = perf_counter()
        right = ask(peer, asked, rounds)
        elapsed = perf_counter() - started
        assert right == len(asked) * rounds, (right, len(asked), rounds)
        yield elapsed / right * 1e6


def _occupied_mib() -> float:
    """What we and our servers occupy; pages that processes share count once."""
    us = psutil.Process()
    occupied = 0
    for process in (us, *us.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            memory = process.memory_full_info()
            occupied += getattr(memory, "pss", memory.rss)
    return occupied / MIB


def _label(name: str, users: int) -> str:
    return f"{name}, {users:,} users"


SCENARIO = Scenario(
    "peers",
    "the same questions to other products, over the same facts",
    frozenset({"peers", "targets"}),
    cases,
    measure,
    conclude,
    in_quick=False,
)
