"""Snapshots on disk: what was kept is what is read, or it is refused as a whole."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

import pytest

from qeetid_authz.clocks import steady
from qeetid_authz.errors import SnapshotError
from qeetid_authz.index.compiler import compile_snapshot
from qeetid_authz.model import Semantics
from qeetid_authz.revision import Revision
from qeetid_authz.snapshots import keeping, sealing
from qeetid_authz.snapshots.keeping import Keeper
from tests.described import describe
from tests.writes import random_tables

SOURCE, SECRET = "database `qeetid` at localhost:5432", "a key of the operator's"
MEMORY = 7200.0
FIRST, SECOND = (Revision("000000000000", n, n + 1) for n in (1, 2))
INDEX = compile_snapshot(
    random_tables(Random(7), foreign_keys=False).snapshot(), Semantics.STRICT
)


class Kept:
    """A directory in which an index was kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def keeper(self, *, source: str = SOURCE, key: str | None = SECRET) -> Keeper:
        """Who keeps there."""
        return Keeper(self.directory, source, key)

    def keep(self, keeper: Keeper, revision: Revision = FIRST) -> None:
        """Do what is to be done, now."""
        chore = keeper.chore(INDEX, nullcontext(), revision, steady())
        assert chore is not None
        chore()
        assert keeper._writing is not None
        keeper._writing.join(20)

    def refusal(
        self, *, memory: float = MEMORY, bound: float = 30.0, **given: Any
    ) -> str:
        """Why nothing of it is read."""
        with pytest.raises(SnapshotError) as raised:
            self.keeper(**given).load(memory, bound)
        return str(raised.value)

    @property
    def seen(self) -> Path:
        """The file that says when facts were current."""
        return self.directory / "seen.snapshot"

    @property
    def facts(self) -> Path:
        """The file of facts."""
        (found,) = self.directory.glob("facts-*.snapshot")
        return found


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """A directory of the test's own."""
    made = Kept(tmp_path / "kept")
    made.keep(made.keeper())
    return made


def test_what_was_kept_is_read(kept: Kept) -> None:
    """The index that is made of it says the same, at the same revision, and its age."""
    snapshot, age = kept.keeper().load(MEMORY, 30.0)

    again = compile_snapshot(snapshot, Semantics.STRICT)
    assert describe(INDEX) == describe(again)
    assert FIRST == snapshot.revision
    assert 0.0 < age < 20.0


def test_nobody_else_may_read_it(kept: Kept) -> None:
    """Files and directory are the owner's alone."""
    assert 0o700 == kept.directory.stat().st_mode & 0o777
    assert {0o600} == {p.stat().st_mode & 0o777 for p in kept.directory.iterdir()}


def test_a_revision_that_is_kept_is_only_noted(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is current still is noted every second; facts are written when others."""
    monkeypatch.setattr(keeping, "_FACTS_INTERVAL", 0.0)
    monkeypatch.setattr(keeping, "_REST", 0)
    keeper = kept.keeper()
    kept.keep(keeper)
    facts, seen = kept.facts, kept.seen.read_bytes()

    at = steady()
    assert keeper.chore(INDEX, nullcontext(), FIRST, at) is None
    note = keeper.chore(INDEX, nullcontext(), FIRST, at + 1.5)
    assert note is not None
    note()
    assert facts == kept.facts
    assert seen != kept.seen.read_bytes()
    assert sealing.open_seen(kept.seen.read_bytes(), SECRET.encode()).steady == at + 1.5

    kept.keep(keeper, SECOND)
    assert facts != kept.facts
    assert SECOND == kept.keeper().load(MEMORY, 30.0)[0].revision


def test_it_rests_between_two_times(kept: Kept) -> None:
    """A database that changes all the time isn't kept all the time."""
    keeper = kept.keeper()
    kept.keep(keeper)

    assert keeper.chore(INDEX, nullcontext(), SECOND, steady()) is None


def test_while_one_is_written_none_is_begun(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts that take long to write aren't overtaken."""
    keeper = kept.keeper()
    monkeypatch.setattr(keeper, "_keep", lambda *_: time.sleep(0.3))
    chore = keeper.chore(INDEX, nullcontext(), FIRST, steady())
    assert chore is not None
    chore()

    assert keeper.chore(INDEX, nullcontext(), SECOND, steady()) is None


def cut(path: Path) -> None:
    """Leave the first half."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    """Leave nothing."""
    os.truncate(path, 0)


def flip(path: Path) -> None:
    """Change one bit at the end."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def renew(path: Path) -> None:
    """Claim a later version."""
    data = path.read_bytes()
    path.write_bytes(data[:13] + b"\x02" + data[14:])


def share(path: Path) -> None:
    """Let everybody write."""
    path.chmod(0o666)


def unname(path: Path) -> None:
    """Be of another program."""
    path.write_bytes(b"x" + path.read_bytes()[1:])


def remove(path: Path) -> None:
    """Be gone."""
    path.unlink()


def replace(path: Path) -> None:
    """Be something that is no file."""
    path.unlink()
    path.mkdir()


FAULTS: dict[Callable[[Path], None], str] = {
    cut: "damaged|cut short",
    empty: "cut short",
    flip: "damaged",
    renew: "version 2",
    share: "others may write",
    unname: "no snapshot",
    remove: "there is no",
    replace: "can't be read",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("which", ["seen", "facts"])
def test_what_is_wrong_is_refused_whole(
    kept: Kept, which: str, fault: Callable[[Path], None]
) -> None:
    """Nothing is read of a file that isn't as it was; the refusal says what is wrong."""
    fault(kept.facts if which == "facts" else kept.seen)

    said = kept.refusal()
    assert any(part in said for part in FAULTS[fault].split("|")), said


def test_every_cut_is_refused(kept: Kept) -> None:
    """However much of a file was written when the machine died, it is none."""
    whole = kept.seen.read_bytes()
    for size in range(len(whole)):
        kept.seen.write_bytes(whole[:size])
        assert kept.refusal()
    kept.seen.write_bytes(whole)
    kept.keeper().load(MEMORY, 30.0)


def test_every_bit_counts(kept: Kept) -> None:
    """Whichever bit was changed, it is refused."""
    whole = kept.seen.read_bytes()
    for at in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        kept.seen.write_bytes(changed)
        assert kept.refusal()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"key": "another key of theirs"}, "another key"),
        ({"key": None}, "a key was used"),
        ({"source": "database `other` at localhost:5432"}, "is of database `qeetid`"),
        ({"memory": MEMORY + 1.0}, "sooner"),
        ({"bound": 0.0}, "seconds old"),
    ],
)
def test_what_can_not_be_used_here_is_refused(
    kept: Kept, given: dict[str, Any], why: str
) -> None:
    """Another key, another database, other settings or its age make it useless."""
    assert why in kept.refusal(**given)


