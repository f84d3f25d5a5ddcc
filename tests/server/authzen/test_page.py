"""The page on AuthZEN: its files are answered as it says, in the demonstration's tenant."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qeetid_authz_server.demo.stage import Stage, set_up
from qeetid_authz_server.loading import load_settings
from tests.server.authzen.asking import post, told
from tests.server.sidecars import request, sidecar

FILES = Path(__file__).parents[3] / "docs" / "integrations" / "authzen"


def load(name: str) -> Any:
    """What a file of the page holds."""
    return json.loads((FILES / name).read_bytes())


@pytest.fixture
def stage(database: str) -> Stage:
    """The demonstration's tenants."""
    return set_up(database)


@pytest.fixture
def base_url(stage: Stage) -> Iterator[str]:
    """A sidecar with the settings of the page."""
    told_by = load_settings(FILES / "settings.toml", database_url=stage.database_url)
    given = told_by.model_dump(exclude={"database_url"}, exclude_unset=True)
    assert len(given) == 3
    with sidecar(stage.database_url, **given) as base_url:
        yield base_url


def test_its_messages(stage: Stage, base_url: str) -> None:
    """Requests, answers and metadata are those shown."""
    evaluation = told(
        post(base_url, "evaluation", load("evaluation.json"), key=stage.api_key)
    )
    assert evaluation["decision"] is True
    paths = evaluation["context"]["paths"]
    assert ["role:Accountant"] == [each["granted_by"] for each in paths]

    for path, name in (("evaluations", "evaluations"), ("search/action", "search")):
        answer = told(post(base_url, path, load(f"{name}.json"), key=stage.api_key))
        assert load(f"{name}-answer.json") == answer

    metadata = request(base_url, "/.well-known/authzen-configuration")
    assert load("metadata.json") == json.loads(metadata.body)


def test_its_pep(stage: Stage, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks and finds, and denies where nobody answers."""
    monkeypatch.setenv("PDP", base_url)
    monkeypatch.setenv("PDP_CREDENTIAL", f"ApiKey {stage.api_key}")
    pep = runpy.run_path(str(FILES / "pep.py"))
    may, who_may, pdp = pep["may"], pep["who_may"], pep["pdp"]

    with pdp:
        assert may("mara@lumen.example", "write", "billing", "1")
        assert not may("ines@lumen.example", "write", "billing", "1")
        assert [
            "mara@lumen.example",
            "sam@outside.example",
            "tomas@lumen.example",
        ] == sorted(who_may("read", "billing", "1"))

        pdp.headers["Authorization"] = "ApiKey qk_x.y"
        assert not may("mara@lumen.example", "write", "billing", "1")
        pdp.base_url = "http://127.0.0.1:1"
        assert not may("mara@lumen.example", "write", "billing", "1")
