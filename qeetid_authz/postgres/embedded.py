"""A private Postgres server for the demonstration and for tests.

    with Cluster() as cluster:
        cluster.create_database("shop")
        psycopg.connect(cluster.dsn("shop"))

The server is our child and listens on 127.0.0.1 only. Its data live in a temporary
directory and are gone with it.
"""

import atexit
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import LiteralString, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from qeetid_authz.errors import NotOpenError, UnreachableError
from qeetid_authz.postgres.programs import Account, copy_installation, find_binaries

__all__ = ["Cluster", "Server", "find_binaries"]

SUPERUSER = "qeetid"
START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 10.0  # seconds, for each signal that asks
PORT_ATTEMPTS = 5
LOG_TAIL = 10  # lines

_ALWAYS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Server(ABC):
    """A Postgres server on which we may make databases."""

    @abstractmethod
    def dsn(self, database: str = "postgres") -> str:
        """The connection string of a superuser in a database."""

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, as a copy of `template` if one is named."""
        if template is None:
            self._execute("CREATE DATABASE {}", name)
        else:
            self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and whoever is connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, statement: LiteralString, *names: str) -> None:
        composed = sql.SQL(statement).format(*map(sql.Identifier, names))
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(composed)


class Cluster(Server):
    """A server that runs from `start` to `stop`, at the latest to our own end.

    Args:
        binaries: the directory of `initdb` and `postgres`; found when absent.
        durable: write to disk before a commit returns, so that data outlive a crash
            of the machine.
        settings: further settings of the server, as in `postgresql.conf`.
    """

    def __init__(
        self,
        *,
        binaries: Path | None = None,
        durable: bool = False,
        settings: Mapping[str, str] = {},
    ) -> None:
        self._binaries = binaries
        self._durable = durable
        self._settings = _ALWAYS | ({} if durable else _FORGETFUL) | dict(settings)
        self._account = Account()
        self._password = ""
        self._directory: Path | None = None
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> Path:
        """What the server has on disk: `data`, `log`, perhaps a copy of its programs.

        Raises:
            NotOpenError: the server isn't running.
        """
        if self._directory is None:
            raise NotOpenError("the server isn't running; call `start` first")
        return self._directory

    @property
    def port(self) -> int:
        """Where the server listens on 127.0.0.1.

        Raises:
            NotOpenError: the server isn't running.
        """
        if self._port is None:
            raise NotOpenError("the server isn't running; call `start` first")
        return self._port

    def dsn(self, database: str = "postgres") -> str:
        """A URL by which any user of this machine connects as superuser.

        Raises:
            NotOpenError: the server isn't running.
        """
        who = f"{SUPERUSER}:{self._password}"
        return f"postgresql://{who}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Make a cluster and wait until it answers; nothing if it runs already.

        Raises:
            UnreachableError: there is no server to run, or it doesn't come up.
        """
        if self._process is not None:
            return
        atexit.register(self.stop)
        try:
            self._start()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise UnreachableError(
                    f"can't run a Postgres server: {error}; give the DSN of one"
                ) from error
            raise

    def stop(self) -> None:
        """End the server and remove its directory; nothing if that is done."""
        if self._process is not None:
            _end(self._process)
        if self._directory is not None:
            _remove(self._directory)
        self._process = self._directory = self._port = None
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        binaries = self._binaries or find_binaries()
        self._account = Account.choose()
        self._directory = self._account.make_directory()
        if self._account.uid is not None and not self._account.reaches(binaries):
            binaries = copy_installation(binaries, self.directory / "programs")
            self._account.own(self.directory / "programs")
        self._initialize(binaries)
        self._serve(binaries)

    def _initialize(self, binaries: Path) -> None:
        self._password = secrets.token_hex(16)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        self._account.own(password_file)
        data = self.directory / "data"
        data.mkdir(mode=0o700)
        self._account.own(data)
        self._initdb(binaries, password_file)
        password_file.unlink()

    def _initdb(self, binaries: Path, password_file: Path) -> None:
        command: list[Path | str] = [
            binaries / "initdb",
            f"--pgdata={self.directory / 'data'}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *([] if self._durable else ["--no-sync"]),
        ]
        done = self._account.run(*command, "--locale=C.UTF-8")
        if done.returncode != 0:  # not every system has that locale
            done = self._account.run(*command, "--no-locale")
        if done.returncode != 0:
            raise UnreachableError(
                f"can't make a Postgres cluster: {_tail(done.stderr)}"
            )

    def _serve(self, binaries: Path) -> None:
        data = self.directory / "data"
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        for _ in range(PORT_ATTEMPTS):
            self._port = _free_port()
            with (self.directory / "log").open("wb") as log:
                self._process = self._account.spawn(
                    binaries / "postgres",
                    *(f"-D{data}", f"-p{self._port}", *settings),
                    log=log,
                )
            if self._becomes_ready(self._process):
                return
            if "could not bind" not in self._logged():
                break
        raise UnreachableError(f"the Postgres server ended: {_tail(self._logged())}")

    def _becomes_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_TIMEOUT
        while process.poll() is None:
            try:
                psycopg.connect(self.dsn(), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise UnreachableError(
                        f"the Postgres server doesn't answer: {error}"
                    ) from error
                time.sleep(0.02)
            else:
                return True
        return False

    def _logged(self) -> str:
        return (self.directory / "log").read_text(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-LOG_TAIL:])


def _end(process: subprocess.Popen[bytes]) -> None:
    # Postgres takes these as its fast and its immediate shutdown.
    for request in (signal.SIGINT, signal.SIGQUIT):
        process.send_signal(request)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
            return
    process.kill()
    process.wait()


def _remove(directory: Path) -> None:
    # After a kill the server's own children may still be writing for a moment.
    deadline = time.monotonic() + STOP_TIMEOUT
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