def test_an_unsealed_one_is_refused_where_a_key_is_given(tmp_path: Path) -> None:
    """Who can write files but hasn't the key can't make what is believed."""
    kept = Kept(tmp_path / "kept")
    kept.keep(kept.keeper(key=None))

    kept.keeper(key=None).load(MEMORY, 30.0)
    assert "no key was used" in kept.refusal()


def test_files_of_two_times_are_refused(kept: Kept) -> None:
    """Facts that aren't those that were seen to be current are not used."""
    key = SECRET.encode()
    facts = sealing.open_facts(kept.facts.read_bytes(), key)
    kept.facts.write_bytes(sealing.seal_facts("elsewhere", facts.snapshot, key))

    assert "belong together" in kept.refusal()


def test_one_kind_is_not_the_other(kept: Kept) -> None:
    """A file in the place of another is refused, though it is genuine."""
    key = SECRET.encode()
    with pytest.raises(SnapshotError, match="something else of"):
        sealing.open_seen(kept.facts.read_bytes(), key)
    with pytest.raises(SnapshotError, match="something else of"):
        sealing.open_facts(kept.seen.read_bytes(), key)
    with pytest.raises(SnapshotError, match="something else than it should"):
        sealing.open_seen(sealing._seal(sealing.Kind.SEEN, b"\x01", key), key)


@pytest.mark.parametrize("boot", [None, "another run"])
def test_after_another_boot_the_wall_clock_tells_the_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: str | None
) -> None:
    """The steady clock of another run means nothing; a clock before it is refused."""
    monkeypatch.setattr(keeping, "_BOOT", tmp_path / "boot")
    if boot:
        (tmp_path / "boot").write_text(boot)
    kept = Kept(tmp_path / "kept")
    kept.keep(kept.keeper())
    monkeypatch.setattr(keeping, "_BOOT", tmp_path / "none")
    real = time.time

    monkeypatch.setattr(time, "time", lambda: real() + 10.0)
    assert 10.0 <= kept.keeper().load(MEMORY, 30.0)[1] < 30.0
    monkeypatch.setattr(time, "time", lambda: real() - 3600.0)
    assert "future" in kept.refusal()


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_in_the_same_run_no_wall_clock_matters(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """An hour either way makes what was kept neither useless nor young."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)

    assert 0.0 < kept.keeper().load(MEMORY, 30.0)[1] < 20.0


def test_a_directory_that_takes_nothing_is_told_at_once(tmp_path: Path) -> None:
    """Who configures one that can't be used learns it at the start."""
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "file", tmp_path / "no" / "such"):
        with pytest.raises(SnapshotError, match="nothing can be kept in"):
            Keeper(bad, SOURCE, SECRET)


def test_what_a_killed_process_left_is_cleared_away(kept: Kept) -> None:
    """A file that was being written is no snapshot, and doesn't stay."""
    left = kept.directory / "facts-0011223344556677.snapshot.new"
    left.write_bytes(b"half")
    kept.keeper().load(MEMORY, 30.0)

    assert not left.exists()
