"""The README's examples run, and its tables say what the code says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import TypeAdapter

import qeetid_authz
from qeetid_authz.decision.reasons import Reason
from qeetid_authz_server.cli.main import _MODULES
from qeetid_authz_server.demo.stage import set_up
from qeetid_authz_server.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language == "python"]
QUESTIONS = [
    line
    for language, text in BLOCKS
    if language == "sh"
    for line in text.splitlines()
    if re.match(r"qeetid-authz (explain|who-can|permissions)", line)
]


@pytest.fixture
def environment(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """An environment and a directory of the demonstration's."""
    stage = asdict(set_up(database))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.json").write_text(json.dumps(stage))
    yield os.environ | {f"{PREFIX}DATABASE_URL": database}
    qeetid_authz.configure(None)


def run(command: list[str], environment: dict[str, str]) -> str:
    """What a command prints, which must succeed."""
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("at", range(len(EXAMPLES)))
def test_python_examples_run(at: int, environment: dict[str, str]) -> None:
    """Each Python example runs as it stands."""
    run([sys.executable, "-W", "error", "-c", EXAMPLES[at]], environment)


def test_there_are_examples() -> None:
    """The two tests around this one have something to run."""
    assert len(EXAMPLES) == 4
    assert len(QUESTIONS) == 3


@pytest.mark.parametrize("line", QUESTIONS)
def test_commands_run(line: str, environment: dict[str, str]) -> None:
    """Each question of the command line is answered as it stands."""
    _, *arguments = line.split()
    printed = run(
        [sys.executable, "-m", "qeetid_authz_server", *arguments], environment
    )

    assert "billing:write" in printed or "mara@lumen.example" in printed


def test_every_setting_is_in_the_table() -> None:
    """The configuration table has each setting with its default, and no other."""
    row = rf"\| `{PREFIX}(\w+)` \| (?:`--[\w-]+`|none) \| (\S+) \|"
    rows = dict(re.findall(row, README))
    fields = Settings.model_fields

    assert [name.upper() for name in fields] == list(rows)
    for name, field in fields.items():
        told = rows[name.upper()].strip("`")
        if field.is_required():
            assert told == "required"
        elif field.default is None:
            assert told == "none"
        else:
            default = TypeAdapter(type(field.default)).validate_python(told)
            assert field.default == default


def test_every_command_and_reason_is_named() -> None:
    """No command and no reason goes unmentioned."""
    for name in (*_MODULES, *Reason):
        assert f"`{name}`" in README or name == "granted", name


def test_links_lead_somewhere() -> None:
    """Every relative link of the documentation leads to a file."""
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), (page.name, link)
