"""What it costs to list who holds a permission: the first page, and a later one."""

from collections.abc import Iterator
from time import perf_counter_ns

from bench.cases import Case, Scenario, Settings, by_users
from bench.figures import Figure, Point
from bench.subjects import Subject, subject
from bench.synthesis import Shape
from qeetid_authz.ids import format_id

PAGE = 100
FIRST_PAGE = 5.0  # ms
REPEATS = 100


def cases(settings: Settings) -> list[Case]:
    """A tenant with ever more users."""
    return by_users(settings)


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Ask for pages of a key that many hold, of one that few hold, and in the middle."""
    (users,) = case.sizes
    shape = Shape(users=users, groups=1_000, roles=100, permissions=1_000, skew=1)
    asked = subject(shape, settings.seed)
    holders = _holders(asked)
    most = max(holders, key=lambda key: len(holders[key]))
    fewest = min(holders, key=lambda key: len(holders[key]))
    middle = holders[most][len(holders[most]) // 2]
    for name, key, after in (
        ("first page, key of many", most, None),
        ("first page, key of few", fewest, None),
        ("a page from the middle", most, middle),
    ):
        later = [each for each in holders[key] if after is None or each > after]
        samples = _pages(asked, key, after, later[:PAGE], settings.repeats(REPEATS))
        headline = f"who_can, {name}, {users:,} users" if users == 1_000_000 else None
        yield Figure.of(
            name,
            "ms",
            samples,
            FIRST_PAGE if after is None else None,
            point=Point(f"who_can, {name}, by users", users),
            headline=headline if name == "first page, key of many" else None,
        )


def _holders(asked: Subject) -> dict[str, list[str]]:
    """Who holds the keys that most and fewest roles have, from the relations."""
    (tenant,) = asked.tenancy.tenants
    roles: dict[int, set[int]] = {}
    for role, held in enumerate(asked.tenancy.catalogue.roles.values()):
        for permission in held:
            roles.setdefault(permission, set()).add(role)
    ordered = sorted(roles, key=lambda permission: len(roles[permission]))
    found = {}
    for permission in (ordered[0], ordered[-1]):
        users = [
            user
            for number, user in enumerate(tenant.users)
            if not roles[permission].isdisjoint(tenant.roles_of(number))
        ]
        key = asked.tenancy.catalogue.permissions[permission]
        found[key] = [format_id(user) for user in sorted(users)]
    return found


def _pages(
    asked: Subject, key: str, after: str | None, expected: list[str], repeats: int
) -> list[float]:
    tenant = format_id(asked.tenancy.tenants[0].id)
    samples = []
    for _ in range(repeats):
        before = perf_counter_ns()
        page = list(asked.engine.who_can(tenant, key, after=after, limit=PAGE))
        samples.append((perf_counter_ns() - before) / 1e6)
        assert page == expected, key
    return samples


SCENARIO = Scenario(
    "who-can",
    "a page of who holds a permission, over users",
    frozenset({"engine", "growth", "targets"}),
    cases,
    measure,
)
