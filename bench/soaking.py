"""What is asked of a sidecar and of an authorizer in this process while both soak."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from time import monotonic, perf_counter, sleep
from urllib.parse import quote, urlencode

import psycopg

from bench.httpload import Address, Exchange, fetch, request
from bench.statements import queries
from bench.world import API_KEY, CLIENT, PROBE, TENANT, World, uuid
from qeetid_authz.authorizer import Authorizer
from qeetid_authz.errors import RevisionUnseenError
from qeetid_authz.principal import Principal

KEYS = [PROBE, *(f"resource{n}:read" for n in range(0, 2000, 400))]
PATIENCE = 30.0  # seconds
_CALLER = {"Authorization": API_KEY, "Content-Type": "application/json"}
_INTROSPECTING = {
    "Authorization": CLIENT,
    "Content-Type": "application/x-www-form-urlencoded",
}
_BATCH = 100
_CHECKS, _EXPLANATIONS, _INTROSPECTIONS = 500, 10, 20  # for each batch
_PAUSE = 0.001  # seconds

Held = Mapping[str, set[str]]
"""By user the keys."""


def exchanges(here: World, users: Sequence[str], random: Random) -> list[Exchange]:
    """A mix of requests; what is true changes, so that an answer only has a form."""
    asked = [
        Exchange(_check(random.choice(users), random.choice(KEYS)), b'{"allowed":')
        for _ in range(_CHECKS)
    ]
    asked += [
        Exchange(_check(random.choice(users), PROBE, "&explain=true"), b'"allowed":')
        for _ in range(_EXPLANATIONS)
    ]
    token = here.user_token("direct", sid=uuid("session"))
    form = urlencode({"token": token}).encode()
    told = request("POST", "/oauth/introspect", _INTROSPECTING, form)
    asked += [Exchange(told, b'"active":true')] * _INTROSPECTIONS
    some = [(random.choice(users), random.choice(KEYS)) for _ in range(_BATCH)]
    asked.append(Exchange(_batch(some, {}), b'"results":'))
    random.shuffle(asked)
    return asked


def _check(user: str, key: str, more: str = "") -> bytes:
    target = (
        f"/v1/check?user_id={user}&tenant_id={TENANT}&permission={quote(key)}{more}"
    )
    return request("GET", target, {"Authorization": API_KEY})


def _batch(checks: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> bytes:
    asked = [{"user_id": user, "permission": key} for user, key in checks]
    body = json.dumps({"checks": asked, "tenant_id": TENANT}).encode()
    return request("POST", "/v1/check/batch", {**_CALLER, **headers}, body)


def ask_once(authorizer: Authorizer, users: Sequence[str], random: Random) -> float:
    """Ask an authorizer in every way there is; the microseconds of one check."""
    who = Principal.user(random.choice(users), TENANT)
    key = random.choice(KEYS)
    before = perf_counter()
    authorizer.check(who, key)
    took = perf_counter() - before
    authorizer.can(who, key)
    authorizer.check_many([(who, each) for each in KEYS])
    authorizer.explain(who, key)
    if random.random() < 0.01:
        authorizer.effective_permissions(who)
        list(authorizer.who_can(TENANT, PROBE, limit=100))
    sleep(_PAUSE)
    return took * 1e6


def mismatches(
    dsn: str, authorizer: Authorizer, address: Address, users: Sequence[str]
) -> int:
    """How many answers about users differ from the database, which nobody writes now.

    All that the authorizer says of them, and what the sidecar says in batches and in
    single checks.
    """
    with psycopg.connect(dsn) as connection:
        token = _one(connection, "token")
        connection.commit()
        held = _held(connection, users)
    _wait_for(authorizer, token)
    wrong = 0
    for user in users:
        who = Principal.user(user, TENANT)
        wrong += set(authorizer.effective_permissions(who)) != held[user]
        said = authorizer.check_many([(who, key) for key in KEYS])
        wrong += [each.allowed for each in said] != [key in held[user] for key in KEYS]
        wrong += authorizer.can(who, PROBE) != (PROBE in held[user])
    return wrong + _mismatches_served(address, token, held)


def _mismatches_served(address: Address, token: str, held: Held) -> int:
    checks = [(user, key) for user in held for key in KEYS]
    wrong = 0
    for at in range(0, len(checks), _BATCH):
        part = checks[at : at + _BATCH]
        asked = _batch(part, {"X-Qeetid-At-Least": token})
        results = json.loads(_fetch_patiently(address, asked))["results"]
        said = [each["allowed"] for each in results]
        wrong += said != [key in held[user] for user, key in part]
    for user in held:
        _, body = fetch(address, _check(user, PROBE))
        wrong += json.loads(body)["allowed"] != (PROBE in held[user])
    return wrong


def _fetch_patiently(address: Address, asked: bytes) -> bytes:
    """The body of the answer; a sidecar that just lost its connection takes a while."""
    until = monotonic() + PATIENCE
    while True:
        try:
            return fetch(address, asked)[1]
        except AssertionError as refused:
            if b" 409 " not in bytes(refused.args[0]) or monotonic() > until:
                raise


def _wait_for(authorizer: Authorizer, token: str) -> None:
    until = monotonic() + PATIENCE
    while True:
        try:
            return authorizer.wait_for(token)
        except RevisionUnseenError:
            if monotonic() > until:
                raise


def _held(connection: psycopg.Connection, users: Sequence[str]) -> dict[str, set[str]]:
    held: dict[str, set[str]] = {user: set() for user in users}
    for user, key in connection.execute(
        queries("soak")["held"], {"users": list(users)}
    ):
        held[str(user)].add(key)
    return held


def _one(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(queries("soak")[query]).fetchone()
    assert row is not None
    return str(row[0])
