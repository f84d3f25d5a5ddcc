"""The little application on Flask."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, g
from flask.testing import FlaskClient

from qeetid_authz.frameworks.asking import Source
from qeetid_authz.frameworks.flask import init_app, requires
from tests.frameworks.served import REQUIRED, Answer, Served, name_of


class Asked:
    """An application, asked by Flask's client."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def get(self, path: str, *authorization: str) -> Answer:
        headers = [("Authorization", each) for each in authorization]
        response = self._client.get(path, headers=headers)
        return Answer(response.status_code, dict(response.headers), response.text)


def who() -> str:
    return name_of(g.principal)


@contextmanager
def on_flask(authorizer: Source) -> Iterator[Served]:
    yield Asked(flask_app(authorizer, is_async=False).test_client())


@contextmanager
def on_flask_async(authorizer: Source) -> Iterator[Served]:
    yield Asked(flask_app(authorizer, is_async=True).test_client())


def flask_app(authorizer: Source, *, is_async: bool) -> Flask:
    app = Flask(__name__)
    init_app(app, authorizer)
    app.add_url_rule("/open", view_func=who, endpoint="open")
    for path, keys in REQUIRED.items():

        def inner() -> str:
            return name_of(g.principal)

        async def inner_async() -> str:
            return name_of(g.principal)

        guarded = requires(*keys)(inner_async if is_async else inner)
        app.add_url_rule(path, view_func=guarded, endpoint=path)
    return app
