"""Everything this package raises on purpose.

    AuthzError
    ├── NotOpenError                used before opening or after closing
    ├── RevisionError               what a caller wrote isn't known to be here
    │   ├── RevisionUnseenError         it hasn't arrived yet
    │   └── RevisionForeignError        it was written in another life of the database
    ├── PermissionDenied            `require` was refused
    ├── SidecarRefusedError         a sidecar doesn't take its client, or what it asks
    ├── DocumentError               a declarative document breaks its rules
    ├── ImportConflictError         a document contradicts the database
    ├── KeySetError                 what should hold public keys doesn't
    ├── SnapshotError               what was kept on disk can't be used
    ├── DatabaseError               the database can't serve as a source
    │   ├── UnreachableError        it doesn't answer
    │   ├── SchemaError             its tables aren't Qeet ID's
    │   ├── NotMigratedError        our schema is missing or of another version
    │   ├── StandbyError            it is a standby
    │   ├── DisarmedError           a change trigger is missing or disabled
    │   ├── FeedError               the feed failed in a way that nobody foresaw
    │   └── MigrationBusyError      another migration is running
    ├── AuthenticationError         a credential is refused
    │   ├── MalformedCredentialError    it isn't written as its kind is
    │   ├── TokensUnconfiguredError     tokens aren't taken here
    │   ├── UnsupportedTokenError       of another algorithm, type or extension
    │   ├── UnknownSigningKeyError      signed by a key that isn't the issuer's
    │   ├── BadSignatureError           its signature isn't that key's
    │   ├── WrongIssuerError            from somebody else
    │   ├── WrongAudienceError          for somebody else
    │   ├── TokenExpiredError           too late
    │   ├── TokenNotYetValidError       too early
    │   ├── TokenTooLongLivedError      it outlives what is remembered of sessions
    │   ├── TenantlessTokenError        bound to no tenant
    │   ├── UnknownApiKeyError          no API key is this
    │   ├── ApiKeyRevokedError          an API key, revoked
    │   ├── ApiKeyExpiredError          an API key, expired
    │   ├── SessionRevokedError         of a session that was revoked
    │   ├── InactiveTenantError         in a tenant that is gone or suspended
    │   ├── InactiveUserError           of a user who is gone or suspended
    │   ├── InactiveServiceError        of a service principal, gone or disabled
    │   ├── InactiveAgentError          of an agent, gone or not active
    │   └── InactiveActorError          the actor is gone or may not act
    └── UnavailableError            a credential can't be judged now
        ├── StaleError              what is known of who there is, is too old
        ├── KeysUnavailableError    the issuer's keys aren't known
        ├── OverloadedError         too many credentials wait to be looked at
        └── SidecarUnavailableError a sidecar can't be asked

Each class has a stable `code`. A message names the input and the remedy,
starts in lower case and puts what the caller gave in backticks, unless that is a
credential: no message quotes any part of one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from qeetid_authz.decision.decision import Decision


class AuthzError(Exception):
    """Base of all errors of this package."""

    code: ClassVar[str] = "error"


class NotOpenError(AuthzError):
    """The authorizer was used before it was opened or after it was closed."""

    code = "not_open"


class RevisionError(AuthzError):
    """An answer was to rest on a transaction that isn't known to have arrived."""

    code = "revision"


class RevisionUnseenError(RevisionError):
    """It hasn't arrived yet: it may not have been committed, or the feed is behind."""

    code = "revision_unseen"


class RevisionForeignError(RevisionError):
    """It is of another database, or of a life of this one that ended with a crash."""

    code = "revision_foreign"


class PermissionDenied(AuthzError):  # noqa: N818  (an outcome, and the agreed name)
    """A required permission isn't held.

    Attributes:
        decision: the denial, with its reason, revision and age.
    """

    code = "permission_denied"

    def __init__(self, message: str, decision: "Decision") -> None:
        super().__init__(message)
        self.decision = decision


class SidecarRefusedError(AuthzError):
    """A sidecar doesn't take the credential of its client, or what the client asks.

    How either is configured must change; no other attempt will do.

    Attributes:
        problem: the sidecar's own code for it, such as `apikey.invalid`.
    """

    code = "sidecar_refused"

    def __init__(self, message: str, problem: str) -> None:
        super().__init__(message)
        self.problem = problem


class DocumentError(AuthzError):
    """A document breaks its rules.

    Attributes:
        problems: one sentence a problem, each naming the place and the rule.
    """

    code = "document_invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the document is invalid: " + "; ".join(problems))
        self.problems = tuple(problems)


class ImportConflictError(AuthzError):
    """A document contradicts what the database already holds."""

    code = "import_conflict"


class KeySetError(AuthzError):
    """What should hold an issuer's public keys holds none that can be used."""

    code = "key_set_invalid"


