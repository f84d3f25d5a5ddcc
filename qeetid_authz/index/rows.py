"""Ids in ascending order, each with a small number: 22 to 44 bytes an entry.

A dict takes some 130. Entries are packed into leaves, and leaves stand on shelves; both
are replaced and never change. So an update or a copy costs about the same whatever there
is, a walk sees the ids in order from anywhere on, and the garbage collector has next to
nothing to look at.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from struct import iter_unpack
from sys import byteorder
from typing import Final, TypeAlias

from qeetid_authz.ids import Id

_NUMBER: Final = array("I").itemsize  # bytes
_ENTRY: Final = 16 + _NUMBER  # bytes
_FULL: Final = 64 * _ENTRY  # bytes of a leaf
_LOOKED_AT: Final = 4096 * 16  # bytes of a run
_FILLED: Final = 48  # entries of a leaf made in bulk, with room for more
_SHELF: Final = 64  # leaves of a shelf made in bulk; twice as many are too many

Shelf: TypeAlias = tuple[list[Id], list[bytes]]
"""Leaves, and from which id on each of them has the entries."""


class Rows:
    """A sorted map from ids to numbers of at most 32 bits.

    A leaf is the ids of its entries, and after them their numbers.
    """

    __slots__ = ("_count", "_firsts", "_shelves")

    def __init__(self, ids: bytes = b"", numbers: Sequence[int] = ()) -> None:
        """Make one of a run of distinct ids, ascending, and their numbers."""
        packed = array("I", numbers)
        self._count = len(packed)
        leaves = [
            ids[16 * at : 16 * (at + _FILLED)] + packed[at : at + _FILLED].tobytes()
            for at in range(0, len(packed), _FILLED)
        ] or [b""]
        # What precedes every entry belongs to the first leaf.
        firsts = [b"", *(leaf[:16] for leaf in leaves[1:])]
        self._shelves: list[Shelf] = [
            (firsts[at : at + _SHELF], leaves[at : at + _SHELF])
            for at in range(0, len(leaves), _SHELF)
        ]
        self._firsts = [shelf[0][0] for shelf in self._shelves]

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
        """Another with the same entries, which are shared until replaced."""
        other = Rows()
        other._count = self._count
        other._shelves, other._firsts = self._shelves.copy(), self._firsts.copy()
        return other

    def __len__(self) -> int:
        return self._count

    def __contains__(self, id_: Id) -> bool:
        return self.get(id_) is not None

    def __iter__(self) -> Iterator[Id]:
        return (id_ for id_, _ in self.items())

    def _place(self, id_: Id) -> tuple[int, int, bytes]:
        """On which shelf which leaf has the entry of an id, if there is one."""
        shelf = bisect_right(self._firsts, id_) - 1
        firsts, leaves = self._shelves[shelf]
        at = bisect_right(firsts, id_) - 1
        return shelf, at, leaves[at]

    def get(self, id_: Id) -> int | None:
        """The number of an id, or None."""
        _, _, leaf = self._place(id_)
        at = _find(leaf, id_)
        return None if at < 0 else _number(leaf, at)

    def put(self, id_: Id, number: int) -> None:
        """Give an id a number, in place of any that it has."""
        shelf, place, leaf = self._place(id_)
        at = _find(leaf, id_)
        if at >= 0:
            begin = _begin(leaf, at)
            packed = number.to_bytes(_NUMBER, byteorder)
            self._replace(shelf, place, leaf[:begin] + packed + leaf[begin + _NUMBER :])
            return
        ids, numbers = _parts(leaf)
        at = bisect_left(ids, id_)
        ids.insert(at, id_)
        numbers.insert(at, number)
        self._count += 1
        if len(ids) * _ENTRY <= _FULL:
            self._replace(shelf, place, b"".join(ids) + numbers.tobytes())
            return
        middle = len(ids) // 2
        self._replace(
            shelf,
            place,
            b"".join(ids[:middle]) + numbers[:middle].tobytes(),
            b"".join(ids[middle:]) + numbers[middle:].tobytes(),
        )

    def pop(self, id_: Id) -> int | None:
        """Take an id away; the number that it had, or None."""
        shelf, place, leaf = self._place(id_)
        at = _find(leaf, id_)
        if at < 0:
            return None
        rest = _begin(leaf, at)
        left = leaf[:at] + leaf[at + 16 : rest] + leaf[rest + _NUMBER :]
        self._count -= 1
        self._replace(shelf, place, *([left] if left else []))
        return _number(leaf, at)

    def _replace(self, shelf: int, place: int, *leaves: bytes) -> None:
        """Put a leaf, two or none in the place of one."""
        firsts, former = self._shelves[shelf]
        kept = former.copy()
        kept[place : place + 1] = leaves
        if len(leaves) == 1:
            self._shelves[shelf] = firsts, kept
        elif kept or shelf == 0:
            begins, firsts = firsts[place], firsts.copy()
            firsts[place : place + 1] = [leaf[:16] for leaf in leaves]
            # Where a leaf or a shelf begins, it goes on beginning.
            if leaves or place == 0:
                firsts[place : place + 1] = [begins]
            self._stand(shelf, firsts, kept or [b""])
        else:
            del self._shelves[shelf], self._firsts[shelf]

    def _stand(self, shelf: int, firsts: list[Id], leaves: list[bytes]) -> None:
        """Put a shelf in the place of one, or two where it would be too long."""
        ends = [len(leaves)] if len(leaves) < 2 * _SHELF else [_SHELF, len(leaves)]
        shelves = [
            (firsts[begin:end], leaves[begin:end])
            for begin, end in zip([0, *ends], ends, strict=False)
        ]
        self._shelves[shelf : shelf + 1] = shelves
        self._firsts[shelf : shelf + 1] = [each[0][0] for each in shelves]

    def items(self) -> Iterator[tuple[Id, int]]:
        """Ids and their numbers, in order."""
        for ids, numbers in self.leaves():
            yield from zip(ids, numbers, strict=True)

    def leaves(self, after: Id = b"") -> Iterator[tuple[list[Id], "array[int]"]]:
        """The same in pieces, from the first id on that is greater than `after`."""
        shelf, place, leaf = self._place(after)
        ids, numbers = _parts(leaf)
        begin = bisect_right(ids, after)
        yield ids[begin:], numbers[begin:]
        _, leaves = self._shelves[shelf]
        yield from map(_parts, leaves[place + 1 :])
        for at in range(shelf + 1, len(self._shelves)):
            _, leaves = self._shelves[at]
            yield from map(_parts, leaves)


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
