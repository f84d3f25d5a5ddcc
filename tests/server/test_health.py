"""`/livez` and `/readyz`, and answers while the source can't be trusted."""

import asyncio
import json
from functools import partial
from typing import Any

import psycopg
import pytest

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.keyring import Keyring
from qeetid_authz.postgres.embedded import Server
from qeetid_authz.postgres.migrate import migrate
from qeetid_authz_server.telemetry.health import Health
from tests.issuer import SigningKey
from tests.server.sidecars import eventually, request, sidecar
from tests.server.test_batch import batch, send
from tests.server.test_check import ask
from tests.server.town import ACME_KEY, ANN, KEY

LAST_MEMBERS = ("max_staleness_s", "semantics", "entries")
"""Of what `/readyz` says, whatever state it is in."""


def readiness(base_url: str) -> tuple[int, dict[str, Any]]:
    """What `/readyz` says."""
    reply = request(base_url, "/readyz")
    return reply.status, json.loads(reply.body)


def says(base_url: str, expected: int, **members: str) -> bool:
    """Whether it says so."""
    found, body = readiness(base_url)
    return found == expected and members.items() <= body.items()


def test_alive_and_ready(strict: str) -> None:
    """A sidecar that runs and follows says so, to anybody."""
    assert request(strict, "/livez").body == b'{"status":"alive"}\n'

    status, body = readiness(strict)
    assert (status, body["status"]) == (200, "ready")
    assert list(body) == [
        "status",
        "revision",
        "age_s",
        *LAST_MEMBERS,
    ]
    assert (body["max_staleness_s"], body["semantics"]) == (30, "strict")
    assert body["entries"]["tenants"] == 3
    assert 0 <= body["age_s"] < 30


def test_not_loaded_yet() -> None:
    """Before the first load there is no revision and no age."""
    assert Health().report(AsyncAuthorizer("host=db.test")) == {
        "status": "unready",
        "cause": "loading",
        "revision": None,
        "age_s": None,
        "max_staleness_s": 30,
        "semantics": "strict",
        "entries": {},
    }


async def test_keys_that_grow_too_old(town: str) -> None:
    """With keys too old to be trusted it isn't ready, until they are read again."""
    now = 0.0
    pem = SigningKey().pem.decode()
    async with AsyncAuthorizer(town, jwks=pem) as authorizer:
        authorizer.keyring = keyring = Keyring(pem, clock=lambda: now)
        assert Health().report(authorizer)["cause"] == "keys"
        assert Health().report(authorizer)["keys_age_s"] is None

        await asyncio.wrap_future(keyring.start())
        assert Health().report(authorizer)["status"] == "ready"
        now = keyring.max_age + 0.5
        report = Health().report(authorizer)
        keyring.close()

    assert (report["status"], report["cause"]) == ("unready", "keys")
    assert report["keys_age_s"] == now


def test_disarmed_and_armed_again(town: str, connection: psycopg.Connection) -> None:
    """Without its triggers the sidecar denies everything until they are back."""
    with sidecar(town, caller_auth="off") as base_url:
        assert says(base_url, 200, status="ready")
        connection.execute("ALTER TABLE rbac.roles DISABLE TRIGGER USER")
        unready = {"status": "unready", "cause": "stale", "error": "feed_disarmed"}
        eventually(partial(says, base_url, 503, **unready))

        assert ask(base_url).body == b'{"allowed":false}\n'
        explained = json.loads(ask(base_url, explain="true").body)
        assert (explained["code"], "missing" in explained) == ("stale", False)
        listed = send(base_url, batch([(ANN, KEY)]))
        assert json.loads(listed.body)["results"] == [{"allowed": False}]

        migrate(town)
        eventually(partial(says, base_url, 200, status="ready"))
        assert ask(base_url).body == b'{"allowed":true}\n'


def test_database_gone_and_back(
    cluster: Server, town: str, connection: psycopg.Connection
) -> None:
    """Within the bound it answers from what it knows, beyond it it lets nobody ask."""
    name = connection.info.dbname
    connection.close()
    with (
        psycopg.connect(cluster.dsn(), autocommit=True) as admin,
        sidecar(town, max_staleness=1.5) as base_url,
    ):
        assert ask(base_url).body == b'{"allowed":true}\n'
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (name,),
        )
        known = {"status": "ready", "error": "database_unreachable"}
        eventually(partial(says, base_url, 200, **known))
        assert ask(base_url).body == b'{"allowed":true}\n'

        unready = {"status": "unready", "cause": "stale"}
        eventually(partial(says, base_url, 503, **unready))
        reply = ask(base_url)
        problem = json.loads(reply.body)["error"]
        assert (reply.status, problem["code"]) == (503, "unavailable")
        assert problem["detail"] == "the replica is older than its staleness bound"
        assert readiness(base_url)[1]["age_s"] > 1.5
        assert request(base_url, "/livez").status == 200

        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
        eventually(partial(says, base_url, 200, status="ready"))
        assert request(base_url, "/readyz").status == 200
        assert ask(base_url, key=ACME_KEY).body == b'{"allowed":true}\n'


@pytest.mark.parametrize("path", ["/livez/", "/readyz/x"])
def test_no_such_health(strict: str, path: str) -> None:
    """Paths that only look alike are unknown."""
    assert request(strict, path).status == 404
