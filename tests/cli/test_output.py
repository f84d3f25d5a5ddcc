"""What people see: colour where there is any, and help to get going."""

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.running import COMMAND, DEMO, PATIENCE, Cli, environment

QUESTION = ("mara@lumen.example", "lumen-press", "billing:write")
ROOT = Path(__file__).parents[2]


def on_terminal(*args: str, **env: str) -> str:
    """What a command writes to a terminal."""
    terminal, stdout = pty.openpty()
    try:
        subprocess.run(
            [*COMMAND, *args],
            stdout=stdout,
            stderr=stdout,
            timeout=PATIENCE,
            check=True,
            env=environment(TERM="xterm", COLUMNS="20", **env),
        )
        return os.read(terminal, 1_000_000).decode().replace("\r\n", "\n")
    finally:
        os.close(terminal)
        os.close(stdout)


def test_a_terminal_gets_colour_and_whole_lines() -> None:
    """The verdict is green, and no narrow window breaks a line."""
    written = on_terminal("check", *QUESTION, "--facts", str(DEMO))

    assert written == (
        "\x1b[1;32mallowed\x1b[0m  mara@lumen.example may billing:write in lumen-press\n"
    )


def test_no_color_is_respected() -> None:
    """Whoever sets NO_COLOR sees none."""
    written = on_terminal("explain", *QUESTION, "--facts", str(DEMO), NO_COLOR="1")

    assert not re.search(r"\x1b\[[\d;]*3\d", written)
    assert "└── role Accountant" in re.sub(r"\x1b\[[\d;]*m", "", written)


def test_text_that_stdout_can_not_encode_is_escaped() -> None:
    """An old locale costs letters, never the answer."""
    done = subprocess.run(
        [*COMMAND, "explain", *QUESTION, "--facts", DEMO],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        env=environment(PYTHONIOENCODING="ascii"),
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"role Accountant" in done.stdout


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(cli: Cli, option: str) -> None:
    """The help of each has its usage, and the options that go with all."""
    listed = cli(option).out.partition("Commands:\n")[2].splitlines()
    for command in (line.split()[0] for line in listed):
        answer = cli(command, option)

        assert answer.code == 0
        assert answer.out.startswith(f"Usage: qeetid-authz {command} ")
        assert "--database-url" in answer.out


def test_make_names_what_is_missing(tmp_path: Path) -> None:
    """A machine without a new enough Python is told so, and nothing is made."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "sh", "touch"):
        (programs / name).symlink_to(str(shutil.which(name)))
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    done = subprocess.run(
        ["make", "demo"],
        cwd=tmp_path,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "error: `python3` isn't Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()
