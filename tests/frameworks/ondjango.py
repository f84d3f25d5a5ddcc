"""The little application on Django and its REST framework."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.test import AsyncClient, Client, override_settings
from rest_framework.test import APIClient

from qeetid_authz.frameworks.asking import Source
from tests.frameworks.served import Answer, Served


def read(response: Any) -> Answer:
    text = response.content.decode().strip('"')
    return Answer(response.status_code, response.headers, text)


class Asked:
    """An application, asked by a synchronous client of Django's."""

    def __init__(self, client: Any, root: str) -> None:
        self._client = client
        self._root = root

    def get(self, path: str, *authorization: str) -> Answer:
        headers = {"Authorization": ",".join(authorization)} if authorization else {}
        return self._read(self._client.get(f"{self._root}{path}", headers=headers))

    def _read(self, response: Any) -> Answer:
        return read(response)


class AskedAsync(Asked):
    """The same, by an asynchronous client on a loop of its own."""

    def _read(self, response: Any) -> Answer:
        return asyncio.run(self._awaited(response))

    async def _awaited(self, response: Any) -> Answer:
        return read(await response)


@contextmanager
def on_django(authorizer: Source) -> Iterator[Served]:
    with override_settings(QEETID_AUTHZ=authorizer):
        yield Asked(Client(raise_request_exception=False), "/sync")


@contextmanager
def on_django_async(authorizer: Source) -> Iterator[Served]:
    with override_settings(QEETID_AUTHZ=authorizer):
        yield AskedAsync(AsyncClient(raise_request_exception=False), "/async")


@contextmanager
def on_drf(authorizer: Source) -> Iterator[Served]:
    with override_settings(QEETID_AUTHZ=authorizer):
        yield Asked(APIClient(raise_request_exception=False), "/rest")
