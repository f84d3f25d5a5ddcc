"""A directory in which what is known is kept, and read from at a start without more."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Thread

from qeetid_authz.clocks import steady
from qeetid_authz.errors import SnapshotError
from qeetid_authz.index.facts import Facts
from qeetid_authz.index.index import Index
from qeetid_authz.model import Snapshot
from qeetid_authz.revision import Revision
from qeetid_authz.snapshots.sealing import (
    Seen,
    open_facts,
    open_seen,
    seal_facts,
    seal_seen,
    tag_of,
)

_SEEN, _FACTS = "seen.snapshot", "facts-{}.snapshot"
_SEEN_INTERVAL = 1.0  # seconds between two notes that what is kept is current
_FACTS_INTERVAL = 5.0  # seconds between two times that facts are kept
_REST = 10  # times as long as keeping facts took, nothing is kept after it
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger("qeetid_authz")


class Keeper:
    """Keeps the facts of one database in a directory of its own.

    Facts are kept when they changed, now and then; that they are current still, every
    second. Either file is replaced as a whole, and facts stay until others are there.
    """

    def __init__(self, directory: Path, source: str, key: str | None) -> None:
        """Take a directory, which is made if it isn't there.

        Args:
            directory: for nobody else's use.
            source: the database, in words.
            key: what the files are authenticated with; without it they are only
                guarded against damage.

        Raises:
            SnapshotError: files can't be put there.
        """
        self._directory = directory
        self._source = source
        self._key = None if key is None else key.encode()
        self._kept: Revision | None = None
        self._tag = b""
        self._not_before = 0.0
        self._noted_at = 0.0
        self._writing: Thread | None = None
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            for left_over in directory.glob("*.new"):
                left_over.unlink()
            self._replace("probe", b"")
            (directory / "probe").unlink()
        except OSError as error:
            raise SnapshotError(
                f"nothing can be kept in `{directory}` ({error}); give a directory that"
                " this process may write to"
            ) from error

    def chore(
        self,
        index: Index,
        lock: AbstractContextManager[object],
        revision: Revision,
        current_at: float,
    ) -> Callable[[], None] | None:
        """What is to be done now, before anything else is published; or None.

        Args:
            index: what is known.
            lock: held by who reads it.
            revision: at which the facts changed last.
            current_at: when it surely was current, by the steady clock.
        """
        if self._writing is not None and self._writing.is_alive():
            return None
        if revision == self._kept:
            if current_at - self._noted_at < _SEEN_INTERVAL:
                return None
            return lambda: self._try(self._note, current_at)
        if steady() < self._not_before:
            return None

        def begin() -> None:
            facts = Facts(index, lock)
            self._writing = Thread(
                target=self._try,
                args=(self._keep, facts, revision, current_at),
                name="qeetid-authz-snapshot",
                daemon=True,
            )
            self._writing.start()

        return begin

    def load(
        self, session_memory: float, max_staleness: float
    ) -> tuple[Snapshot, float]:
        """What was kept last, and its age in seconds.

        Args:
            session_memory: seconds for which revoked sessions must be remembered.
            max_staleness: seconds of age from which it is of no use.

        Raises:
            SnapshotError: there is nothing, or it can't be trusted or used.
        """
        seen = open_seen(self._read(_SEEN), self._key)
        age = _age(seen)
        if age >= max_staleness:
            raise SnapshotError(f"it is {age:.1f} seconds old")
        sealed = self._read(_FACTS.format(seen.tag[:8].hex()))
        facts = open_facts(sealed, self._key)
        if tag_of(sealed) != seen.tag:
            raise SnapshotError("its files don't belong together; remove them")
        if facts.source != self._source:
            raise SnapshotError(f"it is of {facts.source}, not of {self._source}")
        if facts.snapshot.session_memory < session_memory:
            raise SnapshotError("it forgot revoked sessions sooner than is asked now")
        return facts.snapshot, age

    def _try(self, work: Callable[..., None], *args: object) -> None:
        try:
            work(*args)
        except OSError as error:
            self._not_before = self._noted_at = steady() + _FACTS_INTERVAL
            extra = {"event": "snapshot_not_kept"}
            _log.warning("nothing could be kept: %s", error, extra=extra)

    def _keep(self, facts: Facts, revision: Revision, current_at: float) -> None:
        began = steady()
        sealed = seal_facts(self._source, facts.snapshot(revision), self._key)
        name = _FACTS.format(tag_of(sealed)[:8].hex())
        self._replace(name, sealed, lasting=True)
        self._tag = tag_of(sealed)
        self._note(current_at)
        for other in self._directory.glob(_FACTS.format("*")):
            if other.name != name:
                other.unlink()
        self._kept = revision
        took = steady() - began
        self._not_before = steady() + max(_FACTS_INTERVAL, _REST * took)

    def _note(self, current_at: float) -> None:
        ago = steady() - current_at
        seen = Seen(self._tag, _boot(), current_at, time.time() - ago)
        self._replace(_SEEN, seal_seen(seen, self._key))
        self._noted_at = current_at

    def _replace(self, name: str, data: bytes, *, lasting: bool = False) -> None:
        """Put a file in the place of one, as a whole or not at all.

        Args:
            name: of either.
            data: what it holds.
            lasting: whether it must outlive a crash of the machine: what merely says
                that something is current may be lost, and then seems older.
        """
        new = self._directory / (name + ".new")
        with suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(descriptor)
        new.replace(self._directory / name)

    def _read(self, name: str) -> bytes:
        path = self._directory / name
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_uid != os.geteuid() or found.st_mode & 0o022:
                    raise SnapshotError(
                        f"others may write to `{path}`; see to its rights"
                    )
                return file.read()
        except FileNotFoundError:
            raise SnapshotError(f"there is no `{path}`") from None
        except OSError as error:
            raise SnapshotError(f"`{path}` can't be read ({error})") from error


def _boot() -> str:
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _age(seen: Seen) -> float:
    """Seconds since then; in the same run of the machine no wall clock is asked."""
    is_same_boot = seen.boot != "" and seen.boot == _boot()
    age = steady() - seen.steady if is_same_boot else time.time() - seen.wall
    if not age >= 0.0:
        raise SnapshotError("it is of the future; see to the clock, or remove it")
    return age
