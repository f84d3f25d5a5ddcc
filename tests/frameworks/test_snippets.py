"""The documentation's applications, as they are, on a real database."""

import asyncio
import runpy
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer
from django.test import AsyncClient, Client, override_settings
from fastapi import FastAPI
from starlette.testclient import TestClient

from qeetid_authz.frameworks.starlette import AuthzMiddleware
from qeetid_authz.testing import InMemoryAuthorizer
from tests.integration.following import eventually
from tests.integration.world import SESSION, populate
from tests.issuer import Issuer, user_claims
from tests.server.town import ACME, ANN, EVE, KEY

INTEGRATIONS = Path(__file__).parents[2] / "docs" / "integrations"
PAGE = INTEGRATIONS / "frameworks"


def run(name: str) -> dict[str, Any]:
    """What a snippet defines."""
    return runpy.run_path(str(PAGE / name))


@pytest.fixture
def issuer(
    connection: psycopg.Connection[Any],
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Issuer:
    """Who signs tokens that the snippets take, over a populated database."""
    populate(connection)
    issuer, keys = Issuer(), tmp_path / "keys.json"
    keys.write_bytes(issuer.as_jwks())
    monkeypatch.setenv("QEETID_AUTHZ_DATABASE_URL", database)
    monkeypatch.setenv("QEETID_AUTHZ_JWKS", str(keys))
    return issuer


def headers(issuer: Issuer, user: str = ANN) -> dict[str, str]:
    claims = user_claims(user, ACME, int(time.time()), sid=SESSION)
    return {"Authorization": f"Bearer {issuer.sign(claims)}"}


def test_fastapi(issuer: Issuer, connection: psycopg.Connection[Any]) -> None:
    """Who may bill does, until its session is revoked."""
    with TestClient(run("fastapi_app.py")["app"]) as client:
        anns = headers(issuer)
        assert ANN == client.get("/whoami", headers=anns).json()
        assert f"billed by {ANN}" == client.post("/invoices", headers=anns).json()
        assert 403 == client.request("DELETE", "/invoices", headers=anns).status_code
        assert 401 == client.post("/invoices").status_code

        connection.execute(
            "UPDATE auth.sessions SET revoked_at = now() WHERE id = %s", (SESSION,)
        )
        eventually(lambda: client.post("/invoices", headers=anns).status_code == 401)


def test_starlette(issuer: Issuer) -> None:
    """Requests and WebSockets of who may are served, and no others."""
    with TestClient(run("starlette_app.py")["app"]) as client:
        anns, eves = headers(issuer), headers(issuer, EVE)
        assert f"billed by {ANN}" == client.post("/invoices", headers=anns).text
        assert 403 == client.post("/invoices", headers=eves).status_code
        with client.websocket_connect("/feed", headers=anns) as socket:
            assert ANN == socket.receive_text()


def test_flask(issuer: Issuer) -> None:
    """The first request opens the authorizer."""
    flask = run("flask_app.py")
    client = flask["app"].test_client()
    with flask["authorizer"]():
        assert (
            f"billed by {ANN}" == client.post("/invoices", headers=headers(issuer)).text
        )
        assert 403 == client.post("/invoices", headers=headers(issuer, EVE)).status_code


def test_aiohttp(issuer: Issuer) -> None:
    """What `make_app` makes opens the authorizer when it starts."""
    with asyncio.Runner() as runner:
        assert [f"billed by {ANN}", "permission denied", "authentication required"] == (
            runner.run(_asked_aiohttp(issuer))
        )


async def _asked_aiohttp(issuer: Issuer) -> list[str]:
    async with AiohttpClient(TestServer(run("aiohttp_app.py")["make_app"]())) as client:
        return [
            await (await client.post("/invoices", headers=each)).text()
            for each in (headers(issuer), headers(issuer, EVE), {})
        ]


@pytest.fixture
def shop(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The Django project, with the settings that it shows."""
    monkeypatch.syspath_prepend(PAGE)
    authz, settings = import_module("shop.authz"), import_module("shop.settings")

    shown = {name: each for name, each in vars(settings).items() if name.isupper()}
    with override_settings(**shown), authz.authorizer():
        yield
    for name in [each for each in sys.modules if each.split(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.mark.parametrize("path", ["invoices", "later", "bills", "api/invoices"])
async def test_django(shop: None, issuer: Issuer, path: str) -> None:
    """Views of every sort serve who may, under WSGI and ASGI."""
    asynchronous, synchronous = AsyncClient(), Client()
    allowed = await asynchronous.post(f"/{path}", headers=headers(issuer))

    assert f"billed by {ANN}" == allowed.content.decode().strip('"')
    for who, status in ((headers(issuer), 200), (headers(issuer, EVE), 403), ({}, 401)):
        response = await asyncio.to_thread(synchronous.post, f"/{path}", headers=who)
        assert status == response.status_code


def test_objects(qeetid_authz: InMemoryAuthorizer) -> None:
    """An object of another tenant isn't there, and a draft needs another permission."""
    objects = run("objects.py")
    app: FastAPI = objects["app"]
    app.state.authz = qeetid_authz
    app.add_middleware(AuthzMiddleware, authorizer=qeetid_authz)
    ann = qeetid_authz.user("ann", "billing:read")
    objects["INVOICES"] |= {
        "ours": ann.tenant_id,
        "draft": ann.tenant_id,
        "theirs": qeetid_authz.tenant("other"),
    }
    header = {"Authorization": qeetid_authz.header_for(ann)}

    with TestClient(app) as client:
        statuses = {
            each: client.get(f"/invoices/{each}", headers=header).status_code
            for each in ("ours", "theirs", "none", "draft")
        }
        qeetid_authz.grant(ann, KEY)
        assert {"ours": 200, "theirs": 404, "none": 404, "draft": 403} == statuses
        assert 200 == client.get("/invoices/draft", headers=header).status_code
