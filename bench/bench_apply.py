"""What one change costs, from a single user to everybody, and many changes at once."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from random import Random
from time import perf_counter_ns, sleep

from bench.cases import Case, Scenario, Settings, by_users
from bench.figures import Figure, Point
from bench.gaps import asked_all_the_time
from bench.subjects import (
    EVERYBODYS,
    EVERYBODYS_ID,
    Membership,
    Subject,
    grant,
    memberships,
    subject,
)
from bench.synthesis import GENERATED, Shape
from qeetid_authz.engine.engine import Engine
from qeetid_authz.model import Changes

MEMBERSHIP = 200.0  # us
ROLE = 20.0  # ms
WAIT = 1.0  # ms
PAUSE = 0.001  # seconds between two changes, for the reader
GROUPS = 1_000
MEMBERSHIPS = 1_000
EVERYBODY = 10
SAMPLE = 100
BY_GROUPS, BY_CHANGES = "groups carry everybody's role", "changes at once"


def cases(settings: Settings) -> list[Case]:
    """By users, in one group each or in three; by groups; by changes.

    In three groups each, nearly every user has a profile of its own.
    """
    users = [
        Case(f"{case.label}, in {groups} of {GROUPS:,} groups", (*case.sizes, groups))
        for groups in (1, 3)
        for case in by_users(settings)
    ]
    most, sizes = 1_000_000, [1, 10, 100, 1_000, 10_000]
    if settings.is_quick:
        most, sizes = 10_000, [10, 1_000]
    groups = [
        Case(f"{most:,} users, {each:,} {BY_GROUPS}", (most, each)) for each in sizes
    ]
    return [
        *users,
        *groups,
        Case(BY_CHANGES, (100_000 if most > 100_000 else 1_000, *sizes)),
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Apply changes whose effect is then asked about."""
    if case.label == BY_CHANGES:
        yield from _at_once(case, settings)
    elif case.label.endswith(BY_GROUPS):
        yield from _by_groups(case, settings)
    else:
        yield from _by_users(case, settings)


def _by_users(case: Case, settings: Settings) -> Iterator[Figure]:
    """Change memberships one by one, then a role that everybody has."""
    users, groups_per_user = case.sizes
    asked = subject(_shape(users, GROUPS, groups_per_user), settings.seed)
    random = Random(settings.seed)
    joins = _change_memberships(asked, random, settings.repeats(MEMBERSHIPS))
    each = f"in {groups_per_user} group{'s'[: groups_per_user - 1]} each"
    yield Figure.of(
        "membership added or removed",
        "us",
        joins,
        MEMBERSHIP,
        point=Point(f"apply a membership, {each}, by users", users),
        headline=f"apply a membership, {users:,} users {each}"
        if users == 1_000_000
        else None,
    )
    grants = _change_everybody(asked, random, settings.repeats(EVERYBODY))
    yield Figure.of(
        "permission of everybody's role",
        "ms",
        grants,
        point=Point(f"apply a role change, {each}, by users", users),
    )


def _by_groups(case: Case, settings: Settings) -> Iterator[Figure]:
    """Change a role that everybody has through so many groups, while somebody asks.

    The first user, who asks, is in all of these groups. What a change leaves to be
    worked out at the next question counts as waiting: a wait is the longest from the
    beginning of one change to that of the next.
    """
    users, groups = case.sizes
    asked = subject(
        replace(_shape(users, groups, 1), first_groups=groups), settings.seed
    )
    random = Random(settings.seed)
    alone = _change_everybody(asked, random, settings.repeats(EVERYBODY))
    yield Figure.of(
        "permission of everybody's role",
        "ms",
        alone,
        ROLE,
        point=Point("apply a role change, by groups that carry the role", groups),
        headline=f"apply a role change, {groups:,} groups"
        if groups == 10_000
        else None,
    )
    changes = settings.repeats(10 * EVERYBODY)
    after = [_question_after(asked, at) for at in range(changes)]
    yield Figure.of(
        "first question after it",
        "us",
        after,
        point=Point("first question after it, by groups that carry the role", groups),
    )
    waits = _waits(asked, changes)
    yield Figure.of("longest wait of a reader", "ms", waits, WAIT, by="maximum")


def _question_after(asked: Subject, at: int) -> float:
    """Microseconds of the first user's first question after a change."""
    tenancy, engine = asked
    granted = at % 2 == 0
    engine.publish(grant(tenancy.tenants[0].roles[0], granted=granted), 0.0)
    principal = tenancy.principal(0)
    before = perf_counter_ns()
    said = engine.can(principal, EVERYBODYS)
    elapsed = perf_counter_ns() - before
    assert said is granted
    return elapsed / 1e3


