import os
from functools import cache
from threading import Lock

from qeetid_authz import Authorizer

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
