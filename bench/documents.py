"""The results of a run as a JSON document, written and read."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.cases import Scale, Settings
from bench.figures import Result

_CPUINFO = Path("/proc/cpuinfo")


class Machine(msgspec.Struct, frozen=True):
    """What it was measured on."""

    python: str
    system: str
    processor: str
    processors: int

    def __str__(self) -> str:
        return (
            f"{self.processors} x {self.processor}, {self.system}, Python {self.python}"
        )


class Run(msgspec.Struct, frozen=True):
    """Everything that one call of the benchmark measured."""

    machine: Machine
    seed: int
    scale: Scale
    catalogue: str
    results: tuple[Result, ...]


def describe(results: Sequence[Result], settings: Settings) -> Run:
    """A run of this machine, now."""
    machine = Machine(
        platform.python_version(),
        f"{platform.system()} {platform.machine()}",
        _processor(),
        os.cpu_count() or 1,
    )
    catalogue = "generated" if settings.catalogue is None else "file"
    return Run(machine, settings.seed, settings.scale, catalogue, tuple(results))


def write_json(path: Path, run: Run) -> None:
    """Write a run."""
    encoded = msgspec.json.format(msgspec.json.encode(run), indent=2)
    path.write_bytes(encoded + b"\n")


def read_json(path: Path) -> Run:
    """Read a run that `write_json` wrote.

    Raises:
        ValueError: the file can't be read or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(
            f"`{path}` holds no results ({error}); `python -m bench --json FILE`"
            " writes them"
        ) from error


def _processor() -> str:
    """Its name, where the system tells."""
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
