"""The form of what is kept: sealed, so that nothing else is ever taken for it.

A sealed text is a head (what wrote it, in which version, what of, whether with a key),
a tag over all else (HMAC-SHA256 with the key, else SHA-256) and the payload, which is
MessagePack. Without a key the tag tells of damage, and not of who wrote.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest
from hmac import new as hmac
from struct import Struct
from typing import TypeVar

import msgspec

from qeetid_authz.errors import SnapshotError
from qeetid_authz.model import Packed, Snapshot

_NAME, _VERSION = b"qeetid-authz", 1
_HEAD = Struct(">12sHBB")
_TAG_SIZE = 32  # bytes

Content = TypeVar("Content")


class Kind(IntEnum):
    """What a payload is."""

    FACTS = 1
    SEEN = 2


@dataclass(slots=True)
class Kept(Snapshot):
    """A snapshot whose memberships were read from a file."""

    group_members: Packed = field(default_factory=list)


class Facts(msgspec.Struct, frozen=True):
    """All facts of one revision.

    Attributes:
        source: the database that they are of, in words.
        snapshot: the facts.
    """

    source: str
    snapshot: Kept


class Seen(msgspec.Struct, frozen=True):
    """When certain facts were surely current.

    Attributes:
        tag: that of the facts.
        boot: the run of the machine in which `steady` counts; empty if it has no name.
        steady: by the steady clock, in seconds.
        wall: by the machine's, in seconds since the Unix epoch.
    """

    tag: bytes
    boot: str
    steady: float
    wall: float


def seal_facts(source: str, snapshot: Snapshot, key: bytes | None) -> bytes:
    """Seal facts."""
    # The same members, by which it is written and read.
    payload = msgspec.msgpack.encode({"source": source, "snapshot": snapshot})
    return _seal(Kind.FACTS, payload, key)


def seal_seen(seen: Seen, key: bytes | None) -> bytes:
    """Seal when facts were current."""
    return _seal(Kind.SEEN, msgspec.msgpack.encode(seen), key)


def open_facts(sealed: bytes, key: bytes | None) -> Facts:
    """Read facts.

    Raises:
        SnapshotError: they aren't what `seal_facts` wrote with this key.
    """
    return _decode(_open(Kind.FACTS, sealed, key), Facts)


def open_seen(sealed: bytes, key: bytes | None) -> Seen:
    """Read when facts were current.

    Raises:
        SnapshotError: it isn't what `seal_seen` wrote with this key.
    """
    return _decode(_open(Kind.SEEN, sealed, key), Seen)


def tag_of(sealed: bytes) -> bytes:
    """What tells a sealed text from all others."""
    return sealed[_HEAD.size : _HEAD.size + _TAG_SIZE]


def _seal(kind: Kind, payload: bytes, key: bytes | None) -> bytes:
    head = _HEAD.pack(_NAME, _VERSION, kind, key is not None)
    return head + _tag(head, payload, key) + payload


def _tag(head: bytes, payload: bytes, key: bytes | None) -> bytes:
    digest = sha256() if key is None else hmac(key, digestmod=sha256)
    digest.update(head)
    digest.update(payload)
    return digest.digest()


def _open(kind: Kind, sealed: bytes, key: bytes | None) -> bytes:
    head = sealed[: _HEAD.size]
    if len(sealed) < _HEAD.size + _TAG_SIZE or not head.startswith(_NAME):
        raise SnapshotError("it is no snapshot of this program, or cut short")
    _, version, found, is_keyed = _HEAD.unpack(head)
    if version != _VERSION:
        raise SnapshotError(
            f"it has version {version}, this program reads {_VERSION}; let the program"
            " that wrote it read it, or remove it"
        )
    if is_keyed != (key is not None):
        given = "a key was" if is_keyed else "no key was"
        raise SnapshotError(f"{given} used when it was written; see the snapshot key")
    payload = sealed[_HEAD.size + _TAG_SIZE :]
    if not compare_digest(_tag(head, payload, key), tag_of(sealed)):
        raise SnapshotError("it was damaged, changed, or sealed with another key")
    if found != kind:
        raise SnapshotError("it is something else of what is kept; remove it")
    return payload


def _decode(payload: bytes, type_: type[Content]) -> Content:
    try:
        return msgspec.msgpack.decode(payload, type=type_)
    except msgspec.DecodeError as error:
        raise SnapshotError(
            f"it holds something else than it should: {error}"
        ) from None
