"""Results on a terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.figures import Figure, Result


def table(result: Result) -> Table | str:
    """The figures of one case, or why there are none."""
    title = f"{result.scenario}: {result.case}"
    if result.absent is not None:
        return f"{title}: absent, {result.absent}"
    if result.failed is not None:
        return f"{title}: FAILED\n{result.failed}"
    if result.peak_mib is not None:
        title += f" (peak {result.peak_mib:,.0f} MiB)"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("figure", ratio=1)
    for heading in ("minimum", "median", "p90", "p99", "p99.9", "maximum"):
        shown.add_column(heading, justify="right")
    shown.add_column("unit", justify="right")
    shown.add_column("samples", justify="right")
    shown.add_column("target")
    for figure in result.figures:
        shown.add_row(
            figure.name,
            *map(number, statistics(figure)),
            figure.unit,
            f"{figure.samples:,}",
            target(figure),
        )
    return shown


def verdict(results: Sequence[Result]) -> str:
    """How many targets are met, which are not, and what is absent."""
    judged = [(result, figure) for result in results for figure in result.figures]
    missed = [
        f"{result.scenario} {result.case}: {figure.name} {number(figure.value)}"
        f" {figure.unit}, not {bound(figure)}"
        for result, figure in judged
        if figure.met is False
    ]
    count = sum(figure.met is not None for _, figure in judged)
    head = f"{count - len(missed)} of {count} targets met"
    lines = [f"  missed: {each}" for each in missed]
    lines += [
        f"  absent: {each.scenario} {each.case}: {each.absent}"
        for each in results
        if each.absent is not None
    ]
    lines += [
        f"  FAILED: {each.scenario} {each.case}" for each in results if each.failed
    ]
    return "\n".join([head if count else "no targets among these figures", *lines])


def all_met(results: Sequence[Result]) -> bool:
    """Whether no figure misses its target."""
    return not any(
        figure.met is False for result in results for figure in result.figures
    )


def statistics(figure: Figure) -> tuple[float | None, ...]:
    """Minimum, median, percentiles, maximum."""
    return (
        figure.minimum,
        figure.median,
        figure.p90,
        figure.p99,
        figure.p999,
        figure.maximum,
    )


def number(value: float | None) -> str:
    """A value to three digits or so; nothing for what isn't known."""
    if value is None:
        return ""
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def bound(figure: Figure) -> str:
    """A target in words: `p99 <= 30`."""
    sign = ">=" if figure.at_least else "<="
    statistic = "" if figure.by == "median" else f"{figure.by} "
    return f"{statistic}{sign} {figure.target:,g}"


def target(figure: Figure) -> str:
    """A target, and whether it is met."""
    if figure.met is None:
        return ""
    return f"{bound(figure)} {'met' if figure.met else 'MISSED'}"
