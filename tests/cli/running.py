"""Running the command, in this process or in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from qeetid_authz_server import demo

COMMAND = (sys.executable, "-m", "qeetid_authz_server")
DEMO = Path(str(demo.__file__)).with_name("demo.yaml")
PREFIX = "QEETID_AUTHZ_"
PATIENCE = 60.0  # seconds until a process that doesn't end counts as hanging


class Result(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as one JSON value."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error that a command run with `--json` reports."""
        error: dict[str, Any] = json.loads(self.err)["error"]
        return error


class Cli(Protocol):
    """The fixture `cli`: runs the command in this process."""

    def __call__(self, *args: object, dsn: str | None = None) -> Result: ...


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings, and with some more."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    return plain | more


def run_process(*args: object, **env: str) -> Result:
    """Run the command in a process of its own to its end."""
    done = subprocess.run(
        [*COMMAND, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(**env),
    )
    return Result(done.returncode, done.stdout, done.stderr)


@contextmanager
def running(*args: object, **env: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, killed at the end if it still runs."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def write(path: Path, text: str) -> Path:
    """A file of this text."""
    path.write_text(text, "utf-8")
    return path