def _waits(asked: Subject, changes: int) -> list[float]:
    """The longest wait of who asks without pause, in milliseconds, for each change."""
    tenancy, engine = asked
    principal, held = tenancy.principal(0), min(tenancy.held(0))
    role, begun = tenancy.tenants[0].roles[0], []
    with asked_all_the_time(lambda: engine.can(principal, held)) as gaps:
        for at in range(changes):
            begun.append(perf_counter_ns())
            engine.publish(grant(role, granted=at % 2 == 0), 0.0)
            sleep(PAUSE)
        begun.append(perf_counter_ns())
    return [gaps.longest(*window) for window in pairwise(begun)]


def _at_once(case: Case, settings: Settings) -> Iterator[Figure]:
    """Apply ever more memberships in one publication; what they come to is asked."""
    users, *sizes = case.sizes
    asked = subject(_shape(users, GROUPS, 1), settings.seed)
    random = Random(settings.seed)
    for size in sizes:
        samples = []
        for _ in range(settings.repeats(50)):
            # Joins alone: each of another user as good as always, none taken back.
            joins = list(islice(memberships(asked.tenancy, random), 0, 2 * size, 2))
            both = [_merged(joins, joined=joined) for joined in (True, False)]
            samples += [_publish(asked.engine, changes) / 1e3 for changes in both]
            last = joins[-1].principal
            held = sorted(asked.tenancy.keys(_roles(asked, last.subject)))
            assert asked.engine.effective_permissions(last) == held
        yield Figure.of(
            f"{size:,} memberships at once",
            "us",
            samples,
            point=Point("apply memberships, by changes at once", size),
        )
    for size in sizes:
        if size < GROUPS:
            yield _of_one_user(asked, random, size, settings.repeats(50))


def _of_one_user(asked: Subject, random: Random, size: int, repeats: int) -> Figure:
    """Let one user join so many groups in one publication, and leave them again."""
    tenancy, engine = asked
    (tenant,) = tenancy.tenants
    samples = []
    for _ in range(repeats):
        user = random.randrange(len(tenant.users))
        there = tenant.groups_of(user)
        joined = random.sample(sorted(set(range(GROUPS)) - set(there)), size)
        roles = tenant.roles_of(user).union(*(tenant.carried[at] for at in joined))
        for held, is_member in ((roles, True), (tenant.roles_of(user), False)):
            keys = {
                (tenant.id, tenant.users[user], tenant.groups[at]): is_member
                for at in joined
            }
            changes = Changes(GENERATED, group_members=keys)
            samples.append(_publish(engine, changes) / 1e3)
            said = engine.effective_permissions(tenancy.principal(user))
            assert said == sorted(tenancy.keys(held))
    return Figure.of(
        f"{size:,} memberships of one user at once",
        "us",
        samples,
        point=Point("apply memberships of one user, by changes at once", size),
    )


def _merged(joins: list[Membership], *, joined: bool) -> Changes:
    keys = {key: joined for each in joins for key in each.changes.group_members}
    return Changes(GENERATED, group_members=keys)


def _roles(asked: Subject, user: bytes) -> set[int]:
    (tenant,) = asked.tenancy.tenants
    return tenant.roles_of(tenant.users.index(user))


def _shape(users: int, groups: int, groups_per_user: int) -> Shape:
    return Shape(
        users=users,
        groups=groups,
        groups_per_user=groups_per_user,
        direct_share=0,
        skew=1,
        common_role=True,
    )


def _change_memberships(asked: Subject, random: Random, repeats: int) -> list[float]:
    """Let users join a group and leave it again; each time all they hold is checked."""
    samples = []
    for each in islice(memberships(asked.tenancy, random), 2 * repeats):
        samples.append(_publish(asked.engine, each.changes) / 1e3)
        said = asked.engine.effective_permissions(each.principal)
        assert said == each.held, each.principal
    return samples


def _change_everybody(asked: Subject, random: Random, repeats: int) -> list[float]:
    """Give everybody's role a permission and take it away; a sample of users is asked."""
    tenancy, engine = asked
    (tenant,) = tenancy.tenants
    users = random.sample(range(len(tenant.users)), min(SAMPLE, len(tenant.users)))
    engine.publish(Changes(GENERATED, permissions={EVERYBODYS_ID: EVERYBODYS}), 0.0)
    samples = []
    for at in range(repeats):
        granted = at % 2 == 0
        changes = grant(tenant.roles[0], granted=granted)
        samples.append(_publish(engine, changes) / 1e6)
        for user in users:
            assert engine.can(tenancy.principal(user), EVERYBODYS) is granted, user
    return samples


def _publish(engine: Engine, changes: Changes) -> int:
    before = perf_counter_ns()
    engine.publish(changes, 0.0)
    return perf_counter_ns() - before


SCENARIO = Scenario(
    "apply",
    "a membership, a permission of the role that everybody has, many changes at once",
    frozenset({"index", "growth", "targets"}),
    cases,
    measure,
)
