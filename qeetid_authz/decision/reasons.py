"""Why a decision is what it is."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """Why a decision is what it is: a closed set."""

    GRANTED = "granted"
    NO_GRANT = "no_grant"
    UNKNOWN_PERMISSION = "unknown_permission"
    OUT_OF_SCOPE = "out_of_scope"
    ACTOR_LACKS = "actor_lacks"
    IP_DENIED = "ip_denied"
    UNKNOWN_TENANT = "unknown_tenant"
    TENANT_INACTIVE = "tenant_inactive"
    UNKNOWN_USER = "unknown_user"
    USER_INACTIVE = "user_inactive"
    SERVICE_INACTIVE = "service_inactive"
    AGENT_INACTIVE = "agent_inactive"
    CREDENTIAL_EXPIRED = "credential_expired"
    CREDENTIAL_REVOKED = "credential_revoked"
    SESSION_REVOKED = "session_revoked"
    STALE = "stale"


SENTENCES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.GRANTED: "a role or a scope grants this permission",
        Reason.NO_GRANT: "no role grants this permission for this user in this tenant",
        Reason.UNKNOWN_PERMISSION: "no permission has this key",
        Reason.OUT_OF_SCOPE: "the credential's scopes don't include this permission",
        Reason.ACTOR_LACKS: "who acts on the subject's behalf lacks this permission",
        Reason.IP_DENIED: "the tenant's IP rules don't let this address in",
        Reason.UNKNOWN_TENANT: "no tenant has this id",
        Reason.TENANT_INACTIVE: "the tenant is suspended or deleted",
        Reason.UNKNOWN_USER: "no user has this id",
        Reason.USER_INACTIVE: "the user is suspended or deleted",
        Reason.SERVICE_INACTIVE: "the service principal is unknown or disabled",
        Reason.AGENT_INACTIVE: "the agent is unknown or not active",
        Reason.CREDENTIAL_EXPIRED: "the credential's time is over",
        Reason.CREDENTIAL_REVOKED: "the API key is unknown or revoked",
        Reason.SESSION_REVOKED: "the session was revoked",
        Reason.STALE: "the replica is older than its staleness bound",
    }
)
"""Each reason in words; that of `no_grant` is Qeet ID's own (fact 1.4)."""
