"""The command: `python -m bench`."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench import comparison, report
from bench.cases import Scale, Scenario, Settings
from bench.catalogues import read_catalogue
from bench.documents import describe, read_json, write_json
from bench.figures import Result
from bench.markdown import write_report
from bench.runner import conclude, measure_apart
from bench.scenarios import SCENARIOS, find

WIDTH = 130  # columns, where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments, by default the command's, ask for; the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    console = Console(
        width=None if sys.stdout.isatty() else WIDTH,
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    try:
        if given.list:
            return _list(console)
        if given.compare:
            return _compare(given, console)
        return _measure(given, console)
    except ValueError as error:
        parser.error(str(error))


def _list(console: Console) -> int:
    for scenario in SCENARIOS.values():
        tags = ", ".join(sorted(scenario.tags))
        quick = "" if scenario.in_quick else "; not in --quick"
        if scenario.only_by_name:
            quick = "; only by name"
        console.print(f"{scenario.name:12}  {scenario.about}  ({tags}{quick})")
    return 0


def _compare(given: Namespace, console: Console) -> int:
    former, latter = map(read_json, given.compare)
    if former.machine != latter.machine:
        console.print(f"different machines: {former.machine}; {latter.machine}")
    differences = comparison.compare(former, latter, given.bound)
    console.print(comparison.shown(differences))
    console.print(comparison.summary(differences))
    return 1 if comparison.is_regression(differences) else 0


def _measure(given: Namespace, console: Console) -> int:
    _check(given)
    settings = Settings(given.seed, given.scale, given.catalogue, given.minutes)
    scenarios = find(given.wanted)
    left_out = []
    if settings.is_quick and not given.wanted:
        left_out = [each.name for each in scenarios if not each.in_quick]
        scenarios = [each for each in scenarios if each.in_quick]
    results = list(_run(scenarios, settings, console))
    console.print(report.verdict(results))
    if left_out:
        console.print(f"left out, as --quick is no size for: {', '.join(left_out)}")
    run = describe(results, settings)
    if given.json:
        write_json(given.json, run)
    if given.report:
        write_report(given.report, run, left_out)
    is_missed = given.check and not report.all_met(results)
    return 1 if is_missed or any(each.failed for each in results) else 0


def _check(given: Namespace) -> None:
    """Find out what is wrong with the arguments before minutes of measuring."""
    if given.catalogue:
        read_catalogue(given.catalogue)
    for path in (given.json, given.report):
        if path and not path.resolve().parent.is_dir():
            raise ValueError(f"no directory for `{path}`; make it first")


def _run(
    scenarios: Iterable[Scenario], settings: Settings, console: Console
) -> Iterator[Result]:
    for scenario in scenarios:
        results = []
        for case in scenario.cases(settings):
            with console.status(f"measuring {scenario.name}: {case.label}"):
                results.append(measure_apart(scenario, case, settings))
            console.print(report.table(results[-1]), "")
        if together := conclude(scenario, results):
            console.print(report.table(together), "")
            results.append(together)
        yield from results


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m bench", description="Measure qeetid_authz.")
    parser.add_argument("wanted", nargs="*", metavar="NAME", help="a scenario or tag")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results there")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write a Markdown report and pictures there",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("BEFORE", "AFTER"),
        help="compare two files of --json; exit with 1 when something got worse",
    )
    parser.add_argument(
        "--bound",
        type=float,
        default=comparison.FLOOR,
        metavar="SHARE",
        help="in --compare, the least change that counts (%(default)s)",
    )
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when a target is missed"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the generated data")
    parser.add_argument(
        "--catalogue", type=Path, metavar="FILE", help="a real role catalogue to use"
    )
    parser.add_argument(
        "--minutes", type=float, default=60, help="that `soak` takes (%(default)s)"
    )
    scale = parser.add_mutually_exclusive_group()
    for name, about in (
        (Scale.QUICK, "small sizes and few repeats, in less than a minute"),
        (Scale.FULL, "the largest sizes too, for the targets"),
    ):
        scale.add_argument(
            f"--{name}", dest="scale", action="store_const", const=name, help=about
        )
    parser.set_defaults(scale=Scale.USUAL)
    return parser


if __name__ == "__main__":
    sys.exit(main())
