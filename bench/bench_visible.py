"""How long from a commit until an asker sees it, by the feed's setting.

Who asks pauses between two questions, so that the feed's thread gets the interpreter;
`revocation` measures the others.
"""

from collections.abc import Iterator
from random import Random

from bench.bench_revocation import KINDS, Rounds
from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.world import world
from bench.writers import Writer
from qeetid_authz.options import POLL_INTERVAL

P99 = {"by default": 30.0, "fast": 10.0}  # ms
FAST_INTERVAL = 0.004  # seconds
USERS = 10_000
ROUNDS = 500
PAUSE = 0.0005  # seconds between two questions


def cases(_: Settings) -> list[Case]:
    """With the usual time between two polls, and with a short one."""
    return [
        Case("by default", (round(POLL_INTERVAL * 1e6),)),
        Case("fast", (round(FAST_INTERVAL * 1e6),)),
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Take a role away and give it back, at moments that the feed can't know."""
    (interval,) = case.sizes
    repeats = 100 if settings.is_quick else ROUNDS
    kind = next(each for each in KINDS if each.name == "role")
    with (
        world(USERS) as here,
        Writer(here.dsn) as writer,
        here.open(poll_interval=interval / 1e6) as authorizer,
    ):
        rounds = Rounds(here, authorizer, writer, PAUSE, Random(settings.seed))
        samples = [rounds.run(kind)[0] / 1e6 for _ in range(repeats)]
    yield Figure.of(
        "commit to visible",
        "ms",
        samples,
        P99[case.label],
        by="p99",
        headline=f"commit to visible, {case.label}",
    )


SCENARIO = Scenario(
    "visible",
    "a commit until it is seen, by default and with a short poll interval",
    frozenset({"database", "targets"}),
    cases,
    measure,
)
