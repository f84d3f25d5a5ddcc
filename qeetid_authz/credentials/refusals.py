"""Why a credential is refused that is genuine: who it stands for may not act."""

from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.engine.roster import Roster
from qeetid_authz.errors import (
    ApiKeyExpiredError,
    ApiKeyRevokedError,
    AuthenticationError,
    InactiveActorError,
    InactiveAgentError,
    InactiveServiceError,
    InactiveTenantError,
    InactiveUserError,
    SessionRevokedError,
    StaleError,
    TokenExpiredError,
)
from qeetid_authz.principal import Kind, Principal

_REFUSALS: dict[Reason, type[AuthenticationError]] = {
    Reason.UNKNOWN_TENANT: InactiveTenantError,
    Reason.TENANT_INACTIVE: InactiveTenantError,
    Reason.UNKNOWN_USER: InactiveUserError,
    Reason.USER_INACTIVE: InactiveUserError,
    Reason.SERVICE_INACTIVE: InactiveServiceError,
    Reason.AGENT_INACTIVE: InactiveAgentError,
    Reason.CREDENTIAL_EXPIRED: TokenExpiredError,
    Reason.CREDENTIAL_REVOKED: ApiKeyRevokedError,
    Reason.SESSION_REVOKED: SessionRevokedError,
    Reason.ACTOR_LACKS: InactiveActorError,
}


def require_standing(roster: Roster, principal: Principal) -> None:
    """Return when a principal may act at all.

    Raises:
        AuthenticationError: it may not, by one subclass a cause.
        StaleError: what is known is too old to tell.
        NotOpenError: the engine isn't open.
    """
    reason = roster.standing(principal)
    if reason is None:
        return
    if reason is Reason.STALE:
        raise StaleError(SENTENCES[reason])
    refusal = _REFUSALS[reason]
    if reason is Reason.CREDENTIAL_EXPIRED and principal.kind is Kind.API_KEY:
        refusal = ApiKeyExpiredError
    if refusal is InactiveAgentError:
        agent = roster.agent(principal.subject)
        is_ours = agent is not None and agent.tenant == principal.tenant
        status = agent.status if agent and is_ours else None
        raise InactiveAgentError(SENTENCES[reason], status)
    raise refusal(SENTENCES[reason])
