"""The little application on Starlette and on FastAPI."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from qeetid_authz.frameworks import fastapi as by_dependency
from qeetid_authz.frameworks.asking import Source
from qeetid_authz.frameworks.starlette import AuthzMiddleware, requires
from qeetid_authz.principal import Principal
from tests.frameworks.served import REQUIRED, Answer, Served, name_of


class Asked:
    """An ASGI application, asked by Starlette's client."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def get(self, path: str, *authorization: str) -> Answer:
        headers = [("Authorization", each) for each in authorization]
        response = self._client.get(path, headers=headers)
        return Answer(response.status_code, response.headers, response.text)


@contextmanager
def ask(app: Any) -> Iterator[Served]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Asked(client)


async def who(request: Request) -> PlainTextResponse:
    return PlainTextResponse(name_of(request.state.principal))


def who_sync(request: Request) -> PlainTextResponse:
    return PlainTextResponse(name_of(request.state.principal))


@contextmanager
def on_starlette(authorizer: Source) -> Iterator[Served]:
    with ask(starlette_app(authorizer, who)) as served:
        yield served


@contextmanager
def on_starlette_sync(authorizer: Source) -> Iterator[Served]:
    with ask(starlette_app(authorizer, who_sync)) as served:
        yield served


def starlette_app(authorizer: Source, view: Any) -> Starlette:
    routes = [Route("/open", view)]
    routes += [Route(at, requires(*keys)(view)) for at, keys in REQUIRED.items()]
    app = Starlette(routes=routes)
    app.add_middleware(AuthzMiddleware, authorizer=authorizer)
    return app


@contextmanager
def on_fastapi(authorizer: Source) -> Iterator[Served]:
    with ask(fastapi_app(authorizer, is_async=True)) as served:
        yield served


@contextmanager
def on_fastapi_sync(authorizer: Source) -> Iterator[Served]:
    with ask(fastapi_app(authorizer, is_async=False)) as served:
        yield served


def fastapi_app(authorizer: Source, *, is_async: bool) -> FastAPI:
    app = FastAPI(default_response_class=PlainTextResponse)
    app.add_middleware(by_dependency.AuthzMiddleware, authorizer=authorizer)
    app.get("/open")(who if is_async else who_sync)
    for path, keys in REQUIRED.items():
        requirement = Depends(by_dependency.requires(*keys))

        async def view(principal: Annotated[Principal, requirement]) -> str:
            return name_of(principal)

        def view_sync(principal: Annotated[Principal, requirement]) -> str:
            return name_of(principal)

        app.get(path)(view if is_async else view_sync)
    return app
