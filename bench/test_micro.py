"""The same calls as cases of pytest-benchmark: `pytest bench`.

A round is one call, or a pass of `contest` over a thousand questions; either asserts
its answers. `--benchmark-compare` and `--benchmark-histogram` work as ever.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from random import Random
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contest import Empty, ask, authenticate, check, own_copy
from bench.questions import COUNT, of_many, of_one
from bench.subjects import (
    Explaining,
    Subject,
    batch,
    explained,
    memberships,
    subject,
)
from bench.synthesis import Shape
from bench.world import API_KEY, World, world
from qeetid_authz.authorizer import Authorizer

SEED = 1
ROUNDS = 200
WARMUP = 20
PATTERNS = {"one principal": of_one, "1,000 in turn": of_many}


@pytest.fixture(scope="module")
def asked() -> Subject:
    """A tenant of 10,000 users."""
    return subject(Shape(users=10_000), SEED)


@pytest.fixture(scope="module")
def authorizer() -> Iterator[tuple[World, Authorizer]]:
    """One that follows a database, and the issuer of its tokens."""
    with world(100) as here, here.open() as opened:
        yield here, opened


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("call", [ask, check], ids=["can", "check"])
def test_question(
    benchmark: BenchmarkFixture,
    asked: Subject,
    call: Callable[..., int],
    pattern: str,
) -> None:
    """A thousand questions, allowed as often as the relations say."""
    questions = PATTERNS[pattern](asked.tenancy, SEED)
    questions.verify(asked.engine)
    right = _pass(benchmark, call, asked.engine, questions.triples)
    assert right == COUNT


@pytest.mark.parametrize("call", [ask, check], ids=["can", "check"])
def test_empty_call(
    benchmark: BenchmarkFixture, asked: Subject, call: Callable[..., int]
) -> None:
    """A thousand calls of a method that does nothing, to hold the others against."""
    answer = None if call is ask else False
    triples = of_one(asked.tenancy, SEED).always(answer)
    assert _pass(benchmark, call, Empty(), triples) == COUNT


def test_first_question(benchmark: BenchmarkFixture, asked: Subject) -> None:
    """A thousand principals that weren't asked about before."""
    questions = of_many(asked.tenancy, SEED)

    def forget() -> None:
        asked.engine.expire()
        asked.engine.publish(asked.engine.revision, 0.0)

    right = _rounds(benchmark)(
        own_copy(ask),
        (asked.engine, questions.triples, 1),
        setup=forget,
        rounds=ROUNDS,
        warmup_rounds=WARMUP,
    )
    assert len(questions.pairs) == right


@pytest.mark.parametrize("paths", [0, 1, 10])
def test_explain(benchmark: BenchmarkFixture, paths: int) -> None:
    """One explanation with so many grant paths; with none, a denial."""
    explaining = Explaining(explained(max(1, paths), SEED), paths)
    _rounds(benchmark)(
        explaining.ask,
        setup=lambda: (explaining.next(), {}),
        rounds=10 * ROUNDS,
        warmup_rounds=10 * WARMUP,
    )
    explaining.verify(explaining.ask(*explaining.next()))


def test_apply(benchmark: BenchmarkFixture) -> None:
    """One membership added or removed, after which its user holds the right keys."""
    asked = subject(Shape(users=10_000, skew=1), SEED)
    many = cycle(list(islice(memberships(asked.tenancy, Random(SEED)), 1_000)))
    last = [next(many)]

    def change() -> tuple[tuple[object, float], dict[str, object]]:
        last[0] = next(many)
        return (last[0].changes, 0.0), {}

    _rounds(benchmark)(
        asked.engine.publish, setup=change, rounds=10 * ROUNDS, warmup_rounds=WARMUP
    )
    held = asked.engine.effective_permissions(last[0].principal)
    assert last[0].held == held


def test_batch(benchmark: BenchmarkFixture, asked: Subject) -> None:
    """A thousand questions about one tenant at one revision."""
    tenant, pairs, questions = batch(asked.tenancy, SEED)
    answers, _, _ = _rounds(benchmark)(
        asked.engine.can_many, (tenant, pairs), rounds=ROUNDS, warmup_rounds=WARMUP
    )
    assert questions.answers == answers


@pytest.mark.parametrize("credential", ["token", "API key"])
def test_authenticate_again(
    benchmark: BenchmarkFixture, authorizer: tuple[World, Authorizer], credential: str
) -> None:
    """A thousand times a credential that is known already."""
    here, opened = authorizer
    header = (
        API_KEY if credential == "API key" else f"Bearer {here.user_token('direct')}"
    )
    assert opened.authenticate(header).tenant_id
    assert _pass(benchmark, authenticate, opened, [header] * COUNT) == COUNT


def _rounds(benchmark: BenchmarkFixture) -> Callable[..., Any]:
    """Its way to set up each round, which it has no types for."""
    pedantic: Callable[..., Any] = benchmark.pedantic
    return pedantic


def _pass(
    benchmark: BenchmarkFixture,
    call: Callable[..., int],
    somebody: object,
    questions: Sequence[object],
) -> int:
    """Passes of all questions; the good answers of the last."""
    good: int = _rounds(benchmark)(
        partial(own_copy(call), somebody, questions, 1),
        rounds=ROUNDS,
        warmup_rounds=WARMUP,
    )
    return good
