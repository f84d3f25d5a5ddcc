"""Who calls: API keys, verified slowly once and recognised quickly afterwards."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from secrets import token_bytes
from typing import Protocol, TypeAlias

from cachetools import LRUCache

from qeetid_authz.apikeys import ApiKeys, parse_api_key, verify_secret
from qeetid_authz.ids import Id
from qeetid_authz.model import ApiKey
from qeetid_authz_server.problems import Code, Problem

RECOGNISED_LIMIT = 10_000
"""Keys that are remembered, the latest used ones."""

PENDING_LIMIT = 64
"""Keys that are being verified or wait for it; further callers are sent away."""

_WORKERS = max(1, min(4, (os.cpu_count() or 1) // 2))

# Of no secret; costs what a key made by Qeet ID costs (fact 6).
_DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$cWVldGlkLWF1dGh6LTAwMA"
    "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

Entry: TypeAlias = tuple[Id, ApiKey]


class Gate(Protocol):
    """What tells who calls."""

    async def identify(self, authorization: str | None) -> ApiKey | None:
        """The caller's key, or None where callers aren't asked for one."""

    def close(self) -> None:
        """Let go of what it holds."""


class OpenGate:
    """Lets everybody pass, unasked."""

    async def identify(self, authorization: str | None) -> None:
        """None, whatever is presented."""

    def close(self) -> None:
        """Nothing to let go of."""


class KeyGate:
    """Lets the holders of API keys pass.

    A key that was verified is remembered by a keyed digest of its whole text, next to
    the row it was verified against, and counts for as long as the database holds just
    that row.
    """

    def __init__(
        self,
        keys: ApiKeys,
        verify: Callable[[str, str], bool] = verify_secret,
        pending_limit: int = PENDING_LIMIT,
    ) -> None:
        """Make a gate; nothing is verified before a key is presented.

        Args:
            keys: which there are, kept current by somebody else.
            verify: whether a stored hash is of a secret; called on other threads.
            pending_limit: keys that may be, or wait to be, verified at a time.
        """
        self._keys = keys
        self._verify = verify
        self._pending_limit = pending_limit
        self._digest_key = token_bytes(32)
        self._recognised: LRUCache[bytes, Entry] = LRUCache(RECOGNISED_LIMIT)
        self._pending: dict[bytes, asyncio.Task[Entry | None]] = {}
        self._pool = ThreadPoolExecutor(_WORKERS, "qeetid-authz-verify")

    def close(self) -> None:
        """Verify nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def identify(self, authorization: str | None) -> ApiKey:
        """The key that a caller presents.

        Args:
            authorization: the value of that header.

        Raises:
            Problem: there is no key, or it is invalid or expired, or too many wait to
                be verified.
        """
        text = read_credential(authorization)
        digest = self._digest(text)
        entry = self._recognised.get(digest)
        if entry is None or not self._stands(entry):
            entry = await self._verified(digest, text)
        if entry is None or not self._stands(entry):
            raise Problem(Code.KEY_INVALID)
        expires_at = entry[1].expires_at
        if expires_at is not None and time.time() > expires_at:
            raise Problem(Code.KEY_EXPIRED)
        return entry[1]

    def _digest(self, text: str) -> bytes:
        raw = text.encode("utf-8", "surrogateescape")
        return blake2b(raw, digest_size=32, key=self._digest_key).digest()

    def _stands(self, entry: Entry) -> bool:
        id_, row = entry
        return self._keys.row(id_) is row and not row.revoked

    async def _verified(self, digest: bytes, text: str) -> Entry | None:
        """Verify a key, once for all who present it at the same time."""
        task = self._pending.get(digest)
        if task is None:
            if len(self._pending) >= self._pending_limit:
                raise Problem(Code.UNAVAILABLE, "too many API keys wait to be verified")
            task = asyncio.create_task(self._find(digest, text))
            self._pending[digest] = task
            task.add_done_callback(lambda _: self._pending.pop(digest))
        return await asyncio.shield(task)

    async def _find(self, digest: bytes, text: str) -> Entry | None:
        parsed = parse_api_key(text)
        if parsed is None:
            return None
        prefix, secret = parsed
        candidates = sorted(self._keys.candidates(prefix))
        loop = asyncio.get_running_loop()
        entry = await loop.run_in_executor(self._pool, self._match, candidates, secret)
        if entry is not None:
            self._recognised[digest] = entry
        return entry

    def _match(self, candidates: list[Entry], secret: str) -> Entry | None:
        """The candidate that a secret belongs to; slow, even if there is none."""
        if not candidates:
            self._verify(_DUMMY_HASH, secret)
        for entry in candidates:
            if self._verify(entry[1].secret_hash, secret):
                return entry
        return None


def read_credential(authorization: str | None) -> str:
    """The API key in an `Authorization` header (fact 1.2, steps 3 and 4).

    Raises:
        Problem: there is none.
    """
    if authorization is None:
        raise Problem(Code.UNAUTHORIZED)
    if authorization.startswith("ApiKey "):
        return authorization[7:].strip()
    if authorization[:7].lower() == "bearer ":
        raise Problem(Code.UNAUTHORIZED, "this sidecar takes API keys only")
    raise Problem(Code.UNAUTHORIZED)
