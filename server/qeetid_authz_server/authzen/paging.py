"""Pages of results, and the tokens by which they go on.

A page goes on behind the last result of the one before. So whatever changes between
two pages, who was there all the time is told once, neither left out nor doubled.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, Final

import msgspec

LARGEST: Final = 1000
"""Results on a page, at most."""

LIFE: Final = 600.0
"""Seconds for which a token is good."""

_MAC: Final = 32  # bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins, and how long it may be.

    Attributes:
        after: the result that it comes behind; None for the first.
        limit: how many results were asked for; None for as many as there may be.
    """

    after: str | None = None
    limit: int | None = None


class _Written(msgspec.Struct, array_like=True):
    """What a token says."""

    ends: float
    after: str | None
    limit: int | None


class Tokens:
    """Makes tokens and reads them again, as long as this object lives."""

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        """Prepare.

        Args:
            key: what they are authenticated with.
            clock: seconds that never run backwards.
        """
        self._key = key
        self._clock = clock

    def make(self, place: Place, about: bytes) -> str:
        """A token for a place in the results of one question.

        Args:
            place: where the next page begins.
            about: a digest of what the question was, and whose.
        """
        written = _Written(self._clock() + LIFE, place.after, place.limit)
        said = msgspec.msgpack.encode(written)
        return urlsafe_b64encode(self._mac(said, about) + said).decode().rstrip("=")

    def read(self, token: str, about: bytes) -> Place:
        """The place that a token is for.

        Raises:
            ValueError: it is no token of ours, of another question, or too old.
        """
        try:
            raw = urlsafe_b64decode(token.encode("ascii") + b"==")
        except (UnicodeEncodeError, Base64Error):
            raise _refused() from None
        mac, said = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(said, about)):
            raise _refused()
        written = msgspec.msgpack.decode(said, type=_Written)
        if self._clock() > written.ends:
            raise _refused()
        return Place(written.after, written.limit)

    def _mac(self, said: bytes, about: bytes) -> bytes:
        return hmac.digest(self._key, about + said, "sha256")


def _refused() -> ValueError:
    return ValueError(
        "page.token isn't one that was given for this question in the last"
        f" {LIFE:g} seconds; ask for the first page again"
    )


def digest(*parts: Any) -> bytes:
    """What is the same for the same parts, whatever the order of members in them."""
    return sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def choose(token: str | None, limit: int | None, read: Callable[[str], Place]) -> Place:
    """The place that a request asks for.

    The limit stays that of the first page. Pages of none are legal: a token of one
    that comes without a limit is for any number, so that who follows it arrives.

    Args:
        token: of the page before, if there was one.
        limit: how many results are asked for, if that is said.
        read: what reads a token.

    Raises:
        ValueError: the token is refused, or the limit another than before.
    """
    if not token:
        return Place(None, limit)
    place = read(token)
    if limit is None:
        return Place(place.after, place.limit or None)
    if limit != place.limit:
        raise ValueError("page.limit differs from that of the first page; leave it out")
    return place


def turn(results: Iterable[str], place: Place) -> tuple[list[str], Place | None]:
    """The page at a place, and the place of the next, or None on the last.

    Args:
        results: those behind `place.after`, in order.
        place: where the page begins.
    """
    size = LARGEST if place.limit is None else min(place.limit, LARGEST)
    page = list(islice(results, size + 1))
    if len(page) <= size:
        return page, None
    del page[size:]
    return page, Place(page[-1] if page else place.after, place.limit)
