"""What a measurement comes to: minimum, median, 99th percentile, maximum."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity.

    Attributes:
        name: what was measured.
        unit: of all values, such as `ns`; `x` for a ratio.
        samples: how many measurements there were.
        target: the median that must not be exceeded, if there is one.
    """

    name: str
    unit: str
    samples: int
    minimum: float
    median: float
    p99: float
    maximum: float
    target: float | None = None

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        samples: Sequence[float],
        target: float | None = None,
    ) -> "Figure":
        """Summarise samples, of which there must be at least one."""
        ordered = sorted(samples)
        p99 = ordered[ceil(0.99 * len(ordered)) - 1]
        least, most = ordered[0], ordered[-1]
        return cls(name, unit, len(ordered), least, median(ordered), p99, most, target)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps to the target; None without a target."""
        return None if self.target is None else self.median <= self.target

    def fields(self) -> dict[str, Any]:
        """The figure as JSON has it."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one case, measured in a process of its own.

    Attributes:
        peak_mib: the most memory that the process had resident, in MiB.
    """

    scenario: str
    case: str
    peak_mib: float
    figures: tuple[Figure, ...]

    def fields(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "scenario": self.scenario,
            "case": self.case,
            "peak_mib": round(self.peak_mib, 1),
            "figures": [figure.fields() for figure in self.figures],
        }
