"""What there is to measure: a scenario, and its cases of different sizes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.figures import Figure, Result


class Absent(Exception):  # noqa: N818  (nothing went wrong)
    """What a case measures isn't here; says how to get it."""


class Scale(StrEnum):
    """How much is measured: for a look, for the targets, or all of it."""

    QUICK = "quick"
    USUAL = "usual"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a whole run.

    Attributes:
        seed: of all generated data and questions.
        scale: which sizes are measured.
        catalogue: a file with a real role catalogue, in place of a generated one.
        minutes: for how long the soak goes on.
    """

    seed: int = 1
    scale: Scale = Scale.USUAL
    catalogue: Path | None = None
    minutes: float = 60

    @property
    def is_quick(self) -> bool:
        """Whether sizes and repeats are for a look only."""
        return self.scale is Scale.QUICK

    def repeats(self, usual: int) -> int:
        """How often to measure where `usual` would do for the targets."""
        return max(3, usual // 10) if self.is_quick else usual


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a scenario.

    Attributes:
        label: what a reader sees.
        sizes: what the scenario needs to know, in its own order.
    """

    label: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One subject of measurement.

    Attributes:
        about: one line for the list.
        tags: further names under which it is found.
        cases: the cases at some scale.
        measure: measures one case; called in a process of its own. Raises `Absent` if
            what it measures isn't installed.
        conclude: what the results of all cases come to together, such as ratios
            between them; none of the results is of an absent case.
        in_quick: whether a quick run includes it when it isn't asked for by name.
        only_by_name: whether no run includes it otherwise, as it takes too long.
    """

    name: str
    about: str
    tags: frozenset[str]
    cases: Callable[[Settings], Sequence[Case]]
    measure: Callable[[Case, Settings], Iterable[Figure]]
    conclude: Callable[[Sequence[Result]], Iterable[Figure]] | None = None
    in_quick: bool = True
    only_by_name: bool = False


def by_users(settings: Settings) -> list[Case]:
    """Cases of one tenant with ever more users."""
    sizes = [1_000, 10_000]
    if not settings.is_quick:
        sizes = [100, *sizes, 100_000, 1_000_000]
    return [Case(f"{users:,} users", (users,)) for users in sizes]
