"""Fixtures of the command line's tests."""

import os

import pytest

from qeetid_authz_server.cli.main import run
from tests.cli.running import DEMO, PREFIX, Cli, Result


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests has their own settings; they don't count here."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command in this process; a stack trace fails the test."""

    def call(*args: object, dsn: str | None = None) -> Result:
        options = [] if dsn is None else ["--database-url", dsn]
        code = run([*options, *map(str, args)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "defect" not in err
        return Result(code, out, err)

    return call


@pytest.fixture
def demo_database(database: str, cli: Cli) -> str:
    """The DSN of a database with the demonstration's tenants."""
    assert cli("import", DEMO, dsn=database).code == 0
    return database
