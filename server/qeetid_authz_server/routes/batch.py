"""`POST /v1/check/batch`: many questions about one tenant, at one revision."""

from collections.abc import Iterator

import msgspec
from aiohttp import hdrs, web

from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import Id
from qeetid_authz_server.bodies import Bodies
from qeetid_authz_server.callers import Gate
from qeetid_authz_server.problems import Code, Problem
from qeetid_authz_server.questions import (
    read_address,
    read_id,
    read_permission,
    require_same_tenant,
)
from qeetid_authz_server.responses import decision_response
from qeetid_authz_server.wire import encode

_ENVELOPE_SIZE = 4096  # bytes
_ITEM_SIZE = 1024  # bytes, far beyond an id and a key


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """One question."""

    user_id: str
    permission: str


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request."""

    checks: list[Item]
    tenant_id: str
    client_ip: str | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(Batch)


def body_limit(batch_limit: int) -> int:
    """How many bytes a body may have whose batch may have so many checks."""
    return _ENVELOPE_SIZE + batch_limit * _ITEM_SIZE


class BatchRoute:
    """Answers many questions, each as a single check would."""

    def __init__(self, engine: Engine, gate: Gate, bodies: Bodies, limit: int) -> None:
        self._engine = engine
        self._gate = gate
        self._bodies = bodies
        self._limit = limit

    async def post(self, request: web.Request) -> web.Response:
        """The answers, in the order of the questions.

        Raises:
            Problem: the caller, the body or any of the questions is refused.
        """
        caller = await self._gate.identify(request)
        self._gate.require_may_ask(caller)
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
        if request.content_type != "application/json" or encoding != "identity":
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE)
        async with self._bodies.arriving(Code.BAD_REQUEST):
            body = await request.read()
        batch = self._read(body)
        tenant = read_id(batch.tenant_id.encode(), "tenant_id")
        require_same_tenant(caller, tenant)
        address = _address(batch)
        questions = list(_questions(batch))
        answers, revision, age = self._engine.can_many(tenant, questions, address)
        results = [{"allowed": allowed} for allowed in answers]
        answer = encode({"results": results, "revision": str(revision)})
        return decision_response(answer, revision, age)

    def _read(self, body: bytes) -> Batch:
        try:
            batch = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(Code.BAD_REQUEST, f"invalid body: {error}") from None
        if len(batch.checks) > self._limit:
            raise Problem(
                Code.BATCH_TOO_LARGE,
                f"{len(batch.checks)} checks; at most {self._limit} are taken",
            )
        return batch


def _address(batch: Batch) -> str | None:
    given = batch.client_ip
    return None if given is msgspec.UNSET else read_address(given.encode())


def _questions(batch: Batch) -> Iterator[tuple[Id, str]]:
    for at, item in enumerate(batch.checks):
        try:
            user = read_id(item.user_id.encode(), "user_id")
            permission = read_permission(item.permission.encode())
        except Problem as problem:
            detail = problem.detail or "no permission"
            raise Problem(problem.code, f"checks[{at}]: {detail}") from None
        yield user, permission