class SnapshotError(AuthzError):
    """What was kept on disk can't be read or trusted, or nothing can be kept there."""

    code = "snapshot_invalid"


class DatabaseError(AuthzError):
    """The database can't serve as a source of facts."""

    code = "database"


class UnreachableError(DatabaseError):
    """The database doesn't answer, or refuses the connection."""

    code = "database_unreachable"


class SchemaError(DatabaseError):
    """The tables aren't the ones of Qeet ID.

    Attributes:
        problems: one sentence for each table or column that differs.
    """

    code = "schema_mismatch"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("this is no Qeet ID database: " + "; ".join(problems))
        self.problems = tuple(problems)


class NotMigratedError(DatabaseError):
    """Schema `qeetid_authz` is missing or of another version."""

    code = "not_migrated"


class StandbyError(DatabaseError):
    """The server is a standby, whose snapshots can't carry the change feed."""

    code = "standby"


class DisarmedError(DatabaseError):
    """A trigger of the change feed is missing or disabled."""

    code = "feed_disarmed"


class FeedError(DatabaseError):
    """The feed failed in a way that nobody foresaw, and starts over."""

    code = "feed_broken"


class MigrationBusyError(DatabaseError):
    """Another migration of the same database is running."""

    code = "migration_busy"


class AuthenticationError(AuthzError):
    """A credential is refused."""

    code = "unauthenticated"


class MalformedCredentialError(AuthenticationError):
    """A credential isn't written as its kind is."""

    code = "credential_malformed"


class TokensUnconfiguredError(AuthenticationError):
    """Nobody said whose tokens are taken."""

    code = "tokens_unconfigured"


class UnsupportedTokenError(AuthenticationError):
    """A token of another algorithm or type, or one that needs an extension."""

    code = "token_unsupported"


class UnknownSigningKeyError(AuthenticationError):
    """A token names a key that isn't among the issuer's."""

    code = "token_unknown_key"


class BadSignatureError(AuthenticationError):
    """A token's signature isn't that of the key it names."""

    code = "token_bad_signature"


class WrongIssuerError(AuthenticationError):
    """A token comes from somebody else."""

    code = "token_wrong_issuer"


class WrongAudienceError(AuthenticationError):
    """A token is meant for somebody else."""

    code = "token_wrong_audience"


class TokenExpiredError(AuthenticationError):
    """A token's time is over."""

    code = "token_expired"


class TokenNotYetValidError(AuthenticationError):
    """A token's time hasn't come."""

    code = "token_not_yet_valid"


class TokenTooLongLivedError(AuthenticationError):
    """A session's token outlives what is remembered of revoked sessions."""

    code = "token_too_long_lived"


class TenantlessTokenError(AuthenticationError):
    """A token is bound to no tenant, so nothing can be decided for it."""

    code = "token_tenantless"


class UnknownApiKeyError(AuthenticationError):
    """No API key is this one."""

    code = "api_key_unknown"


class ApiKeyRevokedError(AuthenticationError):
    """An API key was revoked."""

    code = "api_key_revoked"


class ApiKeyExpiredError(AuthenticationError):
    """An API key's time is over."""

    code = "api_key_expired"


class SessionRevokedError(AuthenticationError):
    """The session that a token belongs to was revoked."""

    code = "session_revoked"


class InactiveTenantError(AuthenticationError):
    """The tenant is unknown, suspended or deleted."""

    code = "tenant_inactive"


class InactiveUserError(AuthenticationError):
    """The user is unknown, suspended or deleted."""

    code = "user_inactive"


class InactiveServiceError(AuthenticationError):
    """The service principal is unknown or disabled."""

    code = "service_inactive"


class InactiveAgentError(AuthenticationError):
    """The agent is unknown or not active.

    Attributes:
        status: what it is instead of active; None when it is unknown.
    """

    code = "agent_inactive"

    def __init__(self, message: str, status: str | None = None) -> None:
        super().__init__(message)
        self.status = status


class InactiveActorError(AuthenticationError):
    """Who acts on the subject's behalf is unknown or may not act."""

    code = "actor_inactive"


class UnavailableError(AuthzError):
    """A credential can't be judged now; another attempt may succeed."""

    code = "unavailable"


class StaleError(UnavailableError):
    """The replica is too old to tell whether a credential still stands."""

    code = "stale"


class KeysUnavailableError(UnavailableError):
    """The keys of the tokens' issuer aren't known, or are too old to be trusted."""

    code = "keys_unavailable"


class OverloadedError(UnavailableError):
    """Too many credentials wait to be looked at."""

    code = "overloaded"


class SidecarUnavailableError(UnavailableError):
    """A sidecar can't be asked: it doesn't answer, can't tell, or isn't one.

    Attributes:
        cause: why, from the closed set of `docs/integrations/client.md`.
    """

    code = "sidecar_unavailable"

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause
