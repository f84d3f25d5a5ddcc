"""The little application on aiohttp."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from qeetid_authz.frameworks.aiohttp import PRINCIPAL, authz_middleware, requires
from qeetid_authz.frameworks.asking import Source
from tests.frameworks.served import REQUIRED, Answer, Served, name_of


class Asked:
    """An application, asked by aiohttp's client on a loop of its own."""

    def __init__(self, runner: asyncio.Runner, client: TestClient[Any, Any]) -> None:
        self._runner = runner
        self._client = client

    def get(self, path: str, *authorization: str) -> Answer:
        return self._runner.run(self._get(path, authorization))

    async def _get(self, path: str, authorization: tuple[str, ...]) -> Answer:
        headers = CIMultiDict([("Authorization", each) for each in authorization])
        async with self._client.get(path, headers=headers) as response:
            return Answer(response.status, response.headers, await response.text())


@contextmanager
def ask(app: web.Application) -> Iterator[Served]:
    with asyncio.Runner() as runner:
        client = runner.run(_started(app))
        try:
            yield Asked(runner, client)
        finally:
            runner.run(client.close())


async def _started(app: web.Application) -> TestClient[Any, Any]:
    client: TestClient[Any, Any] = TestClient(TestServer(app))
    await client.start_server()
    return client


async def who(request: web.Request) -> web.Response:
    return web.Response(text=name_of(request.get(PRINCIPAL)))


def another() -> Handler:
    """A function of its own, since none is served both with and without a guard."""

    async def another_who(request: web.Request) -> web.StreamResponse:
        return await who(request)

    return another_who


@contextmanager
def on_aiohttp(authorizer: Source) -> Iterator[Served]:
    app = web.Application(middlewares=[authz_middleware(authorizer)])
    app.router.add_get("/open", who)
    for path, keys in REQUIRED.items():

        @requires(*keys)
        async def view(request: web.Request) -> web.Response:
            return web.Response(text=request[PRINCIPAL].id)

        app.router.add_get(path, view)
    with ask(app) as served:
        yield served
