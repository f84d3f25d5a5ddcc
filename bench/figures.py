"""What a measurement comes to: percentiles, a target, and a place on a curve."""

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import NamedTuple

import msgspec

HIGHER_IS_BETTER = "/s"


class Point(NamedTuple):
    """Where on a curve a figure is: its median is the height.

    Attributes:
        curve: what grows with what, as `can, by users`.
        size: how much of it there is.
    """

    curve: str
    size: float


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity.

    Attributes:
        name: what was measured.
        unit: of all values, such as `ns`; `x` for a ratio, `/s` for a rate.
        samples: how many measurements there were.
        spread: the distance of the quartiles.
        p90, p99, p999: percentiles; None where there are too few samples for one to be
            other than the maximum.
        target: what the figure must keep to, if there is a target.
        at_least: whether the target is a floor instead of a ceiling.
        by: the statistic that is held to the target, and compared between runs.
        point: its place on a curve of growth, if it is on one.
        headline: its label in the pictures, if they show it.
    """

    name: str
    unit: str
    samples: int
    minimum: float
    median: float
    spread: float
    p90: float | None
    p99: float | None
    p999: float | None
    maximum: float
    target: float | None = None
    at_least: bool = False
    by: str = "median"
    point: Point | None = None
    headline: str | None = None

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        samples: Sequence[float],
        target: float | None = None,
        *,
        at_least: float | None = None,
        by: str = "median",
        point: Point | None = None,
        headline: str | None = None,
    ) -> "Figure":
        """Summarise samples.

        Args:
            name: what was measured.
            unit: of the samples.
            samples: at least one.
            target: what must not be exceeded.
            at_least: what must be reached, instead of `target`.
            by: the statistic that must keep to it: `median`, `p99` or `maximum`.
            point: its place on a curve.
            headline: its label in the pictures.

        Raises:
            ValueError: there are no samples, or too few for the statistic.
        """
        if not samples:
            raise ValueError(f"figure `{name}` has no samples; measure at least once")
        ordered = sorted(samples)
        figure = cls(
            name=name,
            unit=unit,
            samples=len(ordered),
            minimum=ordered[0],
            median=median(ordered),
            spread=_rank(ordered, 0.75) - _rank(ordered, 0.25),
            p90=_percentile(ordered, 0.9),
            p99=_percentile(ordered, 0.99),
            p999=_percentile(ordered, 0.999),
            maximum=ordered[-1],
            target=target if at_least is None else at_least,
            at_least=at_least is not None,
            by=by,
            point=point,
            headline=headline,
        )
        if getattr(figure, by) is None:
            raise ValueError(
                f"figure `{name}` has `{len(ordered)}` samples, too few for its `{by}`"
            )
        return figure

    @property
    def value(self) -> float:
        """The statistic that counts."""
        statistic: float = getattr(self, self.by)
        return statistic

    @property
    def met(self) -> bool | None:
        """Whether it keeps to the target; None without a target."""
        if self.target is None:
            return None
        if self.at_least:
            return self.value >= self.target
        return self.value <= self.target

    @property
    def grows_better(self) -> bool:
        """Whether more of it is better, as of a rate."""
        return self.at_least or self.unit.endswith(HIGHER_IS_BETTER)

    @property
    def noise(self) -> float:
        """The share of its value by which it may differ without a cause.

        The distance of the quartiles; for what is no median, that to the median too.
        """
        if not self.value:
            return 0.0
        apart = max(self.spread, abs(self.value - self.median))
        return apart / abs(self.value)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one case, measured in a process of its own.

    Attributes:
        peak_mib: the most memory that the process had resident, in MiB; None where
            the figures come of several processes.
        absent: why nothing was measured, and what to do about it.
        failed: what went wrong, such as an answer.
    """

    scenario: str
    case: str
    peak_mib: float | None = None
    figures: tuple[Figure, ...] = ()
    absent: str | None = None
    failed: str | None = None

    def find(self, name: str) -> Figure | None:
        """The figure of a name."""
        return next((each for each in self.figures if each.name == name), None)


def _percentile(ordered: Sequence[float], quantile: float) -> float | None:
    is_known = len(ordered) * (1 - quantile) > 1 - 1e-9
    return _rank(ordered, quantile) if is_known else None


def _rank(ordered: Sequence[float], quantile: float) -> float:
    return ordered[ceil(quantile * len(ordered)) - 1]
