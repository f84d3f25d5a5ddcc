"""What one change costs, from a single user to everybody."""

from collections.abc import Iterator
from random import Random
from time import perf_counter_ns

from bench.cases import Case, Scenario, Settings, by_users
from bench.figures import Figure
from bench.synthesis import GENERATED, Shape, Tenancy, synthesise
from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import Id
from qeetid_authz.model import Changes

GROUPS = 1_000
MEMBERSHIPS = 1_000
EVERYBODY = 10
SAMPLE = 100
KEY, KEY_ID = "everybody:may", bytes(15) + b"\1"


def cases(settings: Settings) -> list[Case]:
    """Users in one group each, then in three, which makes profiles as many as users."""
    return [
        Case(f"{case.label}, in {groups} of {GROUPS:,} groups", (*case.sizes, groups))
        for groups in (1, 3)
        for case in by_users(settings)
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Change memberships one by one, then a role that everybody has."""
    users, groups_per_user = case.sizes
    shape = Shape(
        users=users,
        groups=GROUPS,
        groups_per_user=groups_per_user,
        direct_share=0,
        skew=1,
        common_role=True,
    )
    tenancy = synthesise(shape, settings.seed)
    engine = Engine()
    engine.publish(tenancy.snapshot, 0.0)
    random = Random(settings.seed)
    joins = _change_memberships(tenancy, engine, random, settings.repeats(MEMBERSHIPS))
    yield Figure.of("membership added or removed", "us", joins)
    grants = _change_everybody(tenancy, engine, random, settings.repeats(EVERYBODY))
    yield Figure.of("permission of everybody's role", "ms", grants)


def _change_memberships(
    tenancy: Tenancy, engine: Engine, random: Random, repeats: int
) -> list[float]:
    """Let users join a group and leave it again; each time all they hold is checked."""
    (tenant,) = tenancy.tenants
    samples = []
    for _ in range(repeats):
        user = random.randrange(len(tenant.users))
        group = random.choice(
            sorted(set(range(GROUPS)).difference(tenant.groups_of(user)))
        )
        membership = (tenant.id, tenant.users[user], tenant.groups[group])
        roles = tenant.roles_of(user)
        for held, joined in (
            (roles | set(tenant.carried[group]), True),
            (roles, False),
        ):
            changes = Changes(GENERATED, group_members={membership: joined})
            samples.append(_publish(engine, changes) / 1e3)
            said = engine.effective_permissions(tenancy.principal(user))
            assert said == sorted(tenancy.keys(held)), (user, group)
    return samples


def _change_everybody(
    tenancy: Tenancy, engine: Engine, random: Random, repeats: int
) -> list[float]:
    """Give everybody's role a permission and take it away; a sample of users is asked."""
    (tenant,) = tenancy.tenants
    users = random.sample(range(len(tenant.users)), SAMPLE)
    engine.publish(Changes(GENERATED, permissions={KEY_ID: KEY}), 0.0)
    samples = []
    for at in range(repeats):
        granted = at % 2 == 0
        samples.append(_publish(engine, _grant(tenant.roles[0], granted=granted)) / 1e6)
        for user in users:
            assert engine.can(tenancy.principal(user), KEY) is granted, user
    return samples


def _grant(role: Id, *, granted: bool) -> Changes:
    return Changes(GENERATED, role_permissions={(role, KEY_ID): granted})


def _publish(engine: Engine, changes: Changes) -> int:
    before = perf_counter_ns()
    engine.publish(changes, 0.0)
    return perf_counter_ns() - before


SCENARIO = Scenario(
    "apply",
    "one membership, and a permission of the role that everybody has",
    frozenset({"index"}),
    cases,
    measure,
)
