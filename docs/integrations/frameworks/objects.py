from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request

from qeetid_authz import Principal
from qeetid_authz.frameworks.fastapi import requires

INVOICES: dict[str, str] = {}  # whose they are: an invoice's id to its tenant's
app = FastAPI()


@app.get("/invoices/{id}")
async def invoice(
    id: str,
    request: Request,
    principal: Annotated[Principal, Depends(requires("billing:read"))],
) -> str:
    # Above, the permission was asked for in the principal's own tenant. Whether the
    # object is of that tenant nobody knows but the application.
    if INVOICES.get(id) != principal.tenant_id:
        raise HTTPException(404)
    # A second question is one line; await it of an `AsyncSidecarClient`.
    if id.startswith("draft") and not request.app.state.authz.can(
        principal, "billing:write"
    ):
        raise HTTPException(403)
    return id
