"""`POST /v1/decisions`, `/v1/effective-permissions`: about principals of every kind."""

from collections import Counter

import msgspec
from aiohttp import web
from msgspec import UNSET

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.principal import Principal
from qeetid_authz.sidecar.wire import (
    Decisions,
    Held,
    Judged,
    Questions,
    Snapshot,
    Who,
)
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.jsonbodies import read_json
from qeetid_authz_server.incoming.ownwrites import own_writes
from qeetid_authz_server.incoming.questions import read_address, require_same_tenant
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import encode
from qeetid_authz_server.telemetry.counts import DECIDED, Decided

_questions = msgspec.json.Decoder(Questions)
_who = msgspec.json.Decoder(Who)


class DecisionsRoutes:
    """Answer as an authorizer in the caller's own process would."""

    def __init__(
        self, engine: AsyncAuthorizer, gate: Gate, bodies: Bodies, limit: int
    ) -> None:
        """Prepare; `limit` is how many questions one request may hold."""
        self._engine = engine
        self._gate = gate
        self._bodies = bodies
        self._limit = limit

    async def decisions(self, request: web.Request) -> web.Response:
        """Decisions with their reasons, in the order of the questions, explained or not.

        Without a question the revision is told all the same.

        Raises:
            Problem: the caller, the body or any of the questions is refused.
        """
        caller = await self._gate.identify(request)
        self._gate.require_may_ask(caller)
        asked = await read_json(request, self._bodies, _questions)
        self._require_few(asked)
        questions = [
            (_read_principal(each.principal, f"questions[{at}]: "), each.permission)
            for at, each in enumerate(asked.questions)
        ]
        for principal, _ in questions:
            require_same_tenant(caller, principal.tenant)
        given = asked.client_ip
        address = None if given is UNSET else read_address(given.encode())
        await own_writes(request, self._engine)
        if asked.explain:
            judged = [
                Judged.of(self._engine.explain(principal, key, address))
                for principal, key in questions
            ]
        else:
            judged = [
                Judged(each.allowed, each.reason)
                for each in self._engine.check_many(questions, address)
            ]
        revision, age = self._engine.revision, self._engine.age
        reasons = Counter(each.reason.value for each in judged)
        request[DECIDED] = Decided("decisions", reasons, revision)
        body = encode(Decisions(judged, Snapshot.of(revision), age))
        return decision_response(body, revision, age)

    async def held(self, request: web.Request) -> web.Response:
        """The effective permissions of one principal.

        Raises:
            Problem: the caller or the body is refused, or the replica is stale.
        """
        caller = await self._gate.identify(request)
        self._gate.require_may_ask(caller)
        principal = _read_principal(await read_json(request, self._bodies, _who))
        require_same_tenant(caller, principal.tenant)
        await own_writes(request, self._engine)
        keys, revision, age = self._engine.holdings(principal)
        if self._engine.is_stale:
            raise Problem(Code.UNAVAILABLE, SENTENCES[Reason.STALE])
        body = encode(Held(keys, Snapshot.of(revision), age))
        return decision_response(body, revision, age)

    def _require_few(self, asked: Questions) -> None:
        count = len(asked.questions)
        if count > self._limit:
            raise Problem(
                Code.BATCH_TOO_LARGE,
                f"{count} questions; at most {self._limit} are taken",
            )
        if asked.explain and count > 1:  # each may take long, and nobody else a turn
            raise Problem(Code.BAD_REQUEST, "one question at a time is explained")


def _read_principal(who: Who, where: str = "") -> Principal:
    try:
        return who.principal()
    except ValueError as error:
        raise Problem(Code.BAD_REQUEST, f"{where}{error}") from None
