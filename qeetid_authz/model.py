"""The facts that decisions rest on, free of any semantics.

Ids are sixteen bytes. Relations come packed, since millions of them travel from the
database to the index: `(owner, b"..." )`, the second a run of ids of a fixed width.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NoReturn, TypeAlias

from qeetid_authz.ids import Id
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


class Machine(NamedTuple):
    """A row of `auth.service_principals` or `auth.agents`, without its secret.

    `scopes` are those it is registered with; `status` is `active`, or else what keeps
    it from acting: `disabled`, `suspended` or `decommissioned`.
    """

    tenant: Id
    scopes: tuple[str, ...]
    status: str


class OidcClient(NamedTuple):
    """A row of `auth.oidc_clients`: who may ask about tokens.

    `secret_hash` is as in `ApiKey`, None where there is no secret.
    """

    tenant: Id
    client_id: str
    secret_hash: str | None
    is_public: bool


class IpRule(NamedTuple):
    """A row of `tenant.ip_rules`: `action` is `allow` or `deny`."""

    tenant: Id
    cidr: str
    action: str
    label: str


SESSION_MEMORY = 2 * 3600.0
"""Seconds for which it is remembered that a session was revoked, unless told otherwise:
the longest life of its tokens, and slack for clocks that differ."""

ACTIVE = "active"
MAY_ACT = frozenset({ACTIVE, "invited"})
"""The statuses of a user who may act; a tenant must be `active`."""

Packed: TypeAlias = list[tuple[Id, bytes]]
"""For each owner a run of ids."""


def pack_members(pairs: Iterable[tuple[Id, Id]]) -> bytes:
    """Pack memberships, (user, group), into a block for each group.

    A block is the group's id, the number of its members in four bytes, big-endian, and
    their ids, which takes half of what pairs would.
    """
    blocks: dict[Id, list[Id]] = {}
    for user, group in pairs:
        blocks.setdefault(group, []).append(user)
    return b"".join(
        group + len(users).to_bytes(4, "big") + b"".join(users)
        for group, users in blocks.items()
    )


def unpack_members(run: bytes) -> Iterator[tuple[Id, bytes]]:
    """The groups of such a run, each with its members' ids."""
    at = 0
    while at < len(run):
        begin = at + 20
        end = begin + 16 * int.from_bytes(run[at + 16 : begin], "big")
        yield run[at : at + 16], run[begin:end]
        at = end


@dataclass(slots=True)
class Snapshot:
    """Every fact of a database at one revision.

    Attributes:
        statuses: users by status, the ids of one status in a run; the
            sooner read if they ascend.
        role_permissions: for each role a run of permission ids.
        user_roles: for each tenant a run of (user, role) pairs.
        group_members: for each tenant what `pack_members` makes of its memberships;
            read once, since they are most of all there is.
        group_roles: for each tenant a run of (group, role) pairs.
        revoked_sessions: when each was revoked, in seconds since the Unix epoch, of
            those that may still matter, the earliest first.
        session_memory: seconds for which a revoked session may still matter.
        ip_enforced: the tenants that heed their IP rules.
    """

    revision: Revision
    permissions: dict[Id, str] = field(default_factory=dict)
    roles: dict[Id, Owned] = field(default_factory=dict)
    groups: dict[Id, Owned] = field(default_factory=dict)
    tenants: dict[Id, str] = field(default_factory=dict)
    statuses: list[tuple[str, bytes]] = field(default_factory=list)
    role_permissions: Packed = field(default_factory=list)
    user_roles: Packed = field(default_factory=list)
    group_members: Iterable[tuple[Id, bytes]] = field(default_factory=list)
    group_roles: Packed = field(default_factory=list)
    api_keys: dict[Id, ApiKey] = field(default_factory=dict)
    services: dict[Id, Machine] = field(default_factory=dict)
    agents: dict[Id, Machine] = field(default_factory=dict)
    revoked_sessions: dict[Id, float] = field(default_factory=dict)
    session_memory: float = SESSION_MEMORY
    clients: dict[Id, OidcClient] = field(default_factory=dict)
    ip_rules: dict[Id, IpRule] = field(default_factory=dict)
    ip_enforced: set[Id] = field(default_factory=set)


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
        revoked_sessions: when each was revoked; None doesn't take a revocation back.
        ip_enforced: whether a tenant heeds its IP rules.
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
    services: dict[Id, Machine | None] = field(default_factory=dict)
    agents: dict[Id, Machine | None] = field(default_factory=dict)
    revoked_sessions: dict[Id, float | None] = field(default_factory=dict)
    clients: dict[Id, OidcClient | None] = field(default_factory=dict)
    ip_rules: dict[Id, IpRule | None] = field(default_factory=dict)
    ip_enforced: dict[Id, bool] = field(default_factory=dict)


Update: TypeAlias = Snapshot | Changes | Revision
"""What a look at a database finds: all facts, what changed, or that nothing did."""
