"""Packed rows against a dict."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qeetid_authz.index import rows as sizes
from qeetid_authz.index.rows import Rows

# Few bytes, so that ids repeat, and neighbours together look like others.
IDS = st.lists(st.sampled_from([0, 1, 255]), min_size=16, max_size=16).map(bytes)
NUMBERS = st.integers(0, 2**32 - 1)
ENTRIES = st.dictionaries(IDS, NUMBERS, max_size=200)


@pytest.fixture(autouse=True, scope="module", params=[False, True])
def small(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves and shelves as they are, and so small that a few ids need many of them."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param:
            patched.setattr(sizes, "_FULL", 3 * sizes._ENTRY)
            patched.setattr(sizes, "_FILLED", 2)
            patched.setattr(sizes, "_SHELF", 2)
        yield


@given(ENTRIES, st.lists(st.tuples(IDS, st.none() | NUMBERS), max_size=200), IDS)
def test_rows_say_what_a_dict_says(
    entries: dict[bytes, int], changes: list[tuple[bytes, int | None]], after: bytes
) -> None:
    """Whatever is put and taken away, rows hold what a dict would, in order."""
    rows, known = Rows.of(entries), dict(entries)
    before = rows.copy()
    for id_, number in changes:
        if number is None:
            assert known.pop(id_, None) == rows.pop(id_)
        else:
            known[id_] = number
            rows.put(id_, number)
    assert sorted(known.items()) == list(rows.items())
    assert sorted(known) == list(rows)
    assert sorted(entries.items()) == list(before.items())
    assert len(known) == len(rows)
    assert [each for each in sorted(known.items()) if each[0] > after] == [
        each for leaf in rows.leaves(after) for each in zip(*leaf, strict=True)
    ]
    for id_ in [*known, *(id_ for id_, _ in changes), after]:
        assert known.get(id_) == rows.get(id_)
        assert (id_ in known) is (id_ in rows)


@given(st.lists(IDS, unique=True, max_size=200), NUMBERS)
def test_run_in_any_order_makes_rows(ids: list[bytes], number: int) -> None:
    """All ids of a run get its number, whether or not they ascend."""
    expected = dict.fromkeys(sorted(ids), number)
    for order in (ids, sorted(ids)):
        assert expected == dict(Rows.of_run(b"".join(order), number).items())


def test_rows_grow_and_shrink() -> None:
    """Thousands of entries come one by one, in any order, and go again."""
    ids = [(at * 7919 % 10_007).to_bytes(16, "big") for at in range(5_000)]
    rows = Rows()
    for number, id_ in enumerate(ids):
        rows.put(id_, number)
    assert sorted(zip(ids, range(5_000), strict=True)) == list(rows.items())
    assert list(range(5_000)) == [rows.pop(id_) for id_ in ids]
    assert [] == list(rows.items())


def test_long_run_that_turns_late_is_sorted() -> None:
    """That ids ascend is looked at to the end, however long a run is."""
    ids = [at.to_bytes(16, "big") for at in range(10_000)]
    turned = b"".join([*ids[:-2], ids[-1], ids[-2]])
    assert ids == list(Rows.of_run(turned, 1))
    assert ids == list(Rows.of_run(b"".join(ids[5_000:] + ids[:5_000]), 1))


def test_neighbours_that_look_like_another_id_are_told_apart() -> None:
    """An id that the bytes of two others spell is found only where it is an entry."""
    first, second = bytes(8) + b"\t" * 8, b"\5" * 8 + bytes(8)
    spelt = first[8:] + second[:8]
    assert Rows.of({first: 1, second: 2}).get(spelt) is None
    assert Rows.of({first: 1, second: 2, spelt: 3}).get(spelt) == 3
