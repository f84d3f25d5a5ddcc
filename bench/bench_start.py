"""How long until it answers: importing the library, starting a sidecar."""

import subprocess
import sys
from collections.abc import Iterator
from time import perf_counter

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.sidecars import sidecar
from bench.tenancies import Size, tenancies
from bench.world import World

IMPORT = 60.0  # ms
READY = 3.0  # s
HEAVY = ("aiohttp", "psycopg", "cryptography")
IMPORTING, SERVING = "import qeetid_authz", "serve"
_TIMED = f"""
import sys, time
before = time.perf_counter()
import qeetid_authz
print(time.perf_counter() - before)
there = [name for name in {HEAVY} if name in sys.modules]
assert not there, there
"""


def cases(settings: Settings) -> list[Case]:
    """The library in fresh interpreters; a sidecar over small tenants."""
    tenants = 100 if settings.is_quick else 10_000
    return [
        Case(IMPORTING, ()),
        Case(f"{SERVING}, {tenants:,} tenants of 10 users", (tenants,)),
    ]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Start again and again."""
    if case.label == IMPORTING:
        yield from _import(settings.repeats(30))
    else:
        (tenants,) = case.sizes
        yield from _serve(tenants)


def _import(repeats: int) -> Iterator[Figure]:
    """Importing takes the time of the import alone, less that of the interpreter."""
    _run(_TIMED)  # which writes compiled files
    samples = [float(_run(_TIMED)) * 1e3 for _ in range(repeats)]
    yield Figure.of("import", "ms", samples, IMPORT, headline="import qeetid_authz")
    whole = []
    for program in ("pass", "import qeetid_authz"):
        times = []
        for _ in range(repeats):
            before = perf_counter()
            _run(program)
            times.append((perf_counter() - before) * 1e3)
        whole.append(times)
    yield Figure.of("interpreter that imports nothing", "ms", whole[0])
    yield Figure.of("interpreter that imports it", "ms", whole[1])


def _run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout


def _serve(tenants: int) -> Iterator[Figure]:
    """From the start of the process until it says that it serves, loaded."""
    samples = []
    with tenancies(Size(tenants, 10 * tenants, 3 * tenants, 3)) as database:
        for _ in range(3):
            before = perf_counter()
            with sidecar(database.dsn, World(database.dsn, secret_hash="").pem):
                samples.append(perf_counter() - before)
    target = READY if tenants >= 10_000 else None
    yield Figure.of("start to serving", "s", samples, target)


SCENARIO = Scenario(
    "start",
    "importing the library, and a sidecar over 10,000 small tenants",
    frozenset({"targets"}),
    cases,
    measure,
)
