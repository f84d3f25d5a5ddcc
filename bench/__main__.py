"""The command: `python -m bench`."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench import report
from bench.cases import Scale, Scenario, Settings
from bench.catalogues import read_catalogue
from bench.figures import Result
from bench.runner import measure_apart
from bench.scenarios import SCENARIOS, find

WIDTH = 110  # columns, where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments, by default the command's, ask for; the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    if given.list:
        for scenario in SCENARIOS.values():
            tags = ", ".join(sorted(scenario.tags))
            console.print(f"{scenario.name:8}  {scenario.about}  ({tags})")
        return 0
    try:
        scenarios = _check(given)
    except ValueError as error:
        parser.error(str(error))
    settings = Settings(given.seed, given.scale, given.catalogue)
    results = list(_run(scenarios, settings, console))
    console.print(report.verdict(results))
    if given.json:
        report.write_json(given.json, results, settings)
    return 1 if given.check and not report.all_met(results) else 0


def _check(given: Namespace) -> list[Scenario]:
    """Find out what is wrong with the arguments before minutes of measuring."""
    if given.catalogue:
        read_catalogue(given.catalogue)
    if given.json and not given.json.resolve().parent.is_dir():
        raise ValueError(f"no directory for `{given.json}`; make it first")
    return find(given.wanted)


def _run(
    scenarios: Iterable[Scenario], settings: Settings, console: Console
) -> Iterator[Result]:
    for scenario in scenarios:
        for case in scenario.cases(settings):
            with console.status(f"measuring {scenario.name}: {case.label}"):
                result = measure_apart(scenario, case, settings)
            console.print(report.table(result), "")
            yield result


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m bench", description="Measure qeetid_authz.")
    parser.add_argument("wanted", nargs="*", metavar="NAME", help="a scenario or tag")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results there")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when a target is missed"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the generated data")
    parser.add_argument(
        "--catalogue", type=Path, metavar="FILE", help="a real role catalogue to use"
    )
    scale = parser.add_mutually_exclusive_group()
    for name, about in (
        (Scale.QUICK, "small sizes and few repeats, for a look"),
        (Scale.FULL, "load with 1,000,000 users"),
    ):
        scale.add_argument(
            f"--{name}", dest="scale", action="store_const", const=name, help=about
        )
    parser.set_defaults(scale=Scale.USUAL)
    return parser


if __name__ == "__main__":
    sys.exit(main())
