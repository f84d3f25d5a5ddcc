"""The sidecar's own description: valid, served to anybody, and true of every route."""

import json
from importlib.resources import files
from typing import Any

from openapi_spec_validator import validate

from qeetid_authz_server.app import make_app
from qeetid_authz_server.loading import load_settings
from qeetid_authz_server.outgoing.problems import Code
from tests.server.sidecars import EVERYTHING, request

DOCUMENT: dict[str, Any] = json.loads(
    (files("qeetid_authz_server") / "openapi.json").read_bytes()
)


ANY_METHOD = "x-any-method"
"""A member of paths: every method is answered as the one that is described."""


def test_paths_of_any_method_describe_one() -> None:
    """It stands for all, so there can't be two."""
    for operations in DOCUMENT["paths"].values():
        if ANY_METHOD in operations:
            assert {ANY_METHOD, "get"} == operations.keys()


def test_it_is_valid() -> None:
    """OpenAPI 3.1, with every reference leading somewhere."""
    assert "3.1.0" == DOCUMENT["openapi"]
    validate(DOCUMENT)


def test_it_describes_every_route_and_no_other() -> None:
    """Method and path, both ways.

    What answers any method alike is described by the one that takes nothing else.
    """
    described = {
        ("*" if operations.get(ANY_METHOD) is True else method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
        if method != ANY_METHOD
    }
    settings = load_settings(database_url="dbname=x", routes="x.yaml", **EVERYTHING)
    app = make_app(settings)
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }

    assert routes == described


def test_it_names_every_code() -> None:
    """A refusal that the sidecar knows is described, and is one that it knows."""
    named = {
        code
        for response in DOCUMENT["components"]["responses"].values()
        if "content" in response
        for code in _codes(response)
    }

    assert set(Code) == named


def _codes(response: dict[str, Any]) -> list[str]:
    schema = response["content"].get("application/json", {}).get("schema", {})
    if not schema:
        return []
    codes: list[str] = schema["allOf"][1]["properties"]["error"]["properties"]["code"][
        "enum"
    ]
    return codes


def test_anybody_may_have_it(strict: str) -> None:
    """It is served without a credential, for caches to keep."""
    reply = request(strict, "/openapi.json")

    assert (200, DOCUMENT) == (reply.status, json.loads(reply.body))
    assert "application/json" == reply.header("Content-Type")
    assert "max-age=3600" == reply.header("Cache-Control")
