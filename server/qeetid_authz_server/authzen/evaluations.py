"""`/access/v1/evaluation` and `/access/v1/evaluations`: may somebody do something?"""

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.ids import Id
from qeetid_authz_server.authzen.entrance import Entrance, readable
from qeetid_authz_server.authzen.judging import (
    Judge,
    Verdict,
    batch_body,
    decision_body,
)
from qeetid_authz_server.authzen.messages import (
    Batch,
    Evaluation,
    Failure,
    Item,
    Semantic,
    read_evaluation,
    read_questions,
)
from qeetid_authz_server.authzen.people import Known, People
from qeetid_authz_server.incoming.ownwrites import own_writes
from qeetid_authz_server.outgoing.problems import Problem
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import encode
from qeetid_authz_server.telemetry.counts import DECIDED, UNSTATED, Decided

_API = "authzen"
_Name: TypeAlias = tuple[str, str]  # of a subject: its type and its id


class EvaluationRoutes:
    """Answer questions."""

    def __init__(
        self,
        engine: AsyncAuthorizer,
        entrance: Entrance,
        people: People,
        judge: Judge,
        limit: int,
    ) -> None:
        self._engine = engine
        self._entrance = entrance
        self._people = people
        self._judge = judge
        self._limit = limit

    async def evaluation(self, request: web.Request) -> web.Response:
        """The answer to one question.

        Raises:
            Problem: the caller or the question is refused, or can't be told now.
        """
        _, tenant = await self._entrance.admit(request)
        members = await self._entrance.read(request)
        with readable():
            asked = read_evaluation(members)
        return await self._answer_one(request, tenant, asked)

    async def evaluations(self, request: web.Request) -> web.Response:
        """The answers to several, or to one where there are none in the list.

        Raises:
            Problem: the caller or the whole of it is refused.
        """
        _, tenant = await self._entrance.admit(request)
        members = await self._entrance.read(request, limit=None)
        with readable():
            asked = read_questions(members, self._limit)
        if isinstance(asked, Evaluation):
            return await self._answer_one(request, tenant, asked)
        return await self._answer_all(request, tenant, asked)

    async def _answer_one(
        self, request: web.Request, tenant: Id, asked: Evaluation
    ) -> web.Response:
        await own_writes(request, self._engine)
        who = await self._people.find(tenant, asked.subject)
        verdict = self._judge.judge(who, asked)
        revision, age = self._engine.revision, self._engine.age
        request[DECIDED] = Decided(_API, {verdict.counted_as: 1}, revision)
        body = encode(decision_body(verdict, str(revision)))
        return decision_response(body, revision, age)

    async def _answer_all(
        self, request: web.Request, tenant: Id, batch: Batch
    ) -> web.Response:
        await own_writes(request, self._engine)
        known = await self._who(tenant, batch.items)
        verdicts = _as_far_as_needed(self._verdicts(batch.items, known), batch.semantic)
        answers = list(verdicts)
        revision, age = self._engine.revision, self._engine.age
        reasons = Counter(
            UNSTATED if isinstance(each, Failure) else each.counted_as
            for each in answers
        )
        request[DECIDED] = Decided(_API, reasons, revision)
        return decision_response(batch_body(answers, str(revision)), revision, age)

    async def _who(self, tenant: Id, items: list[Item]) -> dict[_Name, Known | Failure]:
        """Who is meant, by type and id; e-mails are looked up together.

        Those whose e-mail can't be looked up fail, and nobody else: in a batch what is
        wrong with one question is no fault of the others.
        """
        subjects = [item.subject for item in items if isinstance(item, Evaluation)]
        asked = {(each.type, each.id): each for each in subjects}
        at_hand = {
            name: self._people.at_hand(tenant, each) for name, each in asked.items()
        }
        known: dict[_Name, Known | Failure] = {
            name: who for name, who in at_hand.items() if who is not None
        }
        named = [name for name in at_hand if name not in known]
        if named:
            try:
                found = await self._people.find_named(tenant, [id_ for _, id_ in named])
                known |= {name: found[name[1]] for name in named}
            except Problem as problem:
                known |= dict.fromkeys(named, Failure(503, problem.detail))
        return known

    def _verdicts(
        self, items: list[Item], known: dict[_Name, Known | Failure]
    ) -> Iterator[Verdict | Failure]:
        for item in items:
            if isinstance(item, Failure):
                yield item
                continue
            who = known[item.subject.type, item.subject.id]
            if isinstance(who, Failure):
                yield who
            else:
                yield self._judge.judge(who, item)


def _as_far_as_needed(
    verdicts: Iterator[Verdict | Failure], semantic: Semantic
) -> Iterator[Verdict | Failure]:
    """Those up to the one that settles it; a failure is as good as a denial."""
    for verdict in verdicts:
        yield verdict
        allowed = isinstance(verdict, Verdict) and verdict.allowed
        if allowed and semantic is Semantic.PERMIT_ON_FIRST_PERMIT:
            return
        if not allowed and semantic is Semantic.DENY_ON_FIRST_DENY:
            return
