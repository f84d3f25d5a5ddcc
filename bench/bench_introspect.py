"""What one sidecar makes of introspection: a known token, asked about again and again."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlencode

from bench.cases import Case, Scenario, Settings
from bench.figures import Figure
from bench.httpload import Request, ask, client
from bench.sidecars import sidecar
from bench.world import CLIENT, TENANT, World, uuid, world

CONNECTIONS = 16
PATH = "/oauth/introspect"
USERS = 1_000
WINDOWS, SECONDS = 10, 2


def cases(_: Settings) -> list[Case]:
    """One sidecar; the client has a processor to itself where there are two."""
    return [Case(f"{CONNECTIONS} connections, {client()}", (CONNECTIONS,))]


def measure(case: Case, settings: Settings) -> Iterator[Figure]:
    """Ask in windows of some seconds each."""
    (connections,) = case.sizes
    seconds = 1 if settings.is_quick else SECONDS
    windows, worked = [], []
    with world(USERS) as here, sidecar(here.dsn, here.pem) as served:
        request = _request(served.port, here)
        ask(request, connections, 1)  # to warm up
        for _ in range(settings.repeats(WINDOWS)):
            before = served.processor_time()
            windows.append(ask(request, connections, seconds))
            spent = served.processor_time() - before
            worked.append(spent / windows[-1].requests * 1e6)
        assert _introspect(request) == request.answer
    yield Figure.of("introspections", "/s", [each.rate for each in windows])
    yield Figure.of("processor time of one", "us", worked)
    yield Figure.of("latency, median", "us", [each.median for each in windows])
    yield Figure.of("latency, 99th percentile", "us", [each.p99 for each in windows])


def _request(port: int, here: World) -> Request:
    """The request, and the answer that it was seen to have, which is the right one."""
    session = uuid("session")
    token = here.user_token("direct", sid=session)
    headers = {
        "Authorization": CLIENT,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    asked = Request(port, PATH, headers, urlencode({"token": token}).encode(), b"")
    answer = _introspect(asked)
    said = json.loads(answer)
    expected = {"active": True, "sub": uuid("direct"), "sid": session}
    assert {**said, **expected, "tenant_id": TENANT} == said, said
    altered = asked._replace(body=asked.body[:-2])
    assert json.loads(_introspect(altered)) == {"active": False}
    return asked._replace(answer=answer)


def _introspect(request: Request) -> bytes:
    connection = HTTPConnection("127.0.0.1", request.port, timeout=10)
    connection.request("POST", request.path, request.body, request.headers)
    with connection.getresponse() as response:
        answer = response.read()
        assert response.status == 200, (response.status, answer)
    connection.close()
    return answer


SCENARIO = Scenario(
    "introspect",
    "introspections a second of a known token, by one sidecar over HTTP",
    frozenset({"credentials", "http"}),
    cases,
    measure,
)
