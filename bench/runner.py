"""Measures each case in a process of its own, so that memory is its own as well."""

import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from bench.cases import Case, Scenario, Settings
from bench.figures import Result

_STATUS = Path("/proc/self/status")
_MAXRSS_PER_MIB = 1 << 20 if sys.platform == "darwin" else 1 << 10


def measure_apart(scenario: Scenario, case: Case, settings: Settings) -> Result:
    """Measure one case in a new process.

    Raises:
        AssertionError: an answer was wrong.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_measure, scenario, case, settings).result()


def peak_mib() -> float:
    """The most memory that this process has had resident so far, in MiB."""
    if _STATUS.exists():  # since Linux counts what our parent had in getrusage
        (line,) = (each for each in _STATUS.read_text().splitlines() if "VmHWM" in each)
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MAXRSS_PER_MIB


def _measure(scenario: Scenario, case: Case, settings: Settings) -> Result:
    figures = tuple(scenario.measure(case, settings))
    return Result(scenario.name, case.label, peak_mib(), figures)
