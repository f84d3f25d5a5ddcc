"""`GET /v1/tenants/{tenant}/who-can`: who holds a permission, page by page."""

from itertools import islice

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.ids import format_id
from qeetid_authz.sidecar.wire import PAGE, Holders, Snapshot
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.ownwrites import own_writes
from qeetid_authz_server.incoming.query import parse_query
from qeetid_authz_server.incoming.questions import read_id, require_same_tenant
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import encode

_PARAMETERS = frozenset({b"permission", b"after", b"limit"})


class HoldersRoute:
    """Lists who holds a permission."""

    def __init__(self, engine: AsyncAuthorizer, gate: Gate) -> None:
        self._engine = engine
        self._gate = gate

    async def get(self, request: web.Request) -> web.Response:
        """A page of ids, all of one revision, and where the next one begins.

        Raises:
            Problem: the caller or the question is refused, or the replica is stale.
        """
        caller = await self._gate.identify(request)
        raw = request.match_info["tenant"].encode("utf-8", "surrogateescape")
        tenant = read_id(raw, "tenantID")
        require_same_tenant(caller, tenant)
        self._gate.require_may_ask(caller)
        query = parse_query(request.raw_path)
        if not query.keys() <= _PARAMETERS:
            raise Problem(Code.BAD_REQUEST, "unknown parameter")
        key, after, limit = _key(query), _after(query), _limit(query)
        await own_writes(request, self._engine)
        found = self._engine.who_can(
            format_id(tenant), key, after=after, limit=limit + 1
        )
        revision, age = self._engine.revision, self._engine.age
        if self._engine.is_stale:
            raise Problem(Code.UNAVAILABLE, SENTENCES[Reason.STALE])
        ids = list(islice(found, limit))
        is_more = next(found, None) is not None
        page = Holders(ids, Snapshot.of(revision), age, ids[-1] if is_more else None)
        return decision_response(encode(page), revision, age)


def _key(query: dict[bytes, bytes]) -> str:
    if b"permission" not in query:
        raise Problem(Code.PERMISSION_REQUIRED)
    try:
        return query[b"permission"].decode()
    except UnicodeDecodeError:
        raise Problem(Code.BAD_REQUEST, "invalid permission") from None


def _after(query: dict[bytes, bytes]) -> str | None:
    given = query.get(b"after")
    return None if given is None else format_id(read_id(given, "after"))


def _limit(query: dict[bytes, bytes]) -> int:
    """How many ids at most; a page full where that isn't said."""
    given = query.get(b"limit", b"%d" % PAGE)
    if (
        not given.isdigit()
        or len(given) > len(str(PAGE))
        or not 1 <= int(given) <= PAGE
    ):
        raise Problem(Code.BAD_REQUEST, f"limit must be from 1 to {PAGE}")
    return int(given)
