"""The facts that decisions rest on, free of any semantics.

Ids are sixteen bytes. Relations come packed, since millions of them travel from the
database to the index: `(owner, b"..." )`, the second a run of ids of a fixed width.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NoReturn, TypeAlias

from qeetid_authz.ids import Id, format_id, parse_id
from qeetid_authz.revision import Revision


class Semantics(StrEnum):
    """How facts become decisions.

    `strict` is what Qeet ID's documentation promises: tenants are isolated, and
    nobody suspended or deleted may act. `mirror` is what its server answers.
    """

    STRICT = "strict"
    MIRROR = "mirror"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"`{value}` is no semantics; say `strict` or `mirror`")


class Kind(StrEnum):
    """What sort of principal acts."""

    USER = "user"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated subject in one tenant.

    Attributes:
        kind: what sort of principal it is.
        id: its id, canonical.
        tenant_id: the tenant in which it acts, canonical.
        key: the bytes of the tenant's id and its own, by which an index finds it.
    """

    kind: Kind
    id: str
    tenant_id: str
    key: bytes = field(repr=False, compare=False)

    @classmethod
    def user(cls, user_id: str, tenant_id: str) -> "Principal":
        """A user acting in a tenant.

        Raises:
            TypeError: an id is no string.
            ValueError: an id is no UUID.
        """
        return cls.of(Kind.USER, parse_id(user_id), parse_id(tenant_id))

    @classmethod
    def of(cls, kind: Kind, subject: Id, tenant: Id) -> "Principal":
        """The same from ids that are parsed already."""
        return cls(kind, format_id(subject), format_id(tenant), tenant + subject)

    @property
    def tenant(self) -> Id:
        """The tenant's id as bytes."""
        return self.key[:16]

    @property
    def subject(self) -> Id:
        """The principal's own id as bytes."""
        return self.key[16:]


class Owned(NamedTuple):
    """A role or a group: whose it is and what it is called."""

    tenant: Id
    name: str


class ApiKey(NamedTuple):
    """A row of `auth.api_keys`, without its secret.

    `secret_hash` is the stored Argon2id or bcrypt string; `expires_at` is in seconds
    since the Unix epoch, infinite where the database says so.
    """

    tenant: Id
    user: Id | None
    prefix: str
    secret_hash: str
    scopes: tuple[str, ...]
    expires_at: float | None
    revoked: bool


ACTIVE = "active"
MAY_ACT = frozenset({ACTIVE, "invited"})
"""The statuses of a user who may act; a tenant must be `active`."""

Packed: TypeAlias = list[tuple[Id, bytes]]
"""For each owner a run of ids."""


@dataclass(slots=True)
class Snapshot:
    """Every fact of a database at one revision.

    Attributes:
        statuses: users by status, the ids of one status in a run.
        role_permissions: for each role a run of permission ids.
        user_roles: for each tenant a run of (user, role) pairs.
        group_members: for each tenant a run of (user, group) pairs.
        group_roles: for each tenant a run of (group, role) pairs.
    """

    revision: Revision
    permissions: dict[Id, str] = field(default_factory=dict)
    roles: dict[Id, Owned] = field(default_factory=dict)
    groups: dict[Id, Owned] = field(default_factory=dict)
    tenants: dict[Id, str] = field(default_factory=dict)
    statuses: list[tuple[str, bytes]] = field(default_factory=list)
    role_permissions: Packed = field(default_factory=list)
    user_roles: Packed = field(default_factory=list)
    group_members: Packed = field(default_factory=list)
    group_roles: Packed = field(default_factory=list)
    api_keys: dict[Id, ApiKey] = field(default_factory=dict)


Pair: TypeAlias = tuple[Id, Id]
Triple: TypeAlias = tuple[Id, Id, Id]


@dataclass(slots=True)
class Changes:
    """What may differ between two revisions, as it is at the later one.

    A thing that is gone is None, a relation that is gone False. A change that turns
    out to be none is harmless.

    Attributes:
        role_permissions: (role, permission).
        user_roles: (tenant, user, role).
        group_members: (tenant, user, group).
        group_roles: (tenant, group, role).
    """

    revision: Revision
    permissions: dict[Id, str | None] = field(default_factory=dict)
    roles: dict[Id, Owned | None] = field(default_factory=dict)
    groups: dict[Id, Owned | None] = field(default_factory=dict)
    tenants: dict[Id, str | None] = field(default_factory=dict)
    users: dict[Id, str | None] = field(default_factory=dict)
    role_permissions: dict[Pair, bool] = field(default_factory=dict)
    user_roles: dict[Triple, bool] = field(default_factory=dict)
    group_members: dict[Triple, bool] = field(default_factory=dict)
    group_roles: dict[Triple, bool] = field(default_factory=dict)
    api_keys: dict[Id, ApiKey | None] = field(default_factory=dict)
