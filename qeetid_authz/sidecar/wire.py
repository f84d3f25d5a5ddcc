"""What client and sidecar tell each other about principals of every kind, as JSON.

What is left out of a question bounds nothing; what is left out of an answer is empty.
A question with a member that isn't known is refused: it may be a bound. So is the
principal of an answer.
"""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from qeetid_authz.decision.explain import (
    CarryingGroup,
    Explanation,
    GrantPath,
    Missing,
)
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.ids import parse_id
from qeetid_authz.model import IpRule
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision

CHECK: Final = "/v1/check"
DECISIONS: Final = "/v1/decisions"
HELD: Final = "/v1/effective-permissions"
PRINCIPAL: Final = "/v1/principal"
WHO_CAN: Final = "/v1/tenants/{tenant}/who-can"
"""The paths that are asked."""

AT_LEAST: Final = "X-Qeetid-At-Least"
"""The header with the revision token of a transaction that must have been seen."""

PAGE: Final = 1_000
"""Ids in one answer to who holds a permission, at most."""


class Actor(msgspec.Struct, forbid_unknown_fields=True):
    """Who acts on a principal's behalf; its own bounds never count."""

    kind: Kind
    id: str


class Who(msgspec.Struct, forbid_unknown_fields=True):
    """A principal, as `qeetid_authz.principal.Principal` has it."""

    kind: Kind
    id: str
    tenant_id: str
    limit: list[str] | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    actor: Actor | UnsetType = UNSET
    expires_at: float | UnsetType = UNSET

    @classmethod
    def of(cls, principal: Principal) -> "Who":
        """The principal as it is written."""
        who = cls(principal.kind, principal.id, principal.tenant_id)
        if principal.limit is not None:
            who.limit = sorted(principal.limit)
        if principal.session_id is not None:
            who.session_id = principal.session_id
        if principal.actor is not None:
            who.actor = Actor(principal.actor.kind, principal.actor.id)
        if principal.expires_at is not None:
            who.expires_at = principal.expires_at
        return who

    def principal(self) -> Principal:
        """The principal that is meant.

        Raises:
            ValueError: an id is no UUID, or the end no time.
        """
        tenant, actor = parse_id(self.tenant_id), None
        if self.actor is not UNSET:
            actor = Principal.of(self.actor.kind, parse_id(self.actor.id), tenant)
        return Principal.of(
            self.kind,
            parse_id(self.id),
            tenant,
            limit=None if self.limit is UNSET else self.limit,
            session_id=None if self.session_id is UNSET else self.session_id,
            actor=actor,
            expires_at=None if self.expires_at is UNSET else self.expires_at,
        )


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a principal holds a permission."""

    principal: Who
    permission: str


class Questions(msgspec.Struct, forbid_unknown_fields=True):
    """Several, asked at once as from one address.

    Attributes:
        client_ip: the address that the principals act from.
        explain: whether each decision is wanted with its grounds.
    """

    questions: list[Question]
    client_ip: str | UnsetType = UNSET
    explain: bool = False


class Snapshot(msgspec.Struct, omit_defaults=True):
    """A revision in full, as `qeetid_authz.revision.Revision` has it."""

    incarnation: str
    xmin: int
    xmax: int
    running: list[int] = []

    @classmethod
    def of(cls, revision: Revision) -> "Snapshot":
        """The revision as it is written."""
        running = list(revision.running)
        return cls(revision.incarnation, revision.xmin, revision.xmax, running)

    def revision(self) -> Revision:
        """The revision that is meant."""
        return Revision(self.incarnation, self.xmin, self.xmax, tuple(self.running))


class Step(msgspec.Struct, omit_defaults=True):
    """A grant path, as Qeet ID writes it (fact 1.4); that of a scope has no role."""

    permission: str
    granted_by: str
    via: str
    group_id: str | None = None
    role_id: str | None = None

    @classmethod
    def of(cls, path: GrantPath) -> "Step":
        """The path as it is written."""
        return cls(
            path.permission, path.granted_by, path.via, path.group_id, path.role_id
        )

    def path(self) -> GrantPath:
        """The path that is meant."""
        role = None if self.role_id is None else self.granted_by.partition(":")[2]
        group = None if self.group_id is None else self.via.partition(":")[2]
        return GrantPath(self.permission, role, self.role_id, group, self.group_id)


class Carrier(msgspec.Struct):
    """A group that carries a role."""

    group: str
    group_id: str


class Wanted(msgspec.Struct):
    """A role that would be enough, and the groups that carry it."""

    role: str
    role_id: str
    groups: list[Carrier]

    @classmethod
    def of(cls, missing: Missing) -> "Wanted":
        """The role as it is written."""
        groups = [Carrier(*group) for group in missing.groups]
        return cls(missing.role, missing.role_id, groups)

    def missing(self) -> Missing:
        """The role that is meant."""
        groups = [CarryingGroup(each.group, each.group_id) for each in self.groups]
        return Missing(self.role, self.role_id, tuple(groups))


class Rule(msgspec.Struct):
    """An IP rule of the principal's tenant."""

    cidr: str
    action: str
    label: str


class Judged(msgspec.Struct, omit_defaults=True):
    """A decision; what follows the reason is of one that is explained."""

    allowed: bool
    reason: Reason
    paths: list[Step] = []
    actor_paths: list[Step] = []
    missing: list[Wanted] = []
    ip_rule: Rule | None = None

    @classmethod
    def of(cls, said: Explanation) -> "Judged":
        """An explained decision as it is written."""
        rule = said.ip_rule
        return cls(
            said.allowed,
            said.reason,
            list(map(Step.of, said.paths)),
            list(map(Step.of, said.actor_paths)),
            list(map(Wanted.of, said.missing)),
            None if rule is None else Rule(rule.cidr, rule.action, rule.label),
        )

    def explanation(
        self, principal: Principal, key: str, revision: Revision, age: float
    ) -> Explanation:
        """The explanation that is meant, of a question that the caller knows."""
        rule = self.ip_rule
        return Explanation(
            self.allowed,
            key,
            tuple(each.path() for each in self.paths),
            self.reason,
            tuple(each.missing() for each in self.missing),
            revision,
            age,
            tuple(each.path() for each in self.actor_paths),
            None
            if rule is None
            else IpRule(principal.tenant, rule.cidr, rule.action, rule.label),
        )


class Decisions(msgspec.Struct):
    """Decisions in the order of their questions, all at one revision.

    Attributes:
        snapshot: that revision.
        age_s: seconds since it was last known to be current.
    """

    decisions: list[Judged]
    snapshot: Snapshot
    age_s: float


class Held(msgspec.Struct):
    """The permissions that a principal holds, sorted."""

    permissions: list[str]
    snapshot: Snapshot
    age_s: float


class Holders(msgspec.Struct, omit_defaults=True):
    """The ids of some who hold a permission, ascending.

    Attributes:
        next: the id after which more of them follow; None if none do.
    """

    ids: list[str]
    snapshot: Snapshot
    age_s: float
    next: str | None = None


class Answer(msgspec.Struct):
    """Yes or no, as `GET /v1/check` says it."""

    allowed: bool


class Fault(msgspec.Struct):
    """Why a request was refused, for programs and for people."""

    code: str
    detail: str = ""


class Refusal(msgspec.Struct):
    """The envelope of a refusal (fact 1.5)."""

    error: Fault
