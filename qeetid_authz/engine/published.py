"""The index that is current: published by one, read by many."""

from collections.abc import Callable
from math import inf
from threading import Lock
from typing import TypeAlias

from qeetid_authz.decision.decision import Basis, Decision
from qeetid_authz.engine.seats import Seats
from qeetid_authz.errors import (
    AuthzError,
    NotOpenError,
    RevisionForeignError,
    RevisionUnseenError,
    StaleError,
)
from qeetid_authz.index.applying import apply_changes
from qeetid_authz.index.compiler import compile_snapshot
from qeetid_authz.index.index import Index
from qeetid_authz.index.moving import Moves
from qeetid_authz.model import Changes, Semantics, Snapshot, Update
from qeetid_authz.revision import Revision, RevisionToken

NO_REVISION = Revision("none", 0, 0)

CREDENTIAL_MARGIN = 1.0
"""Seconds before its end from which on a credential is judged at every question."""


_MANY = 10_000  # grounds, beyond which all seats are sooner taken away

Prepared: TypeAlias = Index | Moves | None


def _timeless() -> float:
    return 0.0


class Published:
    """An index, its revision, and whether they still count.

    The lock is held for as long as it takes to apply a change, and by whoever must see
    exactly one revision. `_answers` is read without it: it maps the principals that
    were asked about to the answers of their `Grants`, which never change, and a change
    vacates the seats of those whose answers may differ. So is `_reasons`, which maps
    them to the reasons of decisions, and `_decisions`, the decision of each reason at
    one revision: another dict at the next, put there when all else is of that.

    Attributes:
        edition: differs whenever what is published does, and when it stops counting;
            what was found out at one edition holds for as long as that lasts.
    """

    def __init__(
        self,
        semantics: Semantics | str = Semantics.STRICT,
        clock: Callable[[], float] = _timeless,
        max_staleness: float = inf,
        wall_clock: Callable[[], float] = _timeless,
        *,
        raises_stale: bool = False,
    ) -> None:
        """Make an engine that knows nothing yet.

        Args:
            semantics: `strict` or `mirror`.
            clock: seconds that never run backwards, for the age of answers.
            max_staleness: seconds of age from which everything is denied; who owns
                the clock calls `expire` then, since `can` doesn't look at it.
            wall_clock: seconds since the Unix epoch, for the end of credentials.
            raises_stale: whether what would be denied as `stale` raises instead.
        """
        self._semantics = Semantics(semantics)
        self._clock = clock
        self._wall_clock = wall_clock
        self.max_staleness = max_staleness
        self._raises_stale = raises_stale
        self._lock = Lock()
        self._seats = Seats()
        self._answers = self._seats.answers
        self._reasons = self._seats.reasons
        self._decisions: dict[str, Decision] = {}
        self._index: Index | None = None
        self._basis = Basis(NO_REVISION, 0.0, clock)
        self._stale_from = max_staleness
        self._expired = False
        self._is_shut = False
        self.edition = 0
        self._why_not: AuthzError = NotOpenError(
            "this authorizer isn't open; use `with Authorizer.open(dsn) as authz:`"
        )

    def prepare(self, update: Update) -> Prepared:
        """What `publish` needs of an update: most of the work, done while others ask.

        For whoever publishes, on any thread; what was prepared is published next.
        """
        if isinstance(update, Snapshot):
            return compile_snapshot(update, self._semantics)
        if isinstance(update, Revision):
            return None
        moves = Moves(update)
        if (index := self._index) is not None:
            moves.make(index)
        return moves

    def publish(
        self,
        update: Update,
        current_at: float,
        prepared: Prepared = None,
    ) -> None:
        """Make a later revision current; an engine that was shut stays so.

        Args:
            update: all facts, what changed, or just the revision when nothing did.
            current_at: when, by this engine's clock, the revision was surely current.
            prepared: what `prepare` made of it, if that was called before.
        """
        if prepared is None:
            prepared = self.prepare(update)
        with self._lock:
            if self._is_shut:
                return
            revision = update if isinstance(update, Revision) else update.revision
            is_other = self._expired or revision is not update
            if isinstance(prepared, Index):
                if self._index is not None:
                    former = self._index.identities
                    prepared.identities.remember(former, self._wall_clock())
                self._index = prepared
                self._seats.clear()
            elif isinstance(update, Changes):
                self._apply(update, prepared)
            if revision is update and revision == self._basis.revision:
                self._basis.current_at = current_at
            else:
                self._basis = Basis(revision, current_at, self._clock)
                self._decisions = {}
            # After that: no decision of a revision before is given for longer.
            self._stale_from = current_at + self.max_staleness
            self._expired = False
            if is_other:  # Now, so that who looked meanwhile looks again.
                self.edition += 1

    def _apply(self, changes: Changes, moves: Moves | None) -> None:
        index, now = self._require_index(), self._wall_clock()
        touched = apply_changes(index, changes, now, moves)
        if changes.permissions:
            self._seats.forget_reasons()
        if touched.everyone or len(touched.grounds) > _MANY:
            self._seats.clear()
        else:
            for ground in touched.grounds:
                self._seats.vacate(ground)

    def expire(self, *, only_if_old: bool = False) -> bool:
        """Deny everything as `stale` until the next revision is published.

        Args:
            only_if_old: leave an index alone that is within its staleness bound.

        Returns:
            Whether everything is denied now.
        """
        with self._lock:
            if not only_if_old or self._clock() > self._stale_from:
                self._expired = True
                self._seats.clear()
                self.edition += 1
            return self._expired

    def expire_credentials(self) -> None:
        """Take away the seats of credentials that are about to end.

        Who owns the clock calls it at least once in `CREDENTIAL_MARGIN` seconds.
        """
        with self._lock:
            self._seats.expire(self._wall_clock() + CREDENTIAL_MARGIN)
            self.edition += 1

    def shut(self, why: AuthzError) -> None:
        """Answer nothing any more: every question raises `why`."""
        with self._lock:
            self._is_shut = True
            self.edition += 1
            self._why_not = why
            self._index = None
            self._seats.clear()

    def require_open(self) -> None:
        """Return when there is an index to answer from.

        Raises:
            NotOpenError: there is none yet, or any more.
        """
        self._require_index()

    def require_seen(self, token: RevisionToken) -> None:
        """Return when what a transaction wrote is in the current revision.

        Raises:
            RevisionUnseenError: it isn't.
            RevisionForeignError: nor will it be.
            NotOpenError: there is no revision.
        """
        self._require_index()
        revision = self.revision
        if revision.has_seen(token):
            return
        if revision.incarnation != token.incarnation:
            raise RevisionForeignError(
                f"the revision token `{token}` is of another database, or of another life"
                f" of it than `{revision}`; write again, or ask without it"
            )
        raise RevisionUnseenError(
            f"what was written at `{token}` isn't in `{revision}`; ask again once its"
            " transaction is committed"
        )

    def _must_refuse(self) -> bool:
        """Whether everything is denied because the index is too old.

        Raises:
            StaleError: it is, and whoever owns it wants to be told so.
        """
        if not self.is_stale:
            return False
        if self._raises_stale:
            raise StaleError(
                f"what is known is {self.age:.1f} seconds old, or not to be trusted"
                " since; see why the database can't be followed"
            )
        return True

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
        return self._basis.revision

    @property
    def age(self) -> float:
        """Seconds since that snapshot was known to be current."""
        return self._basis.age

    @property
    def is_loaded(self) -> bool:
        """Whether there is an index to answer from."""
        return self._index is not None

    @property
    def is_stale(self) -> bool:
        """Whether everything is denied because the index is too old."""
        return self._expired or self._clock() > self._stale_from
