"""Permission keys as bits, and what a set of bits grants."""

from collections.abc import Iterable, Iterator
from weakref import WeakValueDictionary


class Vocabulary:
    """Permission key <-> bit position.

    A position is given once and never again, so that a mask made at one revision
    can't be misread at another; a key that disappears and returns has its old one.
    """

    __slots__ = ("_grants", "_keys", "_positions")

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._keys: list[str] = []
        self._grants: WeakValueDictionary[int, Grants] = WeakValueDictionary()

    def add(self, key: str) -> int:
        """The position of a key, given now if it has none."""
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = len(self._keys)
            self._keys.append(key)
        return position

    def position(self, key: str) -> int | None:
        """The position of a key, or None."""
        return self._positions.get(key)

    def mask(self, keys: Iterable[str]) -> int:
        """A mask with the bit of each key that has one."""
        known = map(self._positions.get, keys)
        return mask_of(position for position in known if position is not None)

    def keys(self, mask: int) -> list[str]:
        """The keys of a mask, sorted."""
        return sorted(self._keys[position] for position in positions(mask))

    def grants(self, mask: int) -> "Grants":
        """What a mask grants, one object for all who hold the same mask."""
        grants = self._grants.get(mask)
        if grants is None:
            grants = self._grants[mask] = Grants(self, mask)
        return grants


class Grants:
    """What one mask grants, by key; the mask never changes.

    Attributes:
        mask: the bits of the permissions granted.
    """

    __slots__ = ("__weakref__", "_answers", "_vocabulary", "mask")

    def __init__(self, vocabulary: Vocabulary, mask: int) -> None:
        self.mask = mask
        self._answers: dict[str, bool] | None = None
        self._vocabulary = vocabulary

    @property
    def answers(self) -> dict[str, bool]:
        """Whether a key is granted, for the keys that were asked about.

        So a check is a dict lookup whatever the width of the vocabulary, and nothing
        here is ever invalidated: whose permissions change gets other `Grants`. Made
        late: the dicts that are asked then lie close together in memory.
        """
        if self._answers is None:
            self._answers = {}
        return self._answers

    def allows(self, key: str) -> bool:
        """Whether a key is granted; one that has no position isn't, for now."""
        position = self._vocabulary.position(key)
        if position is None:
            return False
        granted = self.answers[key] = bool(self.mask >> position & 1)
        return granted


_BITS = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]


def mask_of(positions: Iterable[int]) -> int:
    """A mask with a bit at each of the positions."""
    marked = bytearray()
    for position in positions:
        byte = position >> 3
        if byte >= len(marked):
            marked.extend(bytes(byte - len(marked) + 1))
        marked[byte] |= 1 << (position & 7)
    return int.from_bytes(marked, "little")


def positions(mask: int) -> Iterator[int]:
    """The positions of a mask's bits, ascending."""
    packed = mask.to_bytes((mask.bit_length() + 7) >> 3, "little")
    for at, byte in enumerate(packed):
        for bit in _BITS[byte]:
            yield (at << 3) + bit
