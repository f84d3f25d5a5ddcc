"""What is measured: engines over generated facts, and calls that assert their answers.

Scenarios and the cases of pytest-benchmark share these.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from random import Random
from typing import NamedTuple

from bench.cases import Settings
from bench.catalogues import Catalogue, choose
from bench.questions import Questions, of_many
from bench.synthesis import GENERATED, SHAPES, Shape, Tenancy, synthesise
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import Id
from qeetid_authz.model import Changes
from qeetid_authz.principal import Principal

EXPLAINED_USERS = 1_000
EVERYBODYS, EVERYBODYS_ID = "everybody:may", bytes(15) + b"\1"


class Subject(NamedTuple):
    """Facts, and an engine that knows them."""

    tenancy: Tenancy
    engine: Engine


def subject(shape: Shape, seed: int, catalogue: Catalogue | None = None) -> Subject:
    """An engine over the facts of a shape."""
    tenancy = synthesise(shape, seed, catalogue)
    engine = Engine()
    engine.publish(tenancy.snapshot, 0.0)
    return Subject(tenancy, engine)


def named(name: str, settings: Settings) -> Subject:
    """An engine over one of `SHAPES`, smaller in a quick run."""
    shape, catalogue = SHAPES[name], None
    if settings.is_quick:
        shape = replace(
            shape, tenants=min(100, shape.tenants), users=min(1_000, shape.users)
        )
    if name == "wide catalogue":
        catalogue = choose(settings.catalogue, settings.seed)
    return subject(shape, settings.seed, catalogue)


def explained(paths: int, seed: int) -> Subject:
    """Users in so many groups each, all of which carry the one role `role 0`."""
    shape = Shape(
        users=EXPLAINED_USERS,
        groups=max(100, paths),
        roles_per_group=1,
        groups_per_user=paths,
        direct_share=0,
        common_role=True,
        skew=1,
    )
    return subject(shape, seed)


class Explaining:
    """Explanations for one user after the other, of one key.

    Attributes:
        paths: how many each must have; with none it must be a denial.
    """

    def __init__(self, asked: Subject, paths: int) -> None:
        tenancy, self._engine = asked
        everybodys = tenancy.keys({0})
        nobodys = tenancy.keys(set(range(1, len(tenancy.catalogue.roles)))) - everybodys
        self.paths = paths
        self._key = min(everybodys if paths else nobodys)
        self._reason = Reason.GRANTED if paths else Reason.NO_GRANT
        self._all = [tenancy.principal(user) for user in range(EXPLAINED_USERS)]
        self.again()

    def again(self) -> None:
        """Begin with the first user."""
        self._principals = cycle(self._all)

    def next(self) -> tuple[Principal, str]:
        """The next question."""
        return next(self._principals), self._key

    def ask(self, principal: Principal, key: str) -> Explanation:
        """One explanation."""
        return self._engine.explain(principal, key)

    def verify(self, explanation: Explanation) -> None:
        """Make sure that it is the right one."""
        assert len(explanation.paths) == self.paths
        assert explanation.reason is self._reason


class Membership(NamedTuple):
    """One membership that is added or removed, and what its user holds then."""

    changes: Changes
    principal: Principal
    held: list[str]


def memberships(tenancy: Tenancy, random: Random) -> Iterator[Membership]:
    """Users that join a group and leave it again, without end."""
    (tenant,) = tenancy.tenants
    groups = range(len(tenant.groups))
    while True:
        user = random.randrange(len(tenant.users))
        there = set(tenant.groups_of(user))
        group = random.choice(groups)
        if group in there:
            continue
        key = (tenant.id, tenant.users[user], tenant.groups[group])
        roles = tenant.roles_of(user)
        joined = roles | set(tenant.carried[group])
        for held, is_member in ((joined, True), (roles, False)):
            changes = Changes(GENERATED, group_members={key: is_member})
            keys = sorted(tenancy.keys(held))
            yield Membership(changes, tenancy.principal(user), keys)


def grant(role: Id, *, granted: bool) -> Changes:
    """The permission `EVERYBODYS` given to a role or taken from it."""
    return Changes(GENERATED, role_permissions={(role, EVERYBODYS_ID): granted})


def batch(tenancy: Tenancy, seed: int) -> tuple[Id, list[tuple[Id, str]], Questions]:
    """Questions for `can_many`: the tenant, who and what, and the answers."""
    asked = of_many(tenancy, seed)
    pairs = [(principal.subject, key) for principal, key in asked.pairs]
    return tenancy.tenants[0].id, pairs, asked
