"""Seats: who rests on what, and when a seat must be given up."""

from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine import seats
from qeetid_authz.engine.seats import Seats
from qeetid_authz.index.permissions import Vocabulary
from tests.tables import Seeded

randoms = st.integers(0, 2**32 - 1).map(Seeded)
VOCABULARY = Vocabulary()
GRANTS = VOCABULARY.grants(0)
KEYS = [bytes([n]) * 32 for n in range(6)]
GROUNDS = [bytes([n]) * 16 for n in range(4)]


@given(randoms)
def test_a_seat_lasts_as_long_as_its_grounds(random: Random) -> None:
    """A seat is there unless one of its grounds changed or its time came."""
    table = Seats()
    expected: dict[bytes, tuple[set[bytes], float]] = {}
    now = 100.0
    for _ in range(60):
        match random.randrange(5):
            case 0:
                key = random.choice(KEYS[:3])
                table.take(key, GRANTS)
                expected[key] = ({key}, inf)
            case 1 | 2:
                key = random.choice(KEYS[3:])
                grounds = {key, *random.sample(GROUNDS, random.randrange(3))}
                # The same principal always has the same end.
                ends = (None, 110.0, inf)[KEYS.index(key) - 3]
                if ends is None or ends > now:
                    table.take_bounded(key, GRANTS, [*grounds, key], ends)
                    expected[key] = (grounds, inf if ends is None else ends)
            case 3:
                ground = random.choice([*GROUNDS, *KEYS])
                table.vacate(ground)
                expected = {k: v for k, v in expected.items() if ground not in v[0]}
            case _:
                now += random.randrange(4)
                table.expire(now)
                expected = {k: v for k, v in expected.items() if v[1] > now}
        assert expected.keys() == table.answers.keys()
    table.clear()
    assert table.answers == {}


def test_a_seat_is_given_up_with_its_second() -> None:
    """It goes in the second in which its deadline falls, others stay."""
    table = Seats()
    table.take_bounded(KEYS[0], GRANTS, [KEYS[0]], 10.9)
    table.take_bounded(KEYS[1], GRANTS, [KEYS[1]], 11.0)
    table.take_bounded(KEYS[2], GRANTS, [KEYS[2]], None)

    table.expire(9.99)
    assert set(KEYS[:3]) == table.answers.keys()
    table.expire(10.0)
    assert {KEYS[1], KEYS[2]} == table.answers.keys()
    table.expire(1e12)
    assert {KEYS[2]} == table.answers.keys()


def test_a_seat_on_two_grounds_leaves_nothing_behind() -> None:
    """Given up for one of its grounds, it is forgotten by the other as well."""
    table = Seats()
    table.take_bounded(KEYS[0], GRANTS, GROUNDS[:2], None)
    table.take_bounded(KEYS[1], GRANTS, GROUNDS[1:3], None)

    table.vacate(GROUNDS[0])

    assert {KEYS[1]} == table.answers.keys()
    assert {GROUNDS[1], GROUNDS[2]} == table._resting.keys()
    table.vacate(GROUNDS[1])
    assert not table._resting
    assert not table._grounds


def test_seats_that_were_given_up_are_forgotten() -> None:
    """Taken and given up again and again, nothing remains until their end."""
    table = Seats()
    for n in range(100):
        key = bytes([n]) * 64
        table.take_bounded(key, GRANTS, [GROUNDS[0]], 1000.0)
        assert table.kept(key) is GRANTS
        table.vacate(GROUNDS[0])
        assert table.kept(key) is None

    assert sum(map(len, table._due.values())) == 0
    table.expire(2000.0)
    assert not table._due


def test_seats_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many users ask, there are no more seats than may be."""
    monkeypatch.setattr(seats, "LIMIT", 3)
    table = Seats()
    for n in range(20):
        table.take(bytes([n]) * 32, GRANTS)
        assert bytes([n]) * 32 in table.answers
        assert len(table.answers) <= 3


def test_reasons_that_are_noted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks about everybody and everything doesn't fill the memory."""
    monkeypatch.setattr(seats, "LIMIT", 5)
    table = Seats()
    for n in range(4):
        table.take_bounded(KEYS[n], GRANTS, [KEYS[n]], None)
        for key in ("a:a", "a:b", "a:c"):
            table.note(KEYS[n], GRANTS, key, Reason.GRANTED)
            assert "granted" == table.reasons[KEYS[n]][key]
            assert sum(map(len, table.reasons.values())) <= 5
    table.note(KEYS[5], GRANTS, "a:a", Reason.GRANTED)
    assert KEYS[5] not in table.reasons


def test_users_without_bounds_share_their_reasons() -> None:
    """Who holds the same is told the same, unless it rests on more than its row."""
    table = Seats()
    for key in KEYS[:2]:
        table.take(key, GRANTS)
        table.note(key, GRANTS, "a:a", Reason.NO_GRANT)
    table.take_bounded(KEYS[2], GRANTS, [KEYS[2]], None)
    table.note(KEYS[2], GRANTS, "a:a", Reason.OUT_OF_SCOPE)

    assert table.reasons[KEYS[0]] is table.reasons[KEYS[1]]
    assert [{"a:a": "no_grant"}, {"a:a": "out_of_scope"}] == [
        table.reasons[key] for key in KEYS[1:3]
    ]
    table.vacate(KEYS[0])
    assert KEYS[1:3] == list(table.reasons)


def test_seats_with_bounds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has ever new tokens made doesn't fill the memory."""
    monkeypatch.setattr(seats, "LIMIT", 3)
    table = Seats()
    for n in range(20):
        table.take_bounded(bytes([n]) * 64, GRANTS, [bytes([n]) * 32], 100.0)

        assert len(table.answers) <= 3
        assert len(table._resting) <= 3
