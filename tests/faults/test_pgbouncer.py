"""Row 18: through PgBouncer in transaction mode, which is killed and started again."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qeetid_authz.postgres.embedded import _free_port
from qeetid_authz.postgres.programs import Account
from tests.faults.checking import History
from tests.faults.conftest import POOL, Recorder, authors, watched
from tests.faults.servers import Mortal

BOUND = 0.5  # seconds
_PATIENCE = 10.0  # seconds


class PgBouncer:
    """A pool of two connections to a server, lent for a transaction at a time."""

    def __init__(self, server: Mortal, directory: Path) -> None:
        assert POOL is not None
        self._program, self._account, self._directory = (
            POOL,
            Account.choose(),
            directory,
        )
        self.port = _free_port()
        where = urlsplit(server.town)
        self._write("users", f'"{where.username}" "{where.password}"\n')
        self._write(
            "ini",
            "[databases]\n"
            f"town = host=127.0.0.1 port={server.port} dbname=town\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {directory / 'users'}\n"
            "pool_mode = transaction\ndefault_pool_size = 2\n",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def _write(self, name: str, text: str) -> None:
        (self._directory / name).write_text(text)
        self._account.own(self._directory / name)

    def dsn(self, behind: str) -> str:
        """The same database by way of the pool."""
        return make_conninfo(behind, host="127.0.0.1", port=self.port)

    def start(self, dsn: str) -> None:
        """Start, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = self._account.spawn(
                self._program, self._directory / "ini", log=log
            )
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self.dsn(dsn), connect_timeout=2).close()
            except psycopg.OperationalError:
                log_text = (self._directory / "log").read_text()
                assert time.monotonic() < until, log_text
                assert self._process.poll() is None, log_text
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(_PATIENCE)
            self._process = None


@pytest.fixture
def pool(server: Mortal) -> Iterator[PgBouncer]:
    """A pool in front of the server."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        made = PgBouncer(server, Path(directory))
        made.start(server.town)
        yield made
        made.kill()


def test_a_pool_that_is_killed(
    server: Mortal, pool: PgBouncer, history: History, recorded: Recorder
) -> None:
    """Four replicas share two connections; what happens to the pool loses nothing."""
    dsn = pool.dsn(server.town)
    with (
        authors(history, server.town) as writing,
        watched(dsn, history, max_staleness=BOUND) as subject,
        watched(dsn, history, max_staleness=BOUND),
        watched(dsn, history, max_staleness=BOUND),
        watched(dsn, history, max_staleness=BOUND) as last,
    ):
        for author in writing:
            author.start()
        history.wait_for_writes(20)
        pool.kill()
        left = time.monotonic()
        time.sleep(1.0)
        history.away.append((left, time.monotonic()))
        pool.start(server.town)
        back = time.monotonic()
        for author in writing:
            author.stop()
        seconds = subject.wait_for_write(writing[0], back)
        subject.assert_right(server.town)
        last.assert_right(server.town)
        recorded(18, "PgBouncer away for 1 s", seconds, subject)

    assert {"start": 1} == subject.authz.replica.resyncs == last.authz.replica.resyncs
    assert subject.answers[1] > 0
