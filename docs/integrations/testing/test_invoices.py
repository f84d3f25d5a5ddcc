from collections.abc import Iterator

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from qeetid_authz.frameworks.flask import init_app, requires
from qeetid_authz.testing import InMemoryAuthorizer


def make_app(authz: InMemoryAuthorizer) -> Flask:
    app = Flask(__name__)
    init_app(app, authz)

    @app.post("/invoices")
    @requires("billing:write")
    def bill() -> str:
        return f"billed by {g.principal.id}"

    return app


@pytest.fixture
def client(qeetid_authz: InMemoryAuthorizer) -> Iterator[FlaskClient]:
    with make_app(qeetid_authz).test_client() as client:
        yield client


def test_who_may_bill(qeetid_authz: InMemoryAuthorizer, client: FlaskClient) -> None:
    ann = qeetid_authz.user("ann", "billing:write")
    headers = {"Authorization": qeetid_authz.header_for(ann)}
    assert client.post("/invoices", headers=headers).text == f"billed by {ann.id}"

    qeetid_authz.revoke(ann, "billing:write")
    assert client.post("/invoices", headers=headers).status_code == 403
    assert client.post("/invoices").status_code == 401


def test_by_a_role_of_a_group(
    qeetid_authz: InMemoryAuthorizer, client: FlaskClient
) -> None:
    qeetid_authz.role("accountant", "billing:write")
    qeetid_authz.group("finance", "accountant")
    bob = qeetid_authz.user("bob", groups=["finance"])
    headers = {"Authorization": qeetid_authz.header_for(bob)}
    assert client.post("/invoices", headers=headers).status_code == 200

    qeetid_authz.suspend(bob)
    assert client.post("/invoices", headers=headers).status_code == 401


def test_while_it_cant_be_judged(
    qeetid_authz: InMemoryAuthorizer, client: FlaskClient
) -> None:
    key = qeetid_authz.key("ci", "billing:write")
    headers = {"Authorization": qeetid_authz.header_for(key)}

    qeetid_authz.go_stale()
    assert client.post("/invoices", headers=headers).status_code == 503
    qeetid_authz.catch_up()
    assert client.post("/invoices", headers=headers).status_code == 200


def test_a_token_that_ends(
    qeetid_authz: InMemoryAuthorizer, client: FlaskClient
) -> None:
    ann = qeetid_authz.user("ann", "billing:write")
    ends = qeetid_authz.now + 60
    headers = {"Authorization": qeetid_authz.header_for(ann, expires_at=ends)}
    assert client.post("/invoices", headers=headers).status_code == 200

    qeetid_authz.advance(60)
    assert client.post("/invoices", headers=headers).status_code == 401
