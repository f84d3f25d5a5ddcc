"""FastAPI: `requires` as a dependency, which gives the principal.

    app.add_middleware(AuthzMiddleware, authorizer=authz)

    @app.get("/invoices")
    async def invoices(who: Annotated[Principal, Depends(requires("billing:read"))]):
        ...

It may as well stand in `dependencies=[...]` of a route, a router or the application. The
middleware is Starlette's.
"""

from typing import Annotated

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from qeetid_authz.frameworks.starlette import AuthzMiddleware, admit
from qeetid_authz.frameworks.visits import read_keys
from qeetid_authz.principal import Principal

__all__ = ["AuthzMiddleware", "CurrentPrincipal", "requires"]


class _Requirement(SecurityBase):
    """A dependency that the application's OpenAPI document shows as a credential."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.model = HTTPBearer(
            description="An access token of Qeet ID, or `ApiKey KEY` in its place."
        )
        self.scheme_name = "QeetID"
        self._keys = keys

    async def __call__(self, connection: HTTPConnection) -> Principal:
        return await admit(connection, self._keys)


def requires(*keys: str) -> _Requirement:
    """A dependency on who sends the request: one who holds all permissions, there.

    Without any key it is enough to be somebody. It gives the principal.

    Raises:
        TypeError, ValueError: a key is no string, or empty.
    """
    return _Requirement(read_keys(keys))


CurrentPrincipal = Annotated[Principal, Depends(requires())]
"""Who sends the request, as the type of a parameter."""
