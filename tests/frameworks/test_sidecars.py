"""Applications whose authorizer is a sidecar's client."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

import psycopg
import pytest
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.testclient import TestClient

from qeetid_authz import AsyncSidecarClient, Principal, SidecarClient
from qeetid_authz.frameworks import fastapi, flask
from qeetid_authz.sidecar.options import Given
from tests.server.bearers import Office, office, settle
from tests.server.town import ACME_KEY, ANN, EVE, KEY

OPENED: Given = {"api_key": ACME_KEY, "timeout": 10.0}


@pytest.fixture
def here(database: str, connection: psycopg.Connection) -> Iterator[Office]:
    """A sidecar that takes keys and tokens."""
    settle(connection)
    with office(database) as strict:
        yield strict


def test_of_tasks(here: Office) -> None:
    """Who may is served, by a client that is opened with the application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with await AsyncSidecarClient.open(here.base_url, **OPENED) as authz:
            app.state.authz = authz
            yield

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(fastapi.AuthzMiddleware, authorizer=lambda: app.state.authz)

    @app.get("/")
    async def billed(
        by: Annotated[Principal, Depends(fastapi.requires(KEY))],
    ) -> str:
        return by.id

    with TestClient(app) as client:
        assert ANN == client.get("/", headers={"Authorization": here.user()}).json()
        for refused, header in ((403, here.user(EVE)), (401, "Bearer x"), (401, "")):
            reply = client.get("/", headers={"Authorization": header})
            assert refused == reply.status_code


def test_of_threads(here: Office) -> None:
    """Who may is served, until the sidecar can't be asked any more."""
    app = Flask("billing")

    @app.get("/")
    @flask.requires(KEY)
    def billed() -> str:
        return "billed"

    with SidecarClient.open(here.base_url, **OPENED) as authz:
        flask.init_app(app, authz)
        client, anns = app.test_client(), {"Authorization": here.user()}
        assert b"billed" == client.get("/", headers=anns).data
        for refused, header in ((403, here.user(EVE)), (401, "Bearer x"), (401, "")):
            reply = client.get("/", headers={"Authorization": header})
            assert refused == reply.status_code

    assert 503 == client.get("/", headers=anns).status_code
