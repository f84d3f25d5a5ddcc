"""The index that is current: published by one, read by many."""

from collections.abc import Callable
from math import inf
from threading import Lock

from qeetid_authz.applying import apply_changes
from qeetid_authz.compiler import compile_snapshot
from qeetid_authz.errors import AuthzError, NotOpenError
from qeetid_authz.index import Index
from qeetid_authz.model import Changes, Semantics, Snapshot
from qeetid_authz.revision import Revision

NO_REVISION = Revision("none", 0, 0)


def _timeless() -> float:
    return 0.0


class Published:
    """An index, its revision, and whether they still count.

    The lock is held for as long as it takes to apply a change, and by whoever must see
    exactly one revision. `_seats` is read without it: it maps the principals that were
    asked about to the answers of their `Grants`, which never change, and a change
    takes away the seats of those whose answers may differ.
    """

    def __init__(
        self,
        semantics: Semantics | str = Semantics.STRICT,
        clock: Callable[[], float] = _timeless,
        max_staleness: float = inf,
    ) -> None:
        """Make an engine that knows nothing yet.

        Args:
            semantics: `strict` or `mirror`.
            clock: seconds that never run backwards, for the age of answers.
            max_staleness: seconds of age from which everything is denied; who owns
                the clock calls `expire` then, since `can` doesn't look at it.
        """
        self._semantics = Semantics(semantics)
        self._clock = clock
        self.max_staleness = max_staleness
        self._lock = Lock()
        self._seats: dict[bytes, dict[str, bool]] = {}
        self._index: Index | None = None
        self._revision = NO_REVISION
        self._current_at = 0.0
        self._expired = False
        self._is_shut = False
        self._why_not: AuthzError = NotOpenError(
            "this authorizer isn't open; use `with Authorizer.open(dsn) as authz:`"
        )

    def compile(self, snapshot: Snapshot) -> Index:
        """What `publish` needs of a snapshot; may run on any thread, and takes long."""
        return compile_snapshot(snapshot, self._semantics)

    def publish(
        self,
        update: Snapshot | Changes | Revision,
        current_at: float,
        compiled: Index | None = None,
    ) -> None:
        """Make a later revision current; an engine that was shut stays so.

        Args:
            update: all facts, what changed, or just the revision when nothing did.
            current_at: when, by this engine's clock, the revision was surely current.
            compiled: the index of the snapshot, if it was compiled before.
        """
        if isinstance(update, Snapshot) and compiled is None:
            compiled = self.compile(update)
        with self._lock:
            if self._is_shut:
                return
            revision = update if isinstance(update, Revision) else update.revision
            if compiled is not None:
                self._index = compiled
                self._seats = {}
            elif isinstance(update, Changes):
                self._apply(update)
            self._revision = revision
            self._current_at = current_at
            self._expired = False

    def _apply(self, changes: Changes) -> None:
        touched = apply_changes(self._require_index(), changes)
        if touched.everyone:
            self._seats = {}
        else:
            for row in touched.rows:
                self._seats.pop(row, None)

    def expire(self, *, only_if_old: bool = False) -> bool:
        """Deny everything as `stale` until the next revision is published.

        Args:
            only_if_old: leave an index alone that is within its staleness bound.

        Returns:
            Whether everything is denied now.
        """
        with self._lock:
            if not only_if_old or self.age > self.max_staleness:
                self._expired = True
                self._seats = {}
            return self._expired

    def shut(self, why: AuthzError) -> None:
        """Answer nothing any more: every question raises `why`."""
        with self._lock:
            self._is_shut = True
            self._why_not = why
            self._index = None
            self._seats = {}

    def _require_index(self) -> Index:
        if self._index is None:
            raise self._why_not
        return self._index

    @property
    def semantics(self) -> Semantics:
        """How facts become decisions here."""
        return self._semantics

    @property
    def revision(self) -> Revision:
        """The snapshot that answers come from."""
        return self._revision

    @property
    def age(self) -> float:
        """Seconds since that snapshot was known to be current."""
        return self._clock() - self._current_at

    @property
    def is_loaded(self) -> bool:
        """Whether there is an index to answer from."""
        return self._index is not None

    @property
    def is_stale(self) -> bool:
        """Whether everything is denied because the index is too old."""
        return self._expired or self.age > self.max_staleness
