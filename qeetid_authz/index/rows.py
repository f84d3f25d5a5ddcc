"""Ids in ascending order, each with a small number: 22 to 44 bytes an entry.

A dict takes some 130. Entries are packed into leaves, bytes that are replaced and never
change: an update costs about the same whatever there is, a walk sees the ids in order
from anywhere on, and the garbage collector has nothing to look at.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from struct import iter_unpack
from sys import byteorder
from typing import Final

from qeetid_authz.ids import Id

_NUMBER: Final = array("I").itemsize  # bytes
_ENTRY: Final = 16 + _NUMBER  # bytes
_FULL: Final = 64 * _ENTRY  # bytes of a leaf
_LOOKED_AT: Final = 4096 * 16  # bytes of a run
_FILLED: Final = 48  # entries of a leaf made in bulk, with room for more


class Rows:
    """A sorted map from ids to numbers of at most 32 bits.

    A leaf is the ids of its entries, and after them their numbers.
    """

    __slots__ = ("_count", "_firsts", "_leaves")

    def __init__(self, ids: bytes = b"", numbers: Sequence[int] = ()) -> None:
        """Make one of a run of distinct ids, ascending, and their numbers."""
        packed = array("I", numbers)
        self._count = len(packed)
        self._leaves = [
            ids[16 * at : 16 * (at + _FILLED)] + packed[at : at + _FILLED].tobytes()
            for at in range(0, len(packed), _FILLED)
        ] or [b""]
        # What precedes every entry belongs to the first leaf.
        self._firsts = [b"", *(leaf[:16] for leaf in self._leaves[1:])]

    @classmethod
    def of(cls, entries: Mapping[Id, int]) -> "Rows":
        """Make one of entries in any order."""
        ids = sorted(entries)
        return cls(b"".join(ids), [entries[id_] for id_ in ids])

    @classmethod
    def of_run(cls, run: bytes, number: int) -> "Rows":
        """Make one of a run of distinct ids that have the same number.

        Fast if they ascend.
        """
        ordered = run if _ascends(run) else b"".join(sorted(_ids(run)))
        return cls(ordered, array("I", [number]) * (len(run) // 16))

    def copy(self) -> "Rows":
        """Another with the same entries, whose leaves are shared until replaced."""
        other = Rows()
        other._count = self._count
        other._leaves, other._firsts = self._leaves.copy(), self._firsts.copy()
        return other

    def __len__(self) -> int:
        return self._count

    def __contains__(self, id_: Id) -> bool:
        return self.get(id_) is not None

    def __iter__(self) -> Iterator[Id]:
        return (id_ for id_, _ in self.items())

    def get(self, id_: Id) -> int | None:
        """The number of an id, or None."""
        leaf = self._leaves[bisect_right(self._firsts, id_) - 1]
        at = _find(leaf, id_)
        return None if at < 0 else _number(leaf, at)

    def put(self, id_: Id, number: int) -> None:
        """Give an id a number, in place of any that it has."""
        place = bisect_right(self._firsts, id_) - 1
        leaf = self._leaves[place]
        at = _find(leaf, id_)
        if at < 0:
            self._insert(place, id_, number)
        else:
            begin = _begin(leaf, at)
            packed = number.to_bytes(_NUMBER, byteorder)
            self._leaves[place] = leaf[:begin] + packed + leaf[begin + _NUMBER :]

    def _insert(self, place: int, id_: Id, number: int) -> None:
        ids, numbers = _parts(self._leaves[place])
        at = bisect_left(ids, id_)
        ids.insert(at, id_)
        numbers.insert(at, number)
        self._count += 1
        leaf = b"".join(ids) + numbers.tobytes()
        self._leaves[place] = leaf
        if len(leaf) > _FULL:
            middle = len(ids) // 2
            self._leaves[place : place + 1] = (
                b"".join(ids[:middle]) + numbers[:middle].tobytes(),
                b"".join(ids[middle:]) + numbers[middle:].tobytes(),
            )
            self._firsts.insert(place + 1, ids[middle])

    def pop(self, id_: Id) -> int | None:
        """Take an id away; the number that it had, or None."""
        place = bisect_right(self._firsts, id_) - 1
        leaf = self._leaves[place]
        at = _find(leaf, id_)
        if at < 0:
            return None
        rest = _begin(leaf, at)
        self._leaves[place] = leaf[:at] + leaf[at + 16 : rest] + leaf[rest + _NUMBER :]
        self._count -= 1
        if place and not self._leaves[place]:
            del self._leaves[place], self._firsts[place]
        return _number(leaf, at)

    def items(self) -> Iterator[tuple[Id, int]]:
        """Ids and their numbers, in order."""
        for ids, numbers in self.leaves():
            yield from zip(ids, numbers, strict=True)

    def leaves(self, after: Id = b"") -> Iterator[tuple[list[Id], "array[int]"]]:
        """The same in pieces, from the first id on that is greater than `after`."""
        place = bisect_right(self._firsts, after) - 1
        ids, numbers = _parts(self._leaves[place])
        begin = bisect_right(ids, after)
        yield ids[begin:], numbers[begin:]
        for at in range(place + 1, len(self._leaves)):
            yield _parts(self._leaves[at])


def _find(leaf: bytes, id_: Id) -> int:
    """Where in a leaf an id is, or -1."""
    end = len(leaf) // _ENTRY * 16
    at = leaf.find(id_, 0, end)
    while at > 0 and at % 16:  # which bytes of two neighbours together may equal
        at = leaf.find(id_, at + 1, end)
    return at


def _begin(leaf: bytes, at: int) -> int:
    """Where in a leaf the number begins of the id that is somewhere in it."""
    return len(leaf) // _ENTRY * 16 + at // 16 * _NUMBER


def _number(leaf: bytes, at: int) -> int:
    """That number."""
    begin = _begin(leaf, at)
    return int.from_bytes(leaf[begin : begin + _NUMBER], byteorder)


def _ascends(run: bytes) -> bool:
    """Whether distinct ids ascend; some at a time, for the sake of memory."""
    last = b""
    for at in range(0, len(run), _LOOKED_AT):
        ids = _ids(run[at : at + _LOOKED_AT])
        if ids[0] < last or ids != sorted(ids):
            return False
        last = ids[-1]
    return True


def _ids(run: bytes) -> list[Id]:
    return [id_ for (id_,) in iter_unpack("16s", run)]


def _parts(leaf: bytes) -> tuple[list[Id], "array[int]"]:
    """The ids of a leaf, and their numbers."""
    end = len(leaf) // _ENTRY * 16
    return _ids(leaf[:end]), array("I", leaf[end:])
