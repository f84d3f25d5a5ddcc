"""The change feed's judgement: what to do next, given what was seen.

Pure: it neither waits nor asks. A reader of the feed reports each look at the database
as a `Probe`, and is told whether to follow from where it was, to load everything anew,
or that the source can't be trusted.
"""

from dataclasses import dataclass, field

from qeetid_authz.errors import (
    DatabaseError,
    DisarmedError,
    FeedError,
    NotMigratedError,
    SchemaError,
    StandbyError,
)
from qeetid_authz.model import SESSION_MEMORY
from qeetid_authz.revision import Revision

SCHEMA_VERSION = 4
"""The version of schema `qeetid_authz` that this code reads."""

BACKLOG_LIMIT = 200_000
"""Keys in one poll beyond which loading everything is the shorter way."""

UNTRUSTWORTHY = (DisarmedError, FeedError, NotMigratedError, SchemaError)
"""Errors after which changes may have gone unseen: nothing known counts any more."""

OTHER_PAST = ("incarnation", "rewound")
"""Causes to load anew after which what was known may never have been committed."""
RESYNC_CAUSES = (
    "start",
    "incarnation",
    "rewound",
    "pruned",
    "tables",
    "backlog",
)
"""Why everything is loaded."""

_BACKOFF_FIRST = 0.05  # seconds, doubled with each
_BACKOFF_LAST = 5.0  # seconds
_BUSY_FRACTION = 0.25  # of the interval, while changes keep coming


@dataclass(frozen=True, slots=True)
class Probe:
    """What one look at the database showed.

    Attributes:
        revision: the snapshot of the look; None on a standby, which can't tell.
        version: of schema `qeetid_authz`.
        floor: the log is complete from this transaction on.
        disarmed: triggers of the feed that are missing or disabled.
        fingerprint: changes with whatever the log can't tell of.
        now: when that was by the database's clock, in seconds since the Unix epoch.
    """

    revision: Revision | None
    version: int
    floor: int
    disarmed: tuple[str, ...]
    fingerprint: str
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a replica stands; the rest as the `Probe` has it that led there."""

    revision: Revision
    fingerprint: str
    now: float = 0.0


@dataclass(slots=True)
class Replica:
    """How far a replica has come, and how it paces itself.

    Attributes:
        interval: seconds between two polls of a quiet database.
        session_memory: seconds for which a revoked session is remembered.
        cursor: where it stands; None before the first load.
        resyncs: how often it loaded everything, by cause.
        polls: how many succeeded that found which: `unchanged`, `changed`, or `loaded`
            where everything was.
        errors: how many failed, by the error's code.
        failures: polls that failed, one after the other.
        is_busy: whether the last poll found changes.
        last_cause: of the last poll to load everything; None if it needn't.
        repeats: further such polls for the same cause, one after the other.
    """

    interval: float
    session_memory: float = SESSION_MEMORY
    cursor: Cursor | None = None
    resyncs: dict[str, int] = field(default_factory=dict)
    polls: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    is_busy: bool = False
    last_cause: str | None = None
    repeats: int = 0

    def judge(self, probe: Probe) -> tuple[Revision, str | None]:
        """The revision seen, and the cause to load everything anew, if any.

        Raises:
            StandbyError: the server is a standby.
            NotMigratedError: our schema is of another version.
            DisarmedError: writes may go unlogged.
        """
        if probe.revision is None:
            raise StandbyError(
                "the server is a standby, whose snapshots are incomplete;"
                " give the address of the primary"
            )
        require_version(probe.version)
        if probe.disarmed:
            raise DisarmedError(
                f"changes go unseen for want of triggers: {', '.join(probe.disarmed)};"
                " run `qeetid-authz migrate`"
            )
        return probe.revision, self._cause(probe, probe.revision)

    def is_followed_by(self, probe: Probe) -> bool:
        """Whether `judge` would have nothing against following from where it stands."""
        seen = probe.revision
        is_sound = probe.version == SCHEMA_VERSION and not probe.disarmed
        return is_sound and seen is not None and self._cause(probe, seen) is None

    def _cause(self, probe: Probe, seen: Revision) -> str | None:
        if self.cursor is None:
            return "start"
        known = self.cursor.revision
        if seen.incarnation != known.incarnation:
            return "incarnation"
        if seen.xmax < known.xmax:
            return "rewound"
        if probe.floor > known.xmin:
            return "pruned"
        if probe.fingerprint != self.cursor.fingerprint:
            return "tables"
        return None

    def advanced(
        self, cursor: Cursor, cause: str | None, *, is_busy: bool = False
    ) -> None:
        """A poll succeeded: stand where it led.

        Args:
            cursor: where that is.
            cause: why it loaded everything; None if it didn't.
            is_busy: whether it found changes.
        """
        self.cursor = cursor
        self.is_busy = is_busy
        self.failures = 0
        self.repeats = self.repeats + 1 if cause and cause == self.last_cause else 0
        self.last_cause = cause
        found = "changed" if is_busy else "unchanged"
        if cause is not None:
            self.resyncs[cause] = self.resyncs.get(cause, 0) + 1
            found = "loaded"
        self.polls[found] = self.polls.get(found, 0) + 1

    def failed(self, error: DatabaseError) -> None:
        """A poll failed; where changes may have gone unseen, start over."""
        self.failures += 1
        self.errors[error.code] = self.errors.get(error.code, 0) + 1
        self.is_busy = False
        if isinstance(error, UNTRUSTWORTHY):
            self.cursor = None

    def pause(self, jitter: float) -> float:
        """Seconds to wait before the next poll.

        Args:
            jitter: a number from 0 to 1, so that replicas don't move in step.
        """
        vain = self.failures or self.repeats
        if vain:
            longest = min(_BACKOFF_LAST, _BACKOFF_FIRST * 2.0 ** min(vain, 10))
            return longest * (0.5 + jitter / 2)
        interval = self.interval * (_BUSY_FRACTION if self.is_busy else 1.0)
        return interval * (0.8 + jitter / 5)


def require_version(version: int) -> None:
    """Return when schema `qeetid_authz` is of the version that this code reads.

    Raises:
        NotMigratedError: it is of another.
    """
    if version != SCHEMA_VERSION:
        raise NotMigratedError(
            f"schema qeetid_authz has version {version}, this program"
            f" reads {SCHEMA_VERSION}; run `qeetid-authz migrate`"
        )
