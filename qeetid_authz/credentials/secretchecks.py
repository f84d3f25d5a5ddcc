"""Secrets of API keys and clients: verified slowly once, recognised quickly afterwards.

A secret that was verified is remembered by a keyed digest, next to the row it was
verified against; it counts for as long as the database holds the same hash.
"""

import os
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from secrets import token_bytes
from threading import Lock
from typing import Any, Generic, TypeAlias, TypeVar

from cachetools import FIFOCache

from qeetid_authz.credentials.hashes import DUMMY_HASH, verify_secret
from qeetid_authz.errors import NotOpenError, OverloadedError
from qeetid_authz.ids import Id
from qeetid_authz.model import ApiKey, OidcClient

RECOGNISED_LIMIT = 10_000
"""Secrets that are remembered, the latest verified ones."""

PENDING_LIMIT = 64
"""Secrets that are being verified or wait for it."""

PENDING_A_NAME = 8
"""How many of those may be of one name; all names that nobody has count as one, so
that who invents names doesn't stand in the way of those who have one."""

_WORKERS = max(1, min(4, (os.cpu_count() or 1) // 2))

Row = TypeVar("Row", ApiKey, OidcClient)
Waiting: TypeAlias = Generator[Future[Any], None, Row]
"""Futures out, each to be waited for before going on; what was found at the end."""


class SecretChecks(Generic[Row]):
    """Remembers which secrets belong to which rows of one table."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        verify: Callable[[str, str], bool] = verify_secret,
    ) -> None:
        """Prepare; nothing is verified before a secret is presented.

        Args:
            pool: where secrets are verified.
            verify: whether a stored hash is of a secret; called on the pool's threads.
        """
        self._pool = pool
        self._verify = verify
        self._keyed = blake2b(digest_size=32, key=token_bytes(32))
        self._recognised: FIFOCache[bytes, tuple[Id, Row]] = FIFOCache(RECOGNISED_LIMIT)
        self._pending: dict[bytes, Future[tuple[Id, Row] | None]] = {}
        self._waiting: Counter[Hashable] = Counter()
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """Secrets that are being verified or wait for it; `PENDING_LIMIT` at most."""
        return len(self._pending)

    def digest(self, text: str) -> bytes:
        """What a credential is remembered by."""
        digest = self._keyed.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def recognise(self, digest: bytes) -> tuple[Id, Row] | None:
        """The row that a credential was verified against; it may have changed since."""
        try:
            return self._recognised[digest]
        except KeyError:
            return None

    def find(
        self, digest: bytes, candidates: Sequence[tuple[Id, Row]], secret: str
    ) -> Generator[Future[Any], None, tuple[Id, Row] | None]:
        """The candidate that a secret belongs to, or None.

        A secret that is presented many times at once is verified once. One that is of
        no candidate takes as long as one that is.

        Raises:
            OverloadedError: too many wait.
            NotOpenError: it was closed meanwhile.
        """
        future = self._submit(digest, candidates, secret)
        yield future
        if future.cancelled():
            raise NotOpenError("this authorizer was closed; open another")
        return future.result()

    def _submit(
        self, digest: bytes, candidates: Sequence[tuple[Id, Row]], secret: str
    ) -> Future[tuple[Id, Row] | None]:
        name = candidates[0][0] if candidates else None
        with self._lock:
            future = self._pending.get(digest)
            if future is not None:
                return future
            if (
                len(self._pending) >= PENDING_LIMIT
                or self._waiting[name] >= PENDING_A_NAME
            ):
                raise OverloadedError(
                    "too many secrets wait to be verified; try again in a second"
                )
            try:
                future = self._pool.submit(self._match, candidates, secret)
            except RuntimeError:
                raise NotOpenError("this authorizer is closed; open another") from None
            self._pending[digest] = future
            self._waiting[name] += 1
        future.add_done_callback(lambda done: self._done(digest, name, done))
        return future

    def _match(
        self, candidates: Sequence[tuple[Id, Row]], secret: str
    ) -> tuple[Id, Row] | None:
        hashed = [(i, row, _hash_of(row)) for i, row in candidates]
        if not any(stored for _, _, stored in hashed):
            self._verify(DUMMY_HASH, secret)
        for id_, row, stored in hashed:
            if stored and self._verify(stored, secret):
                return id_, row
        return None

    def _done(
        self, digest: bytes, name: Hashable, done: Future[tuple[Id, Row] | None]
    ) -> None:
        with self._lock:
            del self._pending[digest]
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
            found = None if done.cancelled() or done.exception() else done.result()
            if found is not None:
                self._recognised[digest] = found


def make_pool() -> ThreadPoolExecutor:
    """Threads that verify secrets, few enough to leave processors to others."""
    return ThreadPoolExecutor(_WORKERS, "qeetid-authz-verify")


def _hash_of(row: ApiKey | OidcClient) -> str | None:
    return row.secret_hash
