"""A loaded index of a million users: what single questions wait for while it changes.

And whether what is dropped is given back: rounds of loading and dropping.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from random import Random
from threading import Event, Thread
from time import perf_counter_ns, sleep
from typing import Any

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.questions import Questions, of_many
from bench.runner import resident_mib
from bench.subjects import Subject, memberships, subject
from bench.synthesis import Shape, synthesise
from qeetid_authz.engine.engine import Engine

COLLECTION = 1.0  # ms
GROWN = 1.05  # times
CHANGES = 500  # a second
CALLS = 500_000
GARBAGE = 2_000
"""Objects that are alive in turn, as an application has, so that there is collecting."""
ROUNDS = 10
ASKED, DROPPED = "asked while it changes", "loaded and dropped"


def cases(settings: Settings) -> list[Case]:
    """One large tenant, or a smaller one dropped in rounds."""
    users = 10_000 if settings.is_quick else 1_000_000
    return [
        Case(f"{users:,} users, {ASKED}", (users,)),
        Case(f"{users // 10:,} users, {DROPPED} {ROUNDS} times", (users // 10,)),
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Time each question, or weigh the process after each round."""
    (users,) = case.sizes
    if ASKED in case.label:
        yield from _asked(subject(Shape(users=users), settings.seed), settings)
    else:
        yield from _dropped(users, settings)


def _asked(asked: Subject, settings: Settings) -> Iterator[Figure]:
    questions = of_many(asked.tenancy, settings.seed)
    calls = settings.repeats(CALLS)
    questions.verify(asked.engine)  # and so seats them
    quiet = _ask(asked.engine, questions, calls)
    with _collections() as collected, _changing(asked, settings.seed):
        changing = _ask(asked.engine, questions, calls)
    questions.verify(asked.engine)
    for name, samples in (("quiet", quiet), ("while it changes", changing)):
        yield Figure.of(f"can, each call, {name}", "ns", samples)
    yield Figure.of("collections", "", [len(collected)])
    if collected:
        yield Figure.of(
            "pause of the collector", "ms", collected, COLLECTION, by="maximum"
        )


def _ask(engine: Engine, questions: Questions, calls: int) -> list[float]:
    """Time each call, and make garbage between them."""
    samples, garbage = [], []
    pairs = list(zip(questions.pairs, questions.answers, strict=True))
    for at in range(calls):
        (principal, key), answer = pairs[at % len(pairs)]
        before = perf_counter_ns()
        said = engine.can(principal, key)
        samples.append(float(perf_counter_ns() - before))
        assert said is answer
        garbage.append([at])
        if len(garbage) == GARBAGE:
            garbage.clear()
    return samples


@contextmanager
def _collections() -> Iterator[list[float]]:
    """The milliseconds of each pass of the garbage collector."""
    pauses: list[float] = []
    begun = [0]

    def note(phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            begun[0] = perf_counter_ns()
        else:
            pauses.append((perf_counter_ns() - begun[0]) / 1e6)

    gc.callbacks.append(note)
    try:
        yield pauses
    finally:
        gc.callbacks.remove(note)


@contextmanager
def _changing(asked: Subject, seed: int) -> Iterator[None]:
    """Apply memberships on another thread, each of which is taken back."""
    stopped = Event()
    few = list(islice(memberships(asked.tenancy, Random(seed + 1)), 1_000))

    def run() -> None:
        while not stopped.is_set():
            for join, leave in zip(few[::2], few[1::2], strict=True):
                asked.engine.publish(join.changes, 0.0)
                asked.engine.publish(leave.changes, 0.0)
                sleep(2 / CHANGES)
                if stopped.is_set():
                    return

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _dropped(users: int, settings: Settings) -> Iterator[Figure]:
    """Load into a new engine and drop it; the memory of each round but the first."""
    snapshot = synthesise(Shape(users=users), settings.seed).snapshot
    weights = []
    for _ in range(ROUNDS):
        engine = Engine()
        engine.publish(snapshot, 0.0)
        engine.close()
        del engine
        gc.collect()
        weights.append(resident_mib())
    yield Figure.of("memory after a round", "MiB", weights[1:])
    grown = weights[-1] / weights[1]
    yield Figure.of("last round to second", "x", [grown], GROWN)


SCENARIO = Scenario(
    "pauses",
    "single questions while a large index changes, and rounds of load and drop",
    frozenset({"engine", "targets"}),
    cases,
    measure,
)
