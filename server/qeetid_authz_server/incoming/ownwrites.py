"""Callers who must be answered from a revision that has seen what they wrote."""

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.errors import RevisionError, RevisionForeignError
from qeetid_authz.sidecar.wire import AT_LEAST
from qeetid_authz_server.outgoing.problems import Code, Problem


async def own_writes(request: web.Request, authorizer: AsyncAuthorizer) -> None:
    """Wait until answers rest on the transaction that a request names, if it does.

    Raises:
        Problem: it names several or none, or that one hasn't arrived in time.
        NotOpenError: there is nothing to answer from.
    """
    named = request.headers.getall(AT_LEAST, [])
    if not named:
        return
    try:
        (token,) = named
        await authorizer.wait_for(token)
    except ValueError:
        raise Problem(Code.BAD_REQUEST, f"invalid {AT_LEAST}") from None
    except RevisionForeignError:
        raise Problem(Code.REVISION_FOREIGN) from None
    except RevisionError:
        raise Problem(Code.REVISION_UNSEEN) from None
