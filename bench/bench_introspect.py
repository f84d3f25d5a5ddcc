"""What one sidecar makes of introspection: a known token, asked about again and again."""

from collections.abc import Iterator
from urllib.parse import urlencode

import msgspec

from bench import cores
from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.httpload import Address, Exchange, Load, fetch, request
from bench.sidecars import loaded, sidecar
from bench.world import CLIENT, TENANT, World, uuid, world

CONNECTIONS = 16
PATH = "/oauth/introspect"
RATE = 30_000  # /s
USERS = 1_000
WINDOWS, SECONDS = 10, 2
_HEADERS = {
    "Authorization": CLIENT,
    "Content-Type": "application/x-www-form-urlencoded",
}


def cases(_: Settings) -> list[Case]:
    """One sidecar; the client has a processor to itself where there are two."""
    return [Case(f"{CONNECTIONS} connections", (CONNECTIONS,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Ask in windows of some seconds each."""
    (connections,) = case.sizes
    seconds = 1 if settings.is_quick else SECONDS
    with cores.clients(), world(USERS) as here, sidecar(here.dsn, here.pem) as served:
        load = Load(served.address, [_exchange(served.address, here)])
        repeats = settings.repeats(WINDOWS)
        windows, worked = loaded(served, load, connections, seconds, repeats)
        load.verify()
    yield Figure.of(
        "introspections",
        "/s",
        [each.rate for each in windows],
        at_least=RATE,
        headline="introspection of a known token",
    )
    yield Figure.of("processor time of one", "us", worked)
    yield Figure.of("latency, median", "us", [each.median for each in windows])
    yield Figure.of("latency, 99th percentile", "us", [each.p99 for each in windows])
    yield Figure.of("client busy", "x", [each.busy for each in windows])


def _exchange(address: Address, here: World) -> Exchange:
    """The request, and the answer that it was seen to have, which is the right one."""
    session = uuid("session")
    form = urlencode({"token": here.user_token("direct", sid=session)}).encode()
    asked = request("POST", PATH, _HEADERS, form)
    _, answer = fetch(address, asked)
    said = msgspec.json.decode(answer)
    expected = {"active": True, "sub": uuid("direct"), "sid": session}
    assert {**said, **expected, "tenant_id": TENANT} == said, said
    _, altered = fetch(address, request("POST", PATH, _HEADERS, form[:-2]))
    assert msgspec.json.decode(altered) == {"active": False}
    return Exchange(asked, answer)


SCENARIO = Scenario(
    "introspect",
    "introspections a second of a known token, by one sidecar over HTTP",
    frozenset({"credentials", "http", "targets"}),
    cases,
    measure,
)
