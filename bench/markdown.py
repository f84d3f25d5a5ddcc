"""A report of a run in Markdown, with its pictures, in a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.documents import Run
from bench.figures import Figure, Result
from bench.growth import Curve, curves
from bench.pictures import draw
from bench.report import bound, number, statistics, verdict

_HEADINGS = ("min", "median", "p90", "p99", "p99.9", "max")


def write_report(folder: Path, run: Run, left_out: Sequence[str]) -> None:
    """Write `report.md` and its pictures, in place of former ones.

    Args:
        folder: where to; made if need be.
        run: what was measured.
        left_out: scenarios that the run's scale is too small for.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = list(draw(run.results, folder))
    lines = [*_head(run, left_out), *_targets(run.results)]
    lines += [f"\n![{name.removesuffix('.svg')}]({name})" for name in pictures]
    lines += _growth(curves(run.results))
    for result in run.results:
        lines += _section(result)
    (folder / "report.md").write_text("\n".join(lines) + "\n")


def _head(run: Run, left_out: Sequence[str]) -> Iterator[str]:
    yield "# Benchmark report"
    yield f"\n{run.machine}. Scale `{run.scale}`, seed {run.seed}, {run.catalogue}"
    yield "role catalogue. How each figure is measured, and what not to conclude from"
    yield "it, is in `bench/README.md`."
    if left_out:
        yield f"\nLeft out at this scale: {', '.join(left_out)}."
    yield f"\n{verdict(run.results).splitlines()[0].capitalize()}."


def _targets(results: Sequence[Result]) -> Iterator[str]:
    judged = [
        (result, figure)
        for result in results
        for figure in result.figures
        if figure.met is not None
    ]
    if judged:
        yield "\n## Targets\n"
        yield "| scenario | figure | measured | target | |"
        yield "|---|---|---|---|---|"
    for result, figure in judged:
        yield (
            f"| {result.scenario}: {result.case} | {figure.name}"
            f" | {number(figure.value)} {_unit(figure)} | {bound(figure)}"
            f" | {'met' if figure.met else '**missed**'} |"
        )


def _growth(grown: Sequence[Curve]) -> Iterator[str]:
    if not grown:
        return
    yield "\n## Growth\n"
    yield "The power of the size with which the median cost grows: 0 is constant, 1 is"
    yield "linear. Steps are the powers between neighbouring sizes; where they differ,"
    yield "the curve bends.\n"
    yield "| cost | sizes | decades | power | steps | cost at each size |"
    yield "|---|---|---|---|---|---|"
    for curve in grown:
        sizes = f"{curve.sizes[0]:,.0f} to {curve.sizes[-1]:,.0f}"
        steps = ", ".join(f"{each:.2f}" for each in curve.steps)
        costs = ", ".join(map(number, curve.costs))
        yield (
            f"| {curve.name} | {sizes} | {curve.decades:.1f} | {curve.exponent:.2f}"
            f" | {steps} | {costs} {curve.unit} |"
        )


def _section(result: Result) -> Iterator[str]:
    yield f"\n## {result.scenario}: {result.case}\n"
    if result.absent or result.failed:
        yield f"Absent: {result.absent}" if result.absent else "**Failed.**"
        return
    if result.peak_mib is not None:
        yield f"Peak memory of the process: {result.peak_mib:,.0f} MiB.\n"
    yield f"| figure | {' | '.join(_HEADINGS)} | unit | samples | target |"
    yield f"|---|{'---:|' * len(_HEADINGS)}---|---:|---|"
    for figure in result.figures:
        values = " | ".join(map(number, statistics(figure)))
        target = "" if figure.target is None else bound(figure)
        yield (
            f"| {figure.name} | {values} | {_unit(figure)} | {figure.samples:,}"
            f" | {target} |"
        )


def _unit(figure: Figure) -> str:
    return figure.unit.replace("us", "µs")
