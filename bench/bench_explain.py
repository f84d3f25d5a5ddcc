"""What an explanation costs, by the number of its grant paths, and of a denial."""

from collections.abc import Iterator
from time import perf_counter_ns

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure, Point
from bench.subjects import EXPLAINED_USERS, Explaining, explained

TARGETS = {10: 15.0}  # us, by grant paths
REPEATS = 5_000


def cases(settings: Settings) -> list[Case]:
    """As many groups as paths, each of which carries the role that grants."""
    sizes = (1, 10) if settings.is_quick else (1, 10, 100, 1_000, 10_000)
    return [
        Case(f"{paths:,} grant path{'s'[: paths - 1]}", (paths,)) for paths in sizes
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Explain what everybody may, then what nobody may."""
    (paths,) = case.sizes
    asked = explained(paths, settings.seed)
    users = EXPLAINED_USERS // max(1, paths // 10)
    repeats = max(100, settings.repeats(REPEATS) // max(1, paths // 10))
    allowed = Explaining(asked, paths)
    first = _explain(allowed, users)
    allowed.again()
    again = _explain(allowed, repeats)
    yield Figure.of(
        "allowed",
        "us",
        again,
        TARGETS.get(paths),
        point=Point("explain, by grant paths", paths),
        headline=f"explain, {case.label}" if paths in (1, 10) else None,
    )
    yield Figure.of("allowed, first of each user", "us", first)
    denied = Explaining(asked, 0)
    _explain(denied, users)
    denied.again()
    yield Figure.of(
        "denied",
        "us",
        _explain(denied, repeats),
        point=Point("explain a denial, by groups of the user", paths),
    )


def _explain(explaining: Explaining, repeats: int) -> list[float]:
    samples = []
    for _ in range(repeats):
        question = explaining.next()
        before = perf_counter_ns()
        explanation = explaining.ask(*question)
        samples.append((perf_counter_ns() - before) / 1_000)
        explaining.verify(explanation)
    return samples


SCENARIO = Scenario(
    "explain",
    "an explanation by its grant paths, and of a denial",
    frozenset({"engine", "targets"}),
    cases,
    measure,
)
