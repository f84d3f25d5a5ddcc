"""The public keys by which an issuer's tokens are verified, kept current.

They are loaded on a thread of the keyring's own. Who verifies a token touches memory
only; who meets an unknown key may wait for a load, whose number doesn't depend on how
many ask for it.
"""

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random
from threading import Condition, Thread
from time import monotonic

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from qeetid_authz.credentials.jwks import KeySet, parse_key_set
from qeetid_authz.credentials.keyendpoint import Fetched
from qeetid_authz.credentials.keysources import source_of
from qeetid_authz.errors import (
    AuthzError,
    KeySetError,
    KeysUnavailableError,
    NotOpenError,
)

MAX_AGE = 3600.0  # seconds
REFRESH_INTERVAL = 300.0  # seconds, where the source doesn't say
UNKNOWN_KEY_INTERVAL = 2.0  # seconds from a load to one that an unknown key causes

_SHORTEST, _LONGEST = 30.0, 3600.0  # seconds, whatever the source says
_APART = 1.0  # seconds between any two loads
_RETRY_FIRST, _RETRY_LAST = 1.0, 60.0  # seconds
_PROBLEMS_TOLD = 5
_PATIENCE = 0.5  # seconds that closing waits for the thread to end

_jitter = Random()  # noqa: S311  (no secret; an application may have seeded the other)
_log = logging.getLogger("qeetid_authz")


@dataclass(frozen=True, slots=True)
class _Held:
    """The last good set, replaced as a whole; `at` is when its load began."""

    key_set: KeySet | None
    at: float
    generation: int

    def followed_by(self, key_set: KeySet, at: float) -> "_Held":
        former = self.key_set.keys if self.key_set else {}
        lost = any(key_set.keys.get(kid) != key for kid, key in former.items())
        return _Held(key_set, at, self.generation + lost)


