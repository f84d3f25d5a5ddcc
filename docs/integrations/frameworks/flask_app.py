import os
from functools import cache
from threading import Lock

from flask import Flask, g

from qeetid_authz import Authorizer
from qeetid_authz.frameworks.flask import init_app, requires

app = Flask(__name__)
_opening = Lock()


@cache
def _open() -> Authorizer:
    return Authorizer.open(
        os.environ["QEETID_AUTHZ_DATABASE_URL"], jwks=os.environ["QEETID_AUTHZ_JWKS"]
    )


def authorizer() -> Authorizer:
    """Opened by the first request to each worker: none survives a fork."""
    with _opening:
        return _open()


init_app(app, authorizer)


@app.post("/invoices")
@requires("billing:write")
def bill() -> str:
    return f"billed by {g.principal.id}"
