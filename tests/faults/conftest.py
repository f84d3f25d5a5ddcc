"""Fixtures of the fault tests, and the table of recoveries at the end of a run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
import pytest

from qeetid_authz import Authorizer
from tests.faults.checking import History, Watcher
from tests.faults.servers import DATABASE, Mortal
from tests.faults.town import DISTRICTS, NAMES, Author, asking, build, true_in


@dataclass(frozen=True, slots=True)
class Recovery:
    """One line of the table.

    Attributes:
        row: of the matrix of faults.
        fault: in words.
        seconds: from the end of the fault to the first answer that knew of a write
            after it; None where nothing had to recover.
        resyncs: how often all was loaded anew, by cause.
        answers: how many were checked, and how many of them were `stale`.
    """

    row: int
    fault: str
    seconds: float | None
    resyncs: dict[str, int]
    answers: tuple[int, int]


class Recorder(Protocol):
    """Notes a recovery for the table."""

    def __call__(
        self, row: int, fault: str, seconds: float | None, watched: "Watched"
    ) -> None: ...


_RECOVERIES = pytest.StashKey[list[Recovery]]()

POOL = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
"""The program of row 18, which no package of Python's has."""

collect_ignore = [] if POOL else ["test_pgbouncer.py"]


class Watched:
    """An authorizer that is asked all the time, and the history it is checked with."""

    def __init__(self, dsn: str, history: History, **options: Any) -> None:
        self.history = history
        self.authz = Authorizer.open(dsn, **options)
        self.watcher = Watcher(asking(self.authz))
        self.watcher.start()

    def wait_for_write(self, author: Author, since: float) -> float:
        """Write once, and wait until that is seen; the seconds from `since` on."""
        write = author.write()
        first = self.watcher.wait_for(
            lambda each: (
                each.grants is not None
                and self.history.knows(each.revision)
                and self.history.is_visible(write, each.revision)
            )
        )
        return first.ended - since

    def assert_right(self, dsn: str) -> None:
        """No answer was wrong, and now it says what the tables say.

        The authors must have stopped.
        """
        self.assert_current(dsn)
        bound = self.authz.max_staleness
        assert [] == self.history.check(self.watcher.seen, bound)

    def assert_current(self, dsn: str) -> None:
        """Now it says what the tables say; asking ends with that."""
        with psycopg.connect(dsn) as connection:
            truth = {name: true_in(connection, name) for name in NAMES}
        self.watcher.wait_for(
            lambda each: each.grants == truth, since=self.watcher.seen[-1].began
        )
        self.watcher.stop()

    @property
    def answers(self) -> tuple[int, int]:
        """How many there were, and how many of them were `stale`."""
        seen = self.watcher.seen
        return len(seen), sum(each.grants is None for each in seen)

    def close(self) -> None:
        """Ask no more, and stop following."""
        self.watcher.stop()
        self.authz.close()


@contextmanager
def watched(dsn: str, history: History, **options: Any) -> Iterator[Watched]:
    """An authorizer that follows a database and is asked all the time."""
    made = Watched(dsn, history, **options)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def authors(history: History, dsn: str) -> Iterator[list[Author]]:
    """An author for each tenant; whoever wants them to write at random starts them."""
    made = [Author(history, dsn, district) for district in DISTRICTS]
    try:
        yield made
    finally:
        for author in made:
            author.stop()


@pytest.fixture
def server() -> Iterator[Mortal]:
    """A durable server of the test's own with a migrated database full of facts."""
    with Mortal() as made:
        made.create_database(DATABASE)
        build(made.town)
        yield made


@pytest.fixture
def history() -> History:
    """What is written, empty as yet."""
    return History()


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Recorder:
    """Notes a recovery for the table that the run ends with."""
    notes = request.config.stash.setdefault(_RECOVERIES, [])

    def record(row: int, fault: str, seconds: float | None, watched: Watched) -> None:
        resyncs = dict(watched.authz.replica.resyncs)
        notes.append(Recovery(row, fault, seconds, resyncs, watched.answers))

    return record


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the recoveries of this run, by row of the matrix."""
    notes = config.stash.get(_RECOVERIES, [])
    if not notes:
        return
    terminalreporter.section("recoveries")
    if not POOL:
        terminalreporter.write_line(
            "row 18 wasn't run, for want of PgBouncer; `apt-get install pgbouncer`"
        )
    line = "{:>3}  {:<52}  {:>9}  {:>14}  {}".format
    terminalreporter.write_line(
        line("row", "fault", "recovery", "answers/stale", "loaded anew for")
    )
    for note in sorted(notes, key=lambda note: note.row):
        seconds = "" if note.seconds is None else f"{note.seconds:.3f} s"
        causes = ", ".join(f"{c} {n}" for c, n in note.resyncs.items() if c != "start")
        terminalreporter.write_line(
            line(
                note.row,
                note.fault,
                seconds,
                "{}/{}".format(*note.answers),
                causes or "-",
            ).rstrip()
        )
