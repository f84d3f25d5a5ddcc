import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI

from qeetid_authz import AsyncAuthorizer, Principal
from qeetid_authz.frameworks.fastapi import (
    AuthzMiddleware,
    CurrentPrincipal,
    requires,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with await AsyncAuthorizer.open(
        os.environ["QEETID_AUTHZ_DATABASE_URL"], jwks=os.environ["QEETID_AUTHZ_JWKS"]
    ) as app.state.authz:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(AuthzMiddleware, authorizer=lambda: app.state.authz)


@app.get("/whoami")
async def whoami(principal: CurrentPrincipal) -> str:
    return principal.id


@app.post("/invoices")
async def bill(
    principal: Annotated[Principal, Depends(requires("billing:write"))],
) -> str:
    return f"billed by {principal.id}"


@app.delete("/invoices", dependencies=[Depends(requires("billing:write", "refund"))])
def refund() -> str:
    return "refunded"
