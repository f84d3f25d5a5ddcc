"""`POST /v1/check/batch`: many questions about one tenant, at one revision."""

import msgspec
from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.ids import Id
from qeetid_authz.revision import Revision
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.jsonbodies import read_json
from qeetid_authz_server.incoming.ownwrites import own_writes
from qeetid_authz_server.incoming.questions import (
    read_address,
    read_id,
    read_permission,
    require_same_tenant,
)
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import encode
from qeetid_authz_server.telemetry.counts import DECIDED, decided_without_reasons

_ENVELOPE_SIZE = 4096  # bytes
_ITEM_SIZE = 1024  # bytes, far beyond an id and a key


class Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One question."""

    user_id: str
    permission: str


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request."""

    checks: list[Item]
    tenant_id: str
    client_ip: str | msgspec.UnsetType = msgspec.UNSET


_REMEMBERED = 200_000  # ids and keys; some 200 bytes each
_LONGEST = 256  # characters of a key that is remembered
_ALLOWED, _DENIED = b'{"allowed":true}', b'{"allowed":false}'

_decoder = msgspec.json.Decoder(Batch)


def body_limit(batch_limit: int) -> int:
    """How many bytes a body may have whose batch may have so many checks."""
    return _ENVELOPE_SIZE + batch_limit * _ITEM_SIZE


class BatchRoute:
    """Answers many questions, each as a single check would."""

    def __init__(
        self, engine: AsyncAuthorizer, gate: Gate, bodies: Bodies, limit: int
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._bodies = bodies
        self._limit = limit
        self._questions = Questions()

    async def post(self, request: web.Request) -> web.Response:
        """The answers, in the order of the questions.

        Raises:
            Problem: the caller, the body or any of the questions is refused.
        """
        caller = await self._gate.identify(request)
        self._gate.require_may_ask(caller)
        batch = await read_json(request, self._bodies, _decoder)
        self._require_few(batch.checks)
        tenant = read_id(batch.tenant_id.encode(), "tenant_id")
        require_same_tenant(caller, tenant)
        address = _address(batch)
        questions = self._questions.read(batch.checks)
        await own_writes(request, self._engine)
        answers, revision, age = self._engine.can_many(tenant, questions, address)
        allowed = answers.count(True)
        denied = len(answers) - allowed
        request[DECIDED] = decided_without_reasons("batch", allowed, denied, revision)
        return decision_response(_encode(answers, revision), revision, age)

    def _require_few(self, checks: list[Item]) -> None:
        if len(checks) > self._limit:
            raise Problem(
                Code.BATCH_TOO_LARGE,
                f"{len(checks)} checks; at most {self._limit} are taken",
            )


def _address(batch: Batch) -> str | None:
    given = batch.client_ip
    return None if given is msgspec.UNSET else read_address(given.encode())


class Questions:
    """Reads questions; ids and keys that were read before are remembered.

    What a text means never changes, so only how many are remembered is bounded.
    """

    def __init__(self) -> None:
        self._ids: dict[str, Id] = {}
        self._keys: dict[str, str] = {}

    def read(self, checks: list[Item]) -> list[tuple[Id, str]]:
        """The questions, in order.

        Raises:
            Problem: one of them is none; it says which.
        """
        ids, keys = self._ids, self._keys
        try:
            return [(ids[item.user_id], keys[item.permission]) for item in checks]
        except KeyError:
            return [self._read_one(at, item) for at, item in enumerate(checks)]

    def _read_one(self, at: int, item: Item) -> tuple[Id, str]:
        user = self._ids.get(item.user_id)
        permission = self._keys.get(item.permission)
        if user is None or permission is None:
            return self._learn(at, item)
        return user, permission

    def _learn(self, at: int, item: Item) -> tuple[Id, str]:
        if len(self._ids) + len(self._keys) > _REMEMBERED:
            self._ids.clear()
            self._keys.clear()
        try:
            user = read_id(item.user_id.encode(), "user_id")
            permission = read_permission(item.permission.encode())
        except Problem as problem:
            detail = problem.detail or "no permission"
            raise Problem(problem.code, f"checks[{at}]: {detail}") from None
        self._ids[item.user_id] = user
        if len(permission) <= _LONGEST:
            self._keys[item.permission] = permission
        return user, permission


def _encode(answers: list[bool], revision: Revision) -> bytes:
    """What `encode` makes of the results and the revision, sooner."""
    results = b",".join([_ALLOWED if allowed else _DENIED for allowed in answers])
    said = encode({"revision": str(revision)})
    return b'{"results":[' + results + b"]," + said[1:]
