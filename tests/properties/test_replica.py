"""Properties of the feed's pure part: which transactions lie between two looks."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.errors import StandbyError, UnreachableError
from qeetid_authz.replica import SCHEMA_VERSION, Cursor, Probe, Replica
from qeetid_authz.revision import Revision

randoms = st.randoms(use_true_random=False)


class Server:
    """A server's transactions as snapshots show them, committing in any order."""

    def __init__(self) -> None:
        self.next_xid = 10
        self.running: set[int] = set()
        self.committed: set[int] = set()

    def step(self, random: Random) -> None:
        if self.running and random.random() < 0.5:
            xid = random.choice(sorted(self.running))
            self.running.remove(xid)
            if random.random() < 0.8:
                self.committed.add(xid)
        else:
            self.running.add(self.next_xid)
            self.next_xid += 1

    def look(self) -> Revision:
        running = sorted(self.running)
        xmin = running[0] if running else self.next_xid
        text = f"{xmin}:{self.next_xid}:{','.join(map(str, running))}"
        return Revision.parse("life", text)


def read_by_the_feed(since: Revision, server: Server) -> set[int]:
    """What the feed's query finds among rows visible now: its WHERE clause."""
    return {
        xid for xid in server.committed if xid >= since.xmax or xid in since.running
    }


@given(randoms, st.lists(st.integers(0, 20), min_size=2, max_size=8))
def test_polls_see_every_commit_once(random: Random, pauses: list[int]) -> None:
    """Between two looks lies exactly what committed between them: none lost or twice."""
    server = Server()
    seen: set[int] = set()
    last = server.look()
    for pause in pauses:
        for _ in range(pause):
            server.step(random)
        found = read_by_the_feed(last, server)

        assert not found & seen
        last = server.look()
        seen |= found
        assert server.committed == seen


def test_a_standby_is_not_followed() -> None:
    """It can't tell what it has seen."""
    with pytest.raises(StandbyError):
        Replica(0.02).judge(Probe(None, SCHEMA_VERSION, 0, (), "f"))


@given(
    st.sampled_from(["same", "other"]),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from(["f", "g"]),
)
def test_only_a_continuous_history_is_followed(
    life: str, xmax: int, floor: int, fingerprint: str
) -> None:
    """A replica follows only within a life, forwards, above the floor, same tables."""
    replica = Replica(0.02)
    replica.advanced(Cursor(Revision("same", 10, 20, (10,)), "f"), None)
    probe = Probe(
        Revision(life, min(xmax, 10), xmax), SCHEMA_VERSION, floor, (), fingerprint
    )

    _, cause = replica.judge(probe)

    continuous = life == "same" and xmax >= 20 and floor <= 10 and fingerprint == "f"
    assert continuous is (cause is None)


@given(st.integers(0, 100_000), st.booleans(), st.floats(0, 1))
def test_pauses_are_bounded(failures: int, busy: bool, jitter: float) -> None:
    """No pause exceeds the interval in good times, nor five seconds in bad ones."""
    replica = Replica(0.02, failures=failures, is_busy=busy)

    pause = replica.pause(jitter)

    assert 0 < pause <= (5.0 if failures else 0.02)


def test_loading_in_vain_slows_down() -> None:
    """A replica that has to load everything each time does so ever more rarely."""
    replica = Replica(0.02)
    cursor = Cursor(Revision("same", 10, 20), "f")

    pauses = []
    for _ in range(20):
        replica.advanced(cursor, "pruned")
        pauses.append(replica.pause(1.0))
    replica.advanced(cursor, None)

    assert sorted(pauses) == pauses
    assert pauses[0] <= 0.02 < pauses[-1] <= 5.0
    assert replica.pause(1.0) <= 0.02


def test_what_polls_came_to_is_counted() -> None:
    """Each poll once: by what it found, by its error, and loads by their cause."""
    replica = Replica(1.0)
    cursor = Cursor(Revision("life", 1, 1), "")
    replica.advanced(cursor, "start", is_busy=True)
    replica.advanced(cursor, None, is_busy=True)
    replica.advanced(cursor, None)
    replica.failed(UnreachableError("gone"))

    assert {"loaded": 1, "changed": 1, "unchanged": 1} == replica.polls
    assert {"start": 1} == replica.resyncs
    assert {"database_unreachable": 1} == replica.errors
