"""Whether the sidecar can answer, and what it is busy with."""

from dataclasses import dataclass
from typing import Any

from qeetid_authz.authorizer import AsyncAuthorizer


@dataclass(slots=True)
class Health:
    """What the sidecar is up to.

    Attributes:
        draining: it was told to stop, and only finishes what it began.
        in_flight: requests that it is answering.
    """

    draining: bool = False
    in_flight: int = 0

    def cause(self, authorizer: AsyncAuthorizer) -> str | None:
        """Why it isn't ready, or None when it is."""
        if self.draining:
            return "draining"
        if not authorizer.is_loaded:
            return "loading"
        return "stale" if authorizer.is_stale else None

    def report(self, authorizer: AsyncAuthorizer) -> dict[str, Any]:
        """The state in words, for `/readyz`.

        Members are `status` (`ready` or `unready`), `cause` when unready, `error`,
        the code of what keeps the feed from being read, and `revision` and `age_s`,
        in seconds, null before the first load.
        """
        cause = self.cause(authorizer)
        report: dict[str, Any] = {"status": "unready" if cause else "ready"}
        if cause:
            report["cause"] = cause
        if authorizer.last_error is not None:
            report["error"] = authorizer.last_error.code
        loaded = authorizer.is_loaded
        report["revision"] = str(authorizer.revision) if loaded else None
        report["age_s"] = round(authorizer.age, 3) if loaded else None
        return report
