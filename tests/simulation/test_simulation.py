"""The feed in a simulated world: thousands of schedules, each had again by its seed."""

import logging
import os
from collections.abc import Iterable, Iterator

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.world import live, small_bounds

GIVEN_SEED = "QEETID_AUTHZ_TEST_SEED"
SEEDS = 2_000
ENOUGH = 600  # seeds in which any mistake of `mutants` shows


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nobody needs to read of each failure that was arranged."""
    logging.disable()
    with small_bounds():
        yield
    logging.disable(logging.NOTSET)


def seeds(many: int) -> Iterator[int]:
    """So many, or the one that the environment gives."""
    given = os.environ.get(GIVEN_SEED)
    yield from range(many) if given is None else [int(given)]


@pytest.mark.timeout(600)
def test_every_schedule_keeps_the_promises() -> None:
    """Whatever happens in which order: no wrong answer, and soon a current one."""
    for seed in seeds(SEEDS):
        try:
            live(seed)
        except Exception as error:
            error.add_note(f"again: {GIVEN_SEED}={seed} pytest tests/simulation")
            raise


@pytest.mark.parametrize("mistake", MUTANTS)
def test_the_simulation_finds_mistakes(mistake: str) -> None:
    """A feed with one thing wrong breaks a promise within some hundred seeds."""
    with MUTANTS[mistake](), pytest.raises(AssertionError):
        _live_all(range(ENOUGH))


def _live_all(some: Iterable[int]) -> None:
    for seed in some:
        live(seed)
