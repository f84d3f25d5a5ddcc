"""What an authorizer can be told, and every way to get it wrong."""

import os
from dataclasses import dataclass
from math import inf
from typing import TypedDict

from qeetid_authz.model import Semantics

POLL_INTERVAL = 0.02  # seconds
MAX_STALENESS = 30.0  # seconds
AT_LEAST_TIMEOUT = 1.0  # seconds
ISSUER = AUDIENCE = "qeet-id"
"""What a Qeet ID server says unless told otherwise (fact 4)."""
MAX_TOKEN_LIFE = 3600.0  # seconds
LONGEST_TOKEN_LIFE = 366 * 86400.0  # seconds


class Given(TypedDict, total=False):
    """The keywords of an authorizer; `Options` says what they mean."""

    semantics: Semantics | str
    max_staleness: float
    poll_interval: float
    jwks: str | None
    issuer: str
    audience: str
    leeway: float
    max_token_life: float
    at_least_timeout: float
    raises_stale: bool
    snapshot_dir: str | os.PathLike[str] | None
    snapshot_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The same, valid once it exists.

    Attributes:
        semantics: `strict` or `mirror`.
        max_staleness: seconds without word from the database after which everything
            is denied as `stale`.
        poll_interval: seconds between two looks at a quiet database.
        jwks: where the public keys of the tokens' issuer are: a URL, a file of a JWKS
            or of PEM keys, or PEM text; without it no tokens are taken.
        issuer: the `iss` that a token must have.
        audience: what must be among its `aud`.
        leeway: seconds by which the issuer's clock may differ.
        max_token_life: seconds that a token of a session may live at most; for so
            long, and some more, revoked sessions are remembered.
        at_least_timeout: seconds to wait for a transaction that an answer must take
            into account.
        raises_stale: whether to raise StaleError instead of denying as `stale`.
        snapshot_dir: a directory to keep what is known in, for a start while the
            database is away; one for each authorizer.
        snapshot_key: a secret that what is kept is authenticated with.
    """

    semantics: Semantics | str = Semantics.STRICT
    max_staleness: float = MAX_STALENESS
    poll_interval: float = POLL_INTERVAL
    jwks: str | None = None
    issuer: str = ISSUER
    audience: str = AUDIENCE
    leeway: float = 0.0
    max_token_life: float = MAX_TOKEN_LIFE
    at_least_timeout: float = AT_LEAST_TIMEOUT
    raises_stale: bool = False
    snapshot_dir: str | os.PathLike[str] | None = None
    snapshot_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: it names the option and the rule.
        """
        if not 0 < self.poll_interval < self.max_staleness:
            raise ValueError(
                f"poll_interval `{self.poll_interval}` must be more than 0 seconds and"
                f" less than max_staleness `{self.max_staleness}`"
            )
        is_long = 0 < self.max_token_life <= LONGEST_TOKEN_LIFE
        if not 0 <= self.leeway < inf or not is_long:
            raise ValueError(
                f"leeway `{self.leeway}` must be at least 0 seconds, and max_token_life"
                f" `{self.max_token_life}` more than 0 and at most"
                f" {LONGEST_TOKEN_LIFE:g}"
            )
        if not 0 < self.at_least_timeout < inf:
            raise ValueError(
                f"at_least_timeout `{self.at_least_timeout}` must be more than 0 seconds"
            )
        names: dict[str, object] = {"issuer": self.issuer, "audience": self.audience}
        for option, name in names.items():
            if not isinstance(name, str) or not name:
                raise ValueError(
                    f"{option} must be a string that isn't empty, not `{name}`"
                )
