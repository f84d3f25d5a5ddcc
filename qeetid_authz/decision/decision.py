"""May this principal do that? A total function of index, question and time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from qeetid_authz.decision.authority import authority, effective, limits
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.decision.standing import obstacle
from qeetid_authz.index.index import Index
from qeetid_authz.index.iprules import LET_IN, Address, Verdict
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision


class Basis:
    """What decisions rest on: a revision, and when it was last known to be current.

    Attributes:
        revision: the snapshot.
        current_at: when, by the clock, it was surely current.
    """

    __slots__ = ("_clock", "current_at", "revision")

    def __init__(
        self, revision: Revision, current_at: float, clock: Callable[[], float]
    ) -> None:
        self.revision = revision
        self.current_at = current_at
        self._clock = clock

    @property
    def age(self) -> float:
        """Seconds since the revision was last known to be current."""
        current_at = self.current_at  # before the clock: it moves on meanwhile
        return self._clock() - current_at


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer and what it rests on; true when allowed.

    All that are decided alike at one revision may be given the same object.

    Attributes:
        allowed: whether the principal may.
        reason: why.
        basis: what it rests on.
    """

    allowed: bool
    reason: Reason
    basis: Basis = field(repr=False)

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def revision(self) -> Revision:
        """The snapshot it was made at."""
        return self.basis.revision

    @property
    def age(self) -> float:
        """Seconds, by now, since that snapshot was last known to be current."""
        return self.basis.age


class Question(NamedTuple):
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
    if not ip_verdict(index, question.principal, question.address).lets_in:
        return refusal(index, question)
    grants = effective(index, question.principal, question.now)
    if grants is not None and grants.allows(question.permission):
        return Reason.GRANTED
    return refusal(index, question)


def ip_verdict(index: Index, principal: Principal, address: Address | None) -> Verdict:
    """What the tenant's IP rules say of an address; without one they aren't asked.

    Mirror semantics don't look at them, as the hosted server doesn't (fact 0.11).
    """
    policy = index.ip_policies.get(principal.tenant)
    if address is None or policy is None or not index.is_strict:
        return LET_IN
    return policy.judge(address)


def refusal(index: Index, question: Question) -> Reason:
    """The reason of a denial: the widest obstacle first."""
    principal = question.principal
    standing = obstacle(index, principal, question.now)
    if standing is not None:
        return standing
    if not ip_verdict(index, principal, question.address).lets_in:
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
