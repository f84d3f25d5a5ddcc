"""May this principal do that? A total function of index, question and time."""

from dataclasses import dataclass

from qeetid_authz.decision.authority import authority, effective, limits
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.decision.standing import obstacle
from qeetid_authz.index.index import Index
from qeetid_authz.index.iprules import Address
from qeetid_authz.model import IpRule
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision


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


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that a decision depends on besides the index.

    Attributes:
        principal: who asks.
        permission: the key asked for.
        now: when, in seconds since the Unix epoch.
        address: from where, if the caller said so.
    """

    principal: Principal
    permission: str
    now: float = 0.0
    address: Address | None = None


def decide(index: Index, question: Question) -> Reason:
    """Judge one question; whatever can't be told is a denial."""
    if not is_let_in(index, question.principal, question.address):
        return refusal(index, question)
    grants = effective(index, question.principal, question.now)
    if grants is not None and grants.allows(question.permission):
        return Reason.GRANTED
    return refusal(index, question)


def is_let_in(index: Index, principal: Principal, address: Address | None) -> bool:
    """Whether the tenant's IP rules let an address in; without one, whatever they say.

    Mirror semantics don't look at them, as the hosted server doesn't (fact 0.11).
    """
    if address is None or not index.is_strict:
        return True
    policy = index.ip_policies.get(principal.tenant)
    return policy is None or policy.allows(address)


def denying_rule(index: Index, question: Question) -> IpRule | None:
    """The rule that denies a question's address, if one does."""
    policy = index.ip_policies.get(question.principal.tenant)
    if policy is None or question.address is None:
        return None
    return policy.denying(question.address)


def refusal(index: Index, question: Question) -> Reason:
    """The reason of a denial: the widest obstacle first."""
    principal = question.principal
    standing = obstacle(index, principal, question.now)
    if standing is not None:
        return standing
    if not is_let_in(index, principal, question.address):
        return Reason.IP_DENIED
    held = authority(
        index, principal.kind, principal.tenant, principal.subject, question.now
    )
    holds = held is not None and held.allows(question.permission)
    if not holds and question.permission not in index.keys:
        return Reason.UNKNOWN_PERMISSION
    if index.is_strict and any(
        question.permission not in scopes for scopes in limits(index, principal)
    ):
        return Reason.OUT_OF_SCOPE
    return Reason.ACTOR_LACKS if holds else Reason.NO_GRANT
