"""Measures each case in a process of its own, so that memory is its own as well."""

import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from traceback import format_exception
from typing import ParamSpec, TypeVar

import psutil

from bench.cases import Absent, Case, Scenario, Settings
from bench.figures import Result

TOGETHER = "all cases together"
MIB = 1 << 20
_STATUS = Path("/proc/self/status")
_MAXRSS_PER_MIB = 1 << 20 if sys.platform == "darwin" else 1 << 10
_P = ParamSpec("_P")
_T = TypeVar("_T")


def apart(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What a function of a module returns or raises in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()


def measure_apart(scenario: Scenario, case: Case, settings: Settings) -> Result:
    """Measure one case in a new process; what goes wrong there is in the result."""
    try:
        return apart(_measure, scenario, case, settings)
    except Exception as error:  # noqa: BLE001  (other cases may be of hours)
        told = "".join(format_exception(error, chain=False)).strip()
        cause = f"{error.__cause__}".strip() if error.__cause__ else told
        return Result(scenario=scenario.name, case=case.label, failed=cause)


def conclude(scenario: Scenario, results: Sequence[Result]) -> Result | None:
    """What the cases of a scenario come to together, if that is anything."""
    there = [each for each in results if not each.absent and not each.failed]
    if scenario.conclude is None or not there:
        return None
    figures = tuple(scenario.conclude(there))
    if not figures:
        return None
    return Result(scenario=scenario.name, case=TOGETHER, figures=figures)


def peak_mib() -> float:
    """The most memory that this process has had resident so far, in MiB."""
    if _STATUS.exists():  # since Linux counts what our parent had in getrusage
        (line,) = (each for each in _STATUS.read_text().splitlines() if "VmHWM" in each)
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MAXRSS_PER_MIB


def resident_mib() -> float:
    """The memory that this process has resident now, in MiB."""
    resident: int = psutil.Process().memory_info().rss
    return resident / MIB


def _measure(scenario: Scenario, case: Case, settings: Settings) -> Result:
    try:
        figures = tuple(scenario.measure(case, settings))
    except Absent as absent:
        return Result(scenario=scenario.name, case=case.label, absent=str(absent))
    return Result(
        scenario=scenario.name,
        case=case.label,
        peak_mib=peak_mib(),
        figures=figures,
    )
