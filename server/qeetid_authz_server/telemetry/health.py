"""Whether the sidecar can answer, and what it is busy with."""

from dataclasses import dataclass
from typing import Any, Final

from qeetid_authz.authorizer import AsyncAuthorizer

CAUSES: Final = ("draining", "loading", "stale", "keys")
"""Why a sidecar isn't ready, the first that holds."""


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
        if authorizer.is_stale:
            return "stale"
        keyring = authorizer.keyring
        return "keys" if keyring is not None and keyring.keys is None else None

    def report(self, authorizer: AsyncAuthorizer) -> dict[str, Any]:
        """The state in words, for `/readyz`.

        Members are `status` (`ready` or `unready`), `cause` when unready, `error`,
        the code of what keeps the feed from being read, `keys_error`, that of what
        keeps the issuer's keys from being read, `revision` and `age_s`, in
        seconds, `keys_age_s` where tokens are taken, each null before the first load,
        `max_staleness_s`, the age from which everything is denied, `semantics`, and
        `entries`, how many of each kind the index has.
        """
        cause = self.cause(authorizer)
        report: dict[str, Any] = {"status": "unready" if cause else "ready"}
        if cause:
            report["cause"] = cause
        if authorizer.last_error is not None:
            report["error"] = authorizer.last_error.code
        keyring = authorizer.keyring
        if keyring is not None and keyring.last_error is not None:
            report["keys_error"] = keyring.last_error.code
        loaded = authorizer.is_loaded
        report["revision"] = str(authorizer.revision) if loaded else None
        report["age_s"] = round(authorizer.age, 3) if loaded else None
        if keyring is not None:
            age = keyring.age
            report["keys_age_s"] = None if age is None else round(age, 3)
        report["max_staleness_s"] = authorizer.max_staleness
        report["semantics"] = authorizer.semantics
        report["entries"] = authorizer.sizes
        return report
