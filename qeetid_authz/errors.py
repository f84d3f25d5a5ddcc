"""Everything this package raises on purpose.

    AuthzError
    ├── NotOpenError            used before opening or after closing
    ├── PermissionDenied        `require` was refused
    ├── DocumentError           a declarative document breaks its rules
    ├── ImportConflictError     a document contradicts the database
    └── DatabaseError           the database can't serve as a source
        ├── UnreachableError    it doesn't answer
        ├── SchemaError         its tables aren't Qeet ID's
        ├── NotMigratedError    our schema is missing or of another version
        ├── StandbyError        it is a standby
        ├── DisarmedError       a change trigger is missing or disabled
        ├── FeedError           the feed failed in a way that nobody foresaw
        └── MigrationBusyError  another migration is running

Each class has a stable `code`. A message names the input and the remedy,
starts in lower case and puts what the caller gave in backticks.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from qeetid_authz.decision import Decision


class AuthzError(Exception):
    """Base of all errors of this package."""

    code: ClassVar[str] = "error"


class NotOpenError(AuthzError):
    """The authorizer was used before it was opened or after it was closed."""

    code = "not_open"


class PermissionDenied(AuthzError):  # noqa: N818  (an outcome, and the agreed name)
    """A required permission isn't held.

    Attributes:
        decision: the denial, with its reason, revision and age.
    """

    code = "permission_denied"

    def __init__(self, message: str, decision: "Decision") -> None:
        super().__init__(message)
        self.decision = decision


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
