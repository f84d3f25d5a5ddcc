"""Access tokens: verified once, recognised by a hash of the whole token afterwards."""

from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from secrets import token_bytes
from threading import Lock
from typing import Any

from cachetools import FIFOCache

from qeetid_authz.credentials.claims import Claims, Expectations, read_claims
from qeetid_authz.credentials.keyring import Keyring
from qeetid_authz.credentials.tokens import Token, read_token, verify_signature
from qeetid_authz.errors import KeysUnavailableError, UnknownSigningKeyError
from qeetid_authz.ids import format_optional
from qeetid_authz.principal import Kind, Principal

RECOGNISED_SIZE = 128 << 20
"""Bytes of memory that remembered tokens take, about; the latest verified ones."""

RECOGNISED_FOR = 300.0
"""Seconds after which a token is verified anew at the latest."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Verified:
    """A token that was verified; equal to nothing but itself.

    Attributes:
        claims: what it says.
        principal: who it stands for; None when it is bound to no tenant.
        until: when it must be verified anew, in seconds since the Unix epoch.
        generation: of the key set that it was verified with.
        size: bytes of memory that it takes, about.
    """

    claims: Claims
    principal: Principal | None
    until: float
    generation: int
    size: int


# Bytes of what is remembered of a token, measured; its length counts once more for
# what those make of it who remember it in turn.
_SIZE, _SCOPE_SIZE = 1500, 150


class TokenChecks:
    """Verifies the tokens of one issuer."""

    def __init__(
        self,
        keyring: Keyring,
        expected: Expectations,
        wall_clock: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            keyring: the issuer's keys, kept current by itself.
            expected: what a token must say.
            wall_clock: seconds since the Unix epoch.
        """
        self._keyring = keyring
        self._expected = expected
        self._wall_clock = wall_clock
        self._keyed = blake2b(digest_size=32, key=token_bytes(32))
        self._recognised: FIFOCache[bytes, Verified] = FIFOCache(
            RECOGNISED_SIZE, getsizeof=lambda verified: verified.size
        )
        self._lock = Lock()

    def recognise(self, text: str) -> Verified | None:
        """A token that was verified before and needn't be again."""
        try:
            verified = self._recognised[self._digest(text)]
        except KeyError:
            return None
        return verified if self.stands(verified) else None

    def stands(self, verified: Verified) -> bool:
        """Whether a token that was verified needn't be again."""
        return (
            self._wall_clock() < verified.until
            and verified.generation == self._keyring.generation
            and self._keyring.keys is not None
        )

    def verify(self, text: str) -> Generator[Future[Any], None, Verified]:
        """Verify a token; a key that isn't known is looked for once.

        Raises:
            AuthenticationError: it is refused.
            KeysUnavailableError: the issuer's keys aren't known.
        """
        token = read_token(text)
        generation = self._keyring.generation
        key = self._keyring.key(token.kid)
        if key is None:
            yield self._keyring.refresh_for(token.kid)
            generation = self._keyring.generation
            key = self._keyring.key(token.kid)
        if key is None:
            raise self._unknown_key()
        verify_signature(token, key)
        verified = self._judge(token, generation, len(text))
        with self._lock:
            self._recognised[self._digest(text)] = verified
        return verified

    def _unknown_key(self) -> UnknownSigningKeyError | KeysUnavailableError:
        """Why a key isn't known; who can't look can't say that there is none."""
        if self._keyring.last_error is None:
            return UnknownSigningKeyError(
                "the token names a key that its issuer doesn't publish; get a new one"
            )
        return KeysUnavailableError(
            "the token names a key that isn't known, and the issuer's keys can't be"
            " loaded now; try again"
        )

    def _judge(self, token: Token, generation: int, length: int) -> Verified:
        now = self._wall_clock()
        claims = read_claims(token.payload, self._expected, now)
        ends = inf
        if claims.expires_at is not None:
            ends = claims.expires_at + self._expected.leeway
        return Verified(
            claims,
            _principal(claims, None if ends == inf else ends),
            min(ends, now + RECOGNISED_FOR),
            generation,
            _SIZE + _SCOPE_SIZE * claims.scope.count(" ") + 2 * length,
        )

    def _digest(self, text: str) -> bytes:
        digest = self._keyed.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()


def _principal(claims: Claims, ends: float | None) -> Principal | None:
    if claims.tenant is None:
        return None
    actor = None
    if claims.actor is not None:
        actor = Principal.of(Kind.USER, claims.actor, claims.tenant)
    return Principal.of(
        claims.kind,
        claims.subject,
        claims.tenant,
        limit=claims.scope.split(" ") if claims.scope else None,
        session_id=format_optional(claims.session),
        actor=actor,
        expires_at=ends,
    )
