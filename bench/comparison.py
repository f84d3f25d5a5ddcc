"""Two runs compared: what differs by more than noise."""

from collections.abc import Iterator
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.documents import Run
from bench.figures import Figure, Result
from bench.report import number

FLOOR = 0.1
MEMORY = "peak memory"


class Difference(NamedTuple):
    """One figure in two runs.

    Attributes:
        change: by what share of the former value it went up.
        noise: the share that counts as none.
    """

    scenario: str
    case: str
    name: str
    unit: str
    former: float
    latter: float
    change: float
    noise: float
    grows_better: bool

    @property
    def is_worse(self) -> bool:
        """Whether it is a regression."""
        gain = self.change if self.grows_better else -self.change
        return gain < -self.noise

    @property
    def is_better(self) -> bool:
        """Whether it is an improvement."""
        gain = self.change if self.grows_better else -self.change
        return gain > self.noise


def compare(former: Run, latter: Run, floor: float = FLOOR) -> list[Difference]:
    """All figures that both runs have.

    A difference counts when it is more than the noise of either run, and than `floor`,
    all of them shares of the value. Memory is known by one sample, so for that the
    floor decides.

    Raises:
        ValueError: they have no figure in common.
    """
    known = {
        (result.scenario, result.case, figure.name): figure
        for result, figure in _figures(former)
    }
    differences = [
        _difference(result, known[key], figure, floor)
        for result, figure in _figures(latter)
        if (key := (result.scenario, result.case, figure.name)) in known
    ]
    if not differences:
        raise ValueError(
            "the two runs have no figure in common; measure the same scenarios at the"
            " same scale"
        )
    return differences


def is_regression(differences: list[Difference]) -> bool:
    """Whether anything got worse."""
    return any(each.is_worse for each in differences)


def shown(differences: list[Difference]) -> Table:
    """What differs by more than noise."""
    view = Table(box=SIMPLE_HEAD)
    view.add_column("figure", ratio=1)
    for heading in ("before", "after", "unit", "change", "noise"):
        view.add_column(heading, justify="right")
    view.add_column("")
    for each in differences:
        if each.is_worse or each.is_better:
            view.add_row(
                f"{each.scenario} {each.case}: {each.name}",
                number(each.former),
                number(each.latter),
                each.unit,
                f"{each.change:+.1%}",
                f"{each.noise:.1%}",
                "WORSE" if each.is_worse else "better",
            )
    return view


def summary(differences: list[Difference]) -> str:
    """How many figures there are, and how many differ."""
    worse = sum(each.is_worse for each in differences)
    better = sum(each.is_better for each in differences)
    return f"{len(differences)} figures compared: {worse} worse, {better} better"


def _figures(run: Run) -> Iterator[tuple[Result, Figure]]:
    for result in run.results:
        for figure in result.figures:
            yield result, figure
        if result.peak_mib is not None:
            yield result, Figure.of(MEMORY, "MiB", [result.peak_mib])


def _difference(
    result: Result, former: Figure, latter: Figure, floor: float
) -> Difference:
    before, after = former.value, latter.value
    return Difference(
        result.scenario,
        result.case,
        latter.name,
        latter.unit,
        before,
        after,
        (after - before) / before if before else 0.0,
        max(floor, former.noise, latter.noise),
        latter.grows_better,
    )
