"""The page on the client: its snippets run, and it names what the code has."""

import os
import re
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

from qeetid_authz.sidecar.options import ClientOptions
from qeetid_authz.sidecar.wire import PRINCIPAL
from qeetid_authz_server.demo.stage import set_up
from tests.server.sidecars import request, sidecar
from tests.sidecar.test_outages import SAYINGS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "integrations" / "client.md"


def run(name: str, **environment: str) -> str:
    """What a snippet prints, which must succeed."""
    snippet = PAGE.with_suffix("") / f"{name}.py"
    ran = subprocess.run(
        [sys.executable, "-W", "error", snippet],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_snippets_run(database: str) -> None:
    """In process and as a sidecar the same is printed; so do the others print."""
    stage = asdict(set_up(database))
    shown = stage["credentials"]
    key = shown["api_key"].removeprefix("ApiKey ")
    with sidecar(database, jwks=stage["jwks"]) as base_url:
        for known in (shown["api_key"], shown["user"]):
            assert 200 == request(base_url, PRINCIPAL, Authorization=known).status
        in_process = run("threads", DATABASE_URL=database)
        assert in_process == run("threads", SIDECAR=base_url, KEY=key)
        assert in_process.startswith("True\nunknown_permission\nrole:")
        assert "True\n" == run("alerting", SIDECAR=base_url, KEY=key)
        user = shown["user"]
        said = run("tasks", SIDECAR=base_url, KEY=key, CREDENTIAL=user)
        assert said.endswith(" may\n")


def test_its_tables_are_complete() -> None:
    """Every option with its default, and every cause that a test brings about."""
    rows = re.findall(r"^\| `(\w+)` \| (`[^`]*`|none)", PAGE.read_text(), re.MULTILINE)
    options = ClientOptions()
    assert {name: default.strip("`") for name, default in rows} == {
        each.name: _written(getattr(options, each.name)) for each in fields(options)
    }
    causes = re.findall(r"^\| `(\w+)` \| [a-z][^|]*\|$", PAGE.read_text(), re.MULTILINE)
    brought = {cause for _, cause in SAYINGS.values()}
    assert brought | {"unreachable", "busy"} == set(causes)


def _written(value: object) -> str:
    return "none" if value is None else str(value).removesuffix(".0")
