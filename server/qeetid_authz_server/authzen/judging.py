"""Judges evaluations, and writes what was decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.principal import Principal
from qeetid_authz_server.authzen.mapping import KeyMapping
from qeetid_authz_server.authzen.messages import Evaluation, Failure
from qeetid_authz_server.authzen.people import Known, Stranger
from qeetid_authz_server.outgoing.wire import encode, sentence, steps
from qeetid_authz_server.telemetry.counts import UNSTATED


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision.

    Attributes:
        allowed: what it is.
        code: why, a reason or what kind of stranger it is about.
        sentence: why it is a denial, in words.
        paths: the grant paths, where they were asked for.
    """

    allowed: bool
    code: str
    sentence: str = ""
    paths: list[dict[str, str]] | None = None

    @property
    def counted_as(self) -> str:
        """The reason under which it is counted, from a closed set."""
        return self.code if self.code in _REASONS else UNSTATED


_REASONS = frozenset(map(str, Reason))


class Judge:
    """Judges evaluations by permission keys.

    Without an `await` between them, verdicts are of one revision: none is published
    while the event loop is busy.
    """

    def __init__(self, engine: Engine, mapping: KeyMapping) -> None:
        self._engine = engine
        self._mapping = mapping

    def judge(self, who: Known, asked: Evaluation) -> Verdict:
        """The verdict on a question about somebody."""
        context = asked.context
        if isinstance(who, Stranger):
            verdict = self._of_stranger(who)
            return verdict if not context.explains else _explained(verdict, [])
        resource = asked.resource
        keys = self._mapping.keys(asked.action.name, resource.type, resource.id)
        reason = self.reason(who, keys, context.client_ip)
        allowed = reason is Reason.GRANTED
        said = "" if allowed else sentence(reason, self._engine.semantics)
        verdict = Verdict(allowed, reason, said)
        if not context.explains:
            return verdict
        return _explained(verdict, self._paths(who, keys, context.client_ip))

    def reason(
        self, who: Principal, keys: Sequence[str], client_ip: str | None = None
    ) -> Reason:
        """Why somebody may, or not, who needs any of some keys."""
        if not keys:
            return self._engine.standing(who) or Reason.UNKNOWN_PERMISSION
        reason = Reason.UNKNOWN_PERMISSION
        for key in keys:
            decision = self._engine.check(who, key, client_ip)
            if decision.allowed:
                return decision.reason
            if reason is Reason.UNKNOWN_PERMISSION:
                reason = decision.reason
        return reason

    def _of_stranger(self, stranger: Stranger) -> Verdict:
        if self._engine.is_stale:
            return Verdict(allowed=False, code=Reason.STALE, sentence=_STALE)
        return Verdict(allowed=False, code=stranger.code, sentence=stranger.sentence)

    def _paths(
        self, who: Principal, keys: Sequence[str], client_ip: str | None
    ) -> list[dict[str, str]]:
        return [
            step
            for key in keys
            for step in steps(self._engine.explain(who, key, client_ip).paths)
        ]


_STALE = SENTENCES[Reason.STALE]


def _explained(verdict: Verdict, paths: list[dict[str, str]]) -> Verdict:
    return Verdict(verdict.allowed, verdict.code, verdict.sentence, paths)


def decision_body(verdict: Verdict, revision: str) -> dict[str, Any]:
    """A decision with its reasons.

    Its context has `code`; of a denial `reason`, the same in words; `revision`; and
    `paths` where they were asked for.
    """
    context: dict[str, Any] = {"code": verdict.code}
    if not verdict.allowed:
        context["reason"] = verdict.sentence
    context["revision"] = revision
    if verdict.paths is not None:
        context["paths"] = verdict.paths
    return {"decision": verdict.allowed, "context": context}


def batch_body(verdicts: list[Verdict | Failure], revision: str) -> bytes:
    """Decisions in order, bare but for those that are explained or failed."""
    return b'{"evaluations":[' + b",".join(_item(v, revision) for v in verdicts) + _END


_END = b"]}\n"
_BARE = {allowed: encode({"decision": allowed})[:-1] for allowed in (True, False)}


def _item(verdict: Verdict | Failure, revision: str) -> bytes:
    if isinstance(verdict, Failure):
        error = {"status": verdict.status, "message": verdict.message}
        return encode({"decision": False, "context": {"error": error}})[:-1]
    if verdict.paths is None:
        return _BARE[verdict.allowed]
    return encode(decision_body(verdict, revision))[:-1]
