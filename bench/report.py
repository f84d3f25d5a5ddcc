"""Results as a table and as JSON."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.cases import Settings
from bench.figures import Figure, Result


def table(result: Result) -> Table:
    """The figures of one case."""
    title = f"{result.scenario}: {result.case} (peak {result.peak_mib:,.0f} MiB)"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("figure")
    for heading in ("minimum", "median", "p99", "maximum", "unit", "samples"):
        shown.add_column(heading, justify="right")
    shown.add_column("target")
    for figure in result.figures:
        values = (figure.minimum, figure.median, figure.p99, figure.maximum)
        shown.add_row(
            figure.name,
            *map(_number, values),
            figure.unit,
            str(figure.samples),
            _target(figure),
        )
    return shown


def verdict(results: Sequence[Result]) -> str:
    """How many targets are met, and which are not."""
    judged = [
        (result, figure)
        for result in results
        for figure in result.figures
        if figure.met is not None
    ]
    missed = [
        f"{result.scenario} {result.case}: {figure.name}"
        f" {_number(figure.median)} > {figure.target}"
        for result, figure in judged
        if not figure.met
    ]
    if not judged:
        return "no targets among these figures"
    head = f"{len(judged) - len(missed)} of {len(judged)} targets met"
    return "\n  missed: ".join([head, *missed])


def all_met(results: Sequence[Result]) -> bool:
    """Whether no figure misses its target."""
    return not any(
        figure.met is False for result in results for figure in result.figures
    )


def write_json(path: Path, results: Sequence[Result], settings: Settings) -> None:
    """Write results with what they were measured on."""
    document = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "seed": settings.seed,
        "scale": settings.scale,
        "catalogue": "generated" if settings.catalogue is None else "file",
        "targets_met": all_met(results),
        "results": [result.fields() for result in results],
    }
    encoded = msgspec.json.format(msgspec.json.encode(document), indent=2)
    path.write_bytes(encoded + b"\n")


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _target(figure: Figure) -> str:
    if figure.met is None:
        return ""
    return f"<= {figure.target} {'met' if figure.met else 'MISSED'}"