class Keyring:
    """The keys of one issuer, by `kid`.

    The last good set serves until it is `max_age` old, whatever its source does
    meanwhile; then no key is given out before another load succeeds.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        *,
        max_age: float = MAX_AGE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Prepare; nothing is read before `start`.

        Args:
            source: an `http:` or `https:` URL, public keys as PEM, or the path of a
                file with a JWKS or PEM.
            max_age: seconds after its load for which a set serves.
            clock: seconds that never go back.

        Raises:
            TypeError, ValueError: it can't be a source, or the age none.
        """
        if not max_age > 0:
            raise ValueError(f"max_age `{max_age}` must be more than 0 seconds")
        self.max_age = max_age
        self.last_error: AuthzError | None = None
        self.loads = {"ok": 0, "failed": 0}
        self._source = source_of(source)
        self._clock = clock
        self._held = _Held(None, 0.0, 0)
        self._failures = 0
        self._turn = Condition()  # guards all that changes, and wakes the thread
        self._closed = False
        self._thread: Thread | None = None
        self._awaited: Future[None] | None = None  # the load under way, or called for
        self._due = self._began = float("-inf")

    def start(self) -> Future[None]:
        """Begin to load, and go on doing so.

        Returns:
            What is done once the first attempt is, successful or not.

        Raises:
            NotOpenError: it was started or closed before.
        """
        with self._turn:
            if self._thread is not None or self._closed:
                raise NotOpenError("a keyring is started once; make another")
            thread = Thread(target=self._run, name="qeetid-authz-keys", daemon=True)
            thread.start()
            self._thread = thread
            return self._call_for_load(self._clock())

    def close(self) -> None:
        """Load nothing and give out no key any more. Closing twice is harmless."""
        with self._turn:
            self._closed = True
            self._held = _Held(None, 0.0, self._held.generation)
            self.last_error = KeysUnavailableError("the keyring is closed")
            awaited, self._awaited = self._awaited, None
            self._turn.notify_all()
        self._source.abort()
        if awaited is not None:
            awaited.set_result(None)
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def key(self, kid: str) -> EllipticCurvePublicKey | None:
        """The key of that name; None if the issuer has none, as far as is known.

        Raises:
            KeysUnavailableError: its keys were never loaded, or too long ago.
        """
        held = self._held
        if held.key_set is None or self._clock() - held.at > self.max_age:
            raise self._unavailable(held)
        return held.key_set.keys.get(kid)

    def refresh_for(self, kid: str) -> Future[None]:
        """A load that may bring a key which `key` didn't find.

        No `kid` is remembered: what bounds the loads is their distance in time. So who
        asks for keys that nobody has can't use up the load that another waits for.

        Returns:
            What is done once it is worth asking `key` again: with the load that is
            under way, or with one that begins for this key's sake, at once or
            `UNKNOWN_KEY_INTERVAL` after the last; nothing is waited for where none
            will be made.
        """
        with self._turn:
            if self._awaited is not None:
                return self._awaited
            held = self._held.key_set
            if held is not None and kid in held.keys:  # it has come in the meantime
                return _promise(kept=True)
            if self._thread is None or self._closed:
                return _promise(kept=True)
            soonest = self._began + UNKNOWN_KEY_INTERVAL
            return self._call_for_load(max(self._clock(), soonest))

    @property
    def keys(self) -> KeySet | None:
        """The last good set while it may be used."""
        held = self._held
        in_time = self._clock() - held.at <= self.max_age
        return held.key_set if in_time else None

    @property
    def age(self) -> float | None:
        """Seconds since the last good load; None before the first."""
        held = self._held
        return None if held.key_set is None else self._clock() - held.at

    @property
    def generation(self) -> int:
        """A number that goes up whenever a load finds a key gone or changed.

        Who remembers what a key verified remembers this too, read before the key.
        """
        return self._held.generation

    def _unavailable(self, held: _Held) -> KeysUnavailableError:
        if held.key_set is None:
            what = "the issuer's keys aren't known"
        else:
            what = f"the issuer's keys are more than {self.max_age:g} s old"
        why = self.last_error or "no attempt to load them has ended yet; try again"
        return KeysUnavailableError(f"{what}: {why}")

    def _call_for_load(self, at: float) -> Future[None]:
        """Have the thread load at that time; the lock is held."""
        self._awaited = _promise()
        self._due = at
        self._turn.notify_all()
        return self._awaited

    def _run(self) -> None:
        while self._wait_for_turn():
            try:
                fetched, key_set = self._load()
            except AuthzError as error:
                pause = self._note_failure(error)
            else:
                pause = self._publish(key_set, fetched.fresh_for)
            self._rest(pause)

    def _wait_for_turn(self) -> bool:
        """Wait until a load is due, and begin it; False once the keyring is closed."""
        with self._turn:
            while not self._closed:
                now = self._clock()
                if self._due <= now:
                    self._began = now
                    self._awaited = self._awaited or _promise()
                    return True
                self._turn.wait(self._due - now)
            return False

    def _load(self) -> tuple[Fetched, KeySet]:
        name = self._source.name
        try:
            fetched = self._source.read()
            return fetched, parse_key_set(fetched.data)
        except KeysUnavailableError:
            raise
        except KeySetError as error:
            raise KeySetError(f"{name} gives nothing of use: {error}") from None
        except Exception as error:  # noqa: BLE001  (the thread never stops)
            # The text isn't ours, and might quote a key.
            why = type(error).__name__
            raise KeysUnavailableError(f"{name} can't be read ({why})") from None

    def _publish(self, key_set: KeySet, fresh_for: float | None) -> float:
        """Let a good set serve; the seconds until its source is looked at again."""
        with self._turn:
            if self._closed:
                return 0.0
            former, failure = self._held.key_set, self.last_error
            self._held = self._held.followed_by(key_set, self._began)
            self.last_error = None
            self.loads["ok"] += 1
        self._failures = 0
        if failure is not None:
            extra = {"event": "keys_recovered"}
            _log.info("%s serves again", self._source.name, extra=extra)
        # Endpoints list keys in any order: a position that changed tells nothing.
        left_out = len(key_set.problems)
        if left_out and left_out != (len(former.problems) if former else 0):
            _log.warning(
                "keys of %s are left out: %s",
                self._source.name,
                _told(key_set),
                extra={"event": "keys_left_out"},
            )
        wanted = REFRESH_INTERVAL if fresh_for is None else fresh_for
        beat = min(max(wanted, _SHORTEST), _LONGEST, self.max_age / 2)
        return max(beat, _APART)

    def _note_failure(self, error: AuthzError) -> float:
        """Keep what there is; the seconds until the next attempt."""
        with self._turn:
            if self._closed:
                return 0.0
            former, self.last_error = self.last_error, error
            self.loads["failed"] += 1
        if str(former) != str(error):
            extra = {"event": "keys_failed", "code": error.code}
            _log.warning("keys can't be loaded: %s", error, extra=extra)
        longest = min(_RETRY_FIRST * 2.0 ** min(self._failures, 10), _RETRY_LAST)
        self._failures += 1
        return max(longest * (0.5 + _jitter.random() / 2), _APART)

    def _rest(self, pause: float) -> None:
        """Tell those who waited for the load, and set the time of the next."""
        with self._turn:
            self._due = self._clock() + pause
            awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.set_result(None)


def _told(key_set: KeySet) -> str:
    """The first problems of a set; there may be thousands."""
    more = len(key_set.problems) - _PROBLEMS_TOLD
    told = "; ".join(key_set.problems[:_PROBLEMS_TOLD])
    return f"{told}; and {more} more" if more > 0 else told


def _promise(*, kept: bool = False) -> Future[None]:
    """A future that nobody who waits for it can cancel for the others."""
    promise: Future[None] = Future()
    promise.set_running_or_notify_cancel()
    if kept:
        promise.set_result(None)
    return promise
