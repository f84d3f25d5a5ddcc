"""The clocks that ages and ends of credentials go by."""

import time
from pathlib import Path

import pytest

from qeetid_authz.clocks import WallClock, steady


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What this machine's wall clock says, under `now`."""
    said = {"now": 1_000_000.0}
    monkeypatch.setattr(time, "time", lambda: said["now"])
    return said


def test_sleep_counts() -> None:
    """The steady clock is that which the kernel counts suspended time by."""
    uptime = Path("/proc/uptime")
    expected = (
        float(uptime.read_text().split()[0]) if uptime.exists() else time.monotonic()
    )
    assert expected == pytest.approx(steady(), abs=1.0)


def test_without_a_database_the_machine_is_right(machine: dict[str, float]) -> None:
    """Nobody else has said what time it is."""
    assert machine["now"] == WallClock()()


def test_a_machine_turned_back_is_not_heeded(machine: dict[str, float]) -> None:
    """Time goes on as the database has said it does."""
    clock = WallClock()
    clock.database_said(machine["now"], steady())
    machine["now"] -= 3600.0

    assert 1_000_000.0 <= clock() < 1_000_010.0


def test_a_slow_database_is_taken_to_have_answered_at_once(
    machine: dict[str, float],
) -> None:
    """So the time it took is the most that anything ends early by."""
    clock = WallClock()
    clock.database_said(machine["now"], steady() - 0.25)

    assert 0.25 <= clock() - machine["now"] < 10.25


def test_a_machine_turned_forward_is_heeded(machine: dict[str, float]) -> None:
    """What may have ended has ended."""
    clock = WallClock()
    clock.database_said(machine["now"], steady())
    machine["now"] += 3600.0

    assert 1_003_600.0 == clock()


def test_a_database_turned_back_is_heeded_no_longer(machine: dict[str, float]) -> None:
    """Only its last word counts, and the machine's."""
    clock = WallClock()
    clock.database_said(machine["now"] + 3600.0, steady())
    assert clock() >= 1_003_600.0

    clock.database_said(machine["now"] - 3600.0, steady())
    assert 1_000_000.0 == clock()
