"""How cost grows: curves over sizes, and the exponents that fit them."""

from collections.abc import Sequence
from itertools import pairwise
from math import log, log10
from typing import NamedTuple

from bench.figures import Result


class Curve(NamedTuple):
    """The cost of something at several sizes, which ascend.

    Attributes:
        name: what grows with what, as `can, by users`.
        unit: of the cost.
    """

    name: str
    unit: str
    sizes: tuple[float, ...]
    costs: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """The power of the size with which the cost grows: 0 constant, 1 linear.

        The slope of a line through logarithms of both, by least squares.
        """
        return slope(
            [log(each) for each in self.sizes], [log(each) for each in self.costs]
        )

    @property
    def decades(self) -> float:
        """Over how many powers of ten it was measured."""
        return log10(self.sizes[-1] / self.sizes[0])

    @property
    def steps(self) -> tuple[float, ...]:
        """The exponent between each size and the next: where they differ, it bends."""
        pairs = list(zip(self.sizes, self.costs, strict=True))
        return tuple(
            log(after / before) / log(more / less)
            for (less, before), (more, after) in pairwise(pairs)
        )

    @property
    def flatness(self) -> float:
        """The largest cost over the smallest."""
        return max(self.costs) / min(self.costs)


def curves(results: Sequence[Result]) -> list[Curve]:
    """The curves of at least two sizes among results, in their order."""
    found: dict[tuple[str, str], dict[float, float]] = {}
    for result in results:
        for figure in result.figures:
            if figure.point is not None:
                name, size = figure.point
                found.setdefault((name, figure.unit), {})[size] = figure.median
    return [
        Curve(name, unit, *zip(*sorted(points.items()), strict=True))
        for (name, unit), points in found.items()
        if len(points) > 1 and min(points.values()) > 0
    ]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the line that fits best, by least squares."""
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return (
        sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    )
