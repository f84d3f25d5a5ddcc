"""Servers that crash, come back at the same address, and keep what they wrote."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.migrate import migrate
from tests.fixtures.postgres import GIVEN_BINARIES

DATABASE = "town"
READER = "CREATE ROLE qeetid_authz_reader"
_PATIENCE = 20.0  # seconds


def given_binaries() -> Path | None:
    """Of the server that the environment asks for, as in the rest of the suite."""
    given = os.environ.get(GIVEN_BINARIES)
    return Path(given) if given else None


class Mortal(Cluster):
    """A durable server of the test's own that can be made to fail."""

    def __init__(self, **settings: str) -> None:
        super().__init__(binaries=given_binaries(), durable=True, settings=settings)
        self._programs = Path()

    def _serve(self, binaries: Path) -> None:
        self._programs = binaries
        super()._serve(binaries)

    @property
    def town(self) -> str:
        """The DSN of the town's database."""
        return self.dsn(DATABASE)

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def shut_down(self, how: signal.Signals) -> None:
        """End the postmaster: SIGINT is fast, SIGQUIT immediate, SIGKILL a crash."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(_PATIENCE)

    def come_back(self) -> float:
        """Start the server again on its data and its port; when it answered."""
        until = time.monotonic() + _PATIENCE
        while True:
            with (self.directory / "log").open("ab") as log:
                self._process = self._account.spawn(
                    self._programs / "postgres",
                    *(f"-D{self.directory / 'data'}", f"-p{self.port}"),
                    *(f"--{name}={value}" for name, value in self._settings.items()),
                    log=log,
                )
            if self._becomes_ready(self._process):
                return time.monotonic()
            # The children of one that was killed take a moment to notice.
            assert time.monotonic() < until, self._logged()
            time.sleep(0.05)

    def await_ready(self) -> float:
        """Wait until a server that reinitialises itself answers; when it did."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn(), connect_timeout=2).close()
                return time.monotonic()
            time.sleep(0.01)
        raise AssertionError(self._logged())

    def await_end(self) -> None:
        """Wait until the server has ended by itself."""
        assert self._process is not None
        self._process.wait(_PATIENCE)

    def limit_files(self, size: int) -> None:
        """Let no process of the server write beyond so many bytes of a file."""
        own = psutil.Process(self.pid)
        for each in (own, *own.children()):
            limited = self._account.run(
                Path("prlimit"), f"--pid={each.pid}", f"--fsize={size}:"
            )
            # A child may have ended by itself meanwhile.
            assert limited.returncode == 0 or not each.is_running(), limited.stderr

    def attempts(self) -> int:
        """How often somebody has tried to connect, where that is logged."""
        return self._logged().count("connection received")

    def run(self, program: str, *arguments: str) -> str:
        """What one of the server's programs prints."""
        done = self._account.run(self._programs / program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Restored(Mortal):
    """A new cluster with a dump in it, at the address of one that has ended."""

    def __init__(self, former: Mortal, dump: str) -> None:
        super().__init__()
        self._former = former
        self._dump = dump

    def _initdb(self, binaries: Path, password_file: Path) -> None:
        self._password = self._former._password
        password_file.write_text(self._password)
        super()._initdb(binaries, password_file)

    def _serve(self, binaries: Path) -> None:
        super()._serve(binaries)
        self.create_database(DATABASE)
        execute(self.dsn(), "CREATE ROLE qeetid_authz_owner", READER)
        script = self.directory / "dump.sql"
        script.write_text(self._dump)
        self.run(
            "psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={script}", self.town
        )
        migrate(self.town)
        execute(self.town, "VACUUM")
        self.shut_down(signal.SIGINT)
        self._port = self._former.port
        self.come_back()


def execute(dsn: str, *statements: str) -> None:
    """Execute statements, each in a transaction of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def value(dsn: str, query: str) -> Any:
    """The one value that a query finds."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
