"""What an explanation costs, by the number of its grant paths, and of a denial."""

from collections.abc import Iterator
from time import perf_counter_ns

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.synthesis import Shape, Tenancy, synthesise
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.engine import Engine

REPEATS = 5_000
USERS = 1_000


def cases(_: Settings) -> list[Case]:
    """As many groups as paths, each of which carries the role that grants."""
    return [Case("1 grant path", (1,)), Case("10 grant paths", (10,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Explain what everybody may, then what nobody may."""
    (paths,) = case.sizes
    shape = Shape(
        users=USERS,
        roles_per_group=1,
        groups_per_user=paths,
        direct_share=0,
        common_role=True,
    )
    tenancy = synthesise(shape, settings.seed)
    engine = Engine()
    engine.publish(tenancy.snapshot, 0.0)
    repeats = settings.repeats(REPEATS)
    held = min(tenancy.keys({0}))
    yield Figure.of("allowed", "us", _explain(tenancy, engine, held, paths, repeats))
    lacked = min(tenancy.keys(set(range(1, shape.roles))) - tenancy.keys({0}))
    yield Figure.of("denied", "us", _explain(tenancy, engine, lacked, 0, repeats))


def _explain(
    tenancy: Tenancy, engine: Engine, key: str, paths: int, repeats: int
) -> list[float]:
    reason = Reason.GRANTED if paths else Reason.NO_GRANT
    principals = [tenancy.principal(user) for user in range(USERS)]
    samples = []
    for at in range(-USERS, repeats):
        principal = principals[at % USERS]
        before = perf_counter_ns()
        explanation = engine.explain(principal, key)
        elapsed = perf_counter_ns() - before
        assert len(explanation.paths) == paths
        assert explanation.reason is reason
        if at >= 0:
            samples.append(elapsed / 1_000)
    return samples


SCENARIO = Scenario(
    "explain",
    "an explanation with 1 and 10 grant paths, and of a denial",
    frozenset({"engine"}),
    cases,
    measure,
)
