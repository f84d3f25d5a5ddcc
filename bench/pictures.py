"""Pictures of results, as SVG that reads on light and on dark ground.

Ground is transparent, text and lines are of middling brightness. Equal results give
equal files.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.figures import Figure, Result
from bench.growth import Curve, curves

NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
INK = "#7d8590"
COLOURS = ("#3b82c4", "#d9822b", "#3a9d5d", "#a76bcf", "#d2556b", "#2aa6a6", "#9a8a2f")
MARKS = "osD^vPX"
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.12,
}


def draw(results: Sequence[Result], folder: Path) -> Iterator[str]:
    """Draw what there is to draw; the names of the files written, in order.

    Raises:
        ImportError: matplotlib isn't installed.
    """
    pyplot = _pyplot()
    shown = [each for result in results for each in result.figures if each.headline]
    latencies = [each for each in shown if each.unit in NANOSECONDS]
    rates = [each for each in shown if each.unit == "/s"]
    sizes = [each for each in shown if each.unit == "MiB"]
    for name, figures, label in (
        ("latency", latencies, "nanoseconds: median, and 99th percentile if known"),
        ("throughput", rates, "per second, median"),
        ("memory", sizes, "MiB resident"),
    ):
        if figures:
            with pyplot.rc_context(_STYLE):
                picture = _bars(pyplot, figures, label)
                yield _save(pyplot, picture, folder / f"{name}.svg")
    if grown := curves(results):
        with pyplot.rc_context(_STYLE):
            picture = _growth(pyplot, grown)
            yield _save(pyplot, picture, folder / "growth.svg")


def _bars(pyplot: Any, figures: Sequence[Figure], label: str) -> Any:
    """A row for each: a bar to the median, a line on to p99, a tick at the target."""
    picture, axes = pyplot.subplots(figsize=(8, 0.8 + 0.34 * len(figures)))
    medians = [_scaled(each, each.median) for each in figures]
    axes.barh(range(len(figures)), medians, height=0.55, color=COLOURS[0])
    for row, each in enumerate(figures):
        middle, most = medians[row], medians[row]
        if each.p99 is not None:
            most = max(most, _scaled(each, each.p99))
            axes.plot([middle, most], [row, row], color=COLOURS[0], linewidth=1.2)
        if each.target is not None:
            limit = _scaled(each, each.target)
            most = max(most, limit)
            height = [row - 0.4, row + 0.4]
            axes.plot([limit, limit], height, color=COLOURS[1], linewidth=2)
        axes.annotate(
            _amount(each),
            (most, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(figures)), [each.headline for each in figures])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(medians) / 3, None)
    axes.margins(x=0.25)
    has_target = any(each.target is not None for each in figures)
    axes.set_xlabel(label + ("; orange: target" if has_target else ""))
    axes.tick_params(axis="y", length=0)
    return picture


def _growth(pyplot: Any, grown: Sequence[Curve]) -> Any:
    """A panel for each thing that grows, a line for each cost, both axes in powers."""
    panels: dict[tuple[str, bool], list[Curve]] = {}
    for curve in grown:
        _, _, axis = curve.name.rpartition(", by ")
        panels.setdefault((axis, curve.unit in NANOSECONDS), []).append(curve)
    rows = [list(panels.items())[at : at + 2] for at in range(0, len(panels), 2)]
    heights = [2.4 + 0.2 * max(len(lines) for _, lines in row) for row in rows]
    picture, grid = pyplot.subplots(
        len(rows),
        2,
        figsize=(10, sum(heights)),
        height_ratios=heights,
        squeeze=False,
    )
    for spots, row in zip(grid, rows, strict=True):
        for axes, ((axis, is_time), lines) in zip(spots, row, strict=False):
            _panel(axes, axis, lines, is_time=is_time)
        for axes in spots[len(row) :]:
            axes.set_axis_off()
    return picture


def _panel(axes: Any, axis: str, lines: Sequence[Curve], *, is_time: bool) -> None:
    for at, curve in enumerate(lines):
        scale = NANOSECONDS.get(curve.unit, 1.0)
        what, _, _ = curve.name.rpartition(", by ")
        axes.plot(
            curve.sizes,
            [cost * scale for cost in curve.costs],
            label=f"{what}: power {curve.exponent:.2f}",
            color=COLOURS[at % len(COLOURS)],
            marker=MARKS[at % len(MARKS)],
            markersize=4,
            linewidth=1.4,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(axis)
    axes.set_ylabel("nanoseconds" if is_time else lines[0].unit)
    low, high = axes.get_ylim()
    if high < 100 * low:  # where noise would look like growth
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10, middle * 10)
    axes.legend(
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        borderaxespad=4.8,
        borderpad=0,
    )


def _scaled(figure: Figure, value: float) -> float:
    return value * NANOSECONDS.get(figure.unit, 1.0)


def _amount(figure: Figure) -> str:
    value = figure.median
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {figure.unit.replace('us', 'µs')}"


def _save(pyplot: Any, picture: Any, path: Path) -> str:
    picture.savefig(path, metadata={"Date": None})
    pyplot.close(picture)
    return path.name


def _pyplot() -> Any:
    try:
        import matplotlib as mpl  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ImportError(
            "pictures need matplotlib; `pip install 'qeetid-authz[bench]'`"
        ) from error
    mpl.use("svg")
    from matplotlib import pyplot  # noqa: ICN001, PLC0415

    return pyplot
