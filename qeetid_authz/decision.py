"""May this principal do that? A total function of index and question."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from qeetid_authz.index import Index
from qeetid_authz.model import MAY_ACT, Principal
from qeetid_authz.revision import Revision


class Reason(StrEnum):
    """Why a decision is what it is: a closed set."""

    GRANTED = "granted"
    NO_GRANT = "no_grant"
    UNKNOWN_PERMISSION = "unknown_permission"
    UNKNOWN_TENANT = "unknown_tenant"
    TENANT_INACTIVE = "tenant_inactive"
    UNKNOWN_USER = "unknown_user"
    USER_INACTIVE = "user_inactive"
    STALE = "stale"


SENTENCES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.GRANTED: "a role grants this permission",
        Reason.NO_GRANT: "no role grants this permission for this user in this tenant",
        Reason.UNKNOWN_PERMISSION: "no permission has this key",
        Reason.UNKNOWN_TENANT: "no tenant has this id",
        Reason.TENANT_INACTIVE: "the tenant is suspended or deleted",
        Reason.UNKNOWN_USER: "no user has this id",
        Reason.USER_INACTIVE: "the user is suspended or deleted",
        Reason.STALE: "the replica is older than its staleness bound",
    }
)
"""Each reason in words; that of `no_grant` is Qeet ID's own (fact 1.4)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer and what it rests on; true when allowed.

    Attributes:
        allowed: whether the principal may.
        reason: why.
        revision: the snapshot it was made at.
        age: seconds since that snapshot was known to be current.
    """

    allowed: bool
    reason: Reason
    revision: Revision
    age: float

    def __bool__(self) -> bool:
        return self.allowed


def decide(index: Index, principal: Principal, permission: str) -> Reason:
    """Judge one question; whatever can't be told is a denial."""
    grants = index.grants(principal.tenant, principal.subject)
    if grants is not None and grants.allows(permission):
        return Reason.GRANTED
    return refusal(index, principal, permission)


def refusal(index: Index, principal: Principal, permission: str) -> Reason:
    """The reason of a denial: the widest obstacle first, tenant before user.

    Mirror semantics know neither tenants nor users, only grants.
    """
    if index.is_strict and (obstacle := _inactive(index, principal)):
        return obstacle
    if permission not in index.keys:
        return Reason.UNKNOWN_PERMISSION
    return Reason.NO_GRANT


def _inactive(index: Index, principal: Principal) -> Reason | None:
    tenant = index.tenants.get(principal.tenant)
    if tenant is None or tenant.status is None:
        return Reason.UNKNOWN_TENANT
    if not index.is_open(tenant):
        return Reason.TENANT_INACTIVE
    status = index.users.get(principal.subject)
    if status is None:
        return Reason.UNKNOWN_USER
    return None if status in MAY_ACT else Reason.USER_INACTIVE
