"""What is sent for a question, and what the answer means.

Pure: whoever has a connection sends the request and hands back the reply, or says why
none came.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from qeetid_authz.decision.decision import Basis, Decision
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.published import NO_REVISION
from qeetid_authz.engine.roster import require_principal, require_question
from qeetid_authz.errors import (
    MalformedCredentialError,
    SidecarUnavailableError,
    StaleError,
)
from qeetid_authz.index.iprules import parse_address
from qeetid_authz.principal import Principal
from qeetid_authz.revision import RevisionToken
from qeetid_authz.sidecar.messages import Reply, Request, Unanswered
from qeetid_authz.sidecar.refusals import accept, refuse_credential
from qeetid_authz.sidecar.wire import (
    CHECK,
    DECISIONS,
    HELD,
    PRINCIPAL,
    Answer,
    Decisions,
    Held,
    Judged,
    Question,
    Questions,
    Who,
)

_LONGEST_PLAIN: Final = 128  # characters of a key
_T = TypeVar("_T")

_answers: Final = msgspec.json.Decoder(Answer)
_decisions: Final = msgspec.json.Decoder(Decisions)
_held: Final = msgspec.json.Decoder(Held)
_who: Final = msgspec.json.Decoder(Who)


class Came(NamedTuple):
    """A reply, and when its request was sent, by the client's clock."""

    reply: Reply
    sent_at: float


@dataclass(frozen=True, slots=True)
class Asked(Generic[_T]):
    """A question on its way.

    Attributes:
        request: what is sent.
        read: what the reply means; raises what an authorizer would, or Unanswered.
        without: what it means that no answer came.
    """

    request: Request
    read: Callable[[Came], _T]
    without: Callable[[Unanswered], _T]


class Asking:
    """Makes requests of what an application asks.

    Each method raises TypeError and ValueError as the engine's does, and a ValueError
    for text that isn't UTF-8, before anything is sent.
    """

    def __init__(
        self, name: str, clock: Callable[[], float], *, raises_stale: bool
    ) -> None:
        """Prepare.

        Args:
            name: what messages call the sidecar.
            clock: seconds that never run backwards.
            raises_stale: whether what would be denied as `stale` raises instead.
        """
        self.name = name
        self._clock = clock
        self._raises_stale = raises_stale

    def can(
        self, principal: Principal, key: str, ip: str | None, at_least: str | None
    ) -> Asked[bool]:
        """Whether a principal holds a permission."""
        require_question(principal, key)
        # Of a plain check a stale sidecar says no, and not that it is stale.
        is_plain = not (principal.is_bounded or self._raises_stale)
        if is_plain and 0 < len(key) <= _LONGEST_PLAIN and "\0" not in key:
            request = _plain(principal, key, ip, at_least)
            return Asked(request, self._read_answer, self._deny)
        asked = self.check(principal, key, ip, at_least)
        return Asked(
            asked.request,
            lambda came: asked.read(came).allowed,
            lambda why: asked.without(why).allowed,
        )

    def _read_answer(self, came: Came) -> bool:
        return accept(came.reply, _answers, self.name).allowed

    def _deny(self, _: Unanswered) -> bool:
        return False

    def check(
        self, principal: Principal, key: str, ip: str | None, at_least: str | None
    ) -> Asked[Decision]:
        """The decision."""
        asked = self.check_many([(principal, key)], ip, at_least)
        return Asked(
            asked.request,
            lambda came: asked.read(came)[0],
            lambda why: asked.without(why)[0],
        )

    def check_many(
        self,
        questions: Iterable[tuple[Principal, str]],
        ip: str | None,
        at_least: str | None,
    ) -> Asked[list[Decision]]:
        """The decisions on several questions."""
        asked = list(questions)

        def read(came: Came) -> list[Decision]:
            judged, _, basis = self._judged(came, len(asked))
            return [Decision(each.allowed, each.reason, basis) for each in judged]

        def without(why: Unanswered) -> list[Decision]:
            self.require_silence(why)
            basis = Basis(NO_REVISION, -inf, self._clock)
            return [Decision(False, Reason.STALE, basis) for _ in asked]

        return Asked(_request(asked, ip, at_least), read, without)

    def explain(
        self, principal: Principal, key: str, ip: str | None, at_least: str | None
    ) -> Asked[Explanation]:
        """The decision with its grounds."""
        request = _request([(principal, key)], ip, at_least, explain=True)

        def read(came: Came) -> Explanation:
            (judged,), age, basis = self._judged(came, 1)
            return judged.explanation(principal, key, basis.revision, age)

        def without(why: Unanswered) -> Explanation:
            self.require_silence(why)
            return Explanation(False, key, (), Reason.STALE, (), NO_REVISION, inf)

        return Asked(request, read, without)

    def effective_permissions(self, principal: Principal) -> Asked[list[str]]:
        """All keys that a principal holds."""
        require_principal(principal)

        def without(why: Unanswered) -> list[str]:
            self.require_silence(why)
            return []

        return Asked(
            Request("POST", HELD, _encode(Who.of(principal))),
            lambda came: accept(came.reply, _held, self.name).permissions,
            without,
        )

    def authenticate(self, header: str) -> Asked[Principal]:
        """For whom a credential stands.

        Raises:
            MalformedCredentialError: it can't be that of anybody.
        """
        if not isinstance(header, str):
            raise TypeError("an Authorization header must be a string")
        if not (header.isascii() and header.isprintable()):
            raise MalformedCredentialError("the header isn't printable ASCII")
        request = Request("GET", PRINCIPAL, authorization=header)
        return Asked(request, self._read_principal, self.refuse)

    def _read_principal(self, came: Came) -> Principal:
        refuse_credential(came.reply)
        try:
            return accept(came.reply, _who, self.name).principal()
        except ValueError:
            raise Unanswered("garbled", "its answer names nobody") from None

    def basis(self, at_least: str | None = None) -> Asked[Basis]:
        """What answers rest on, once they rest on a transaction."""
        request = _request([], None, at_least)
        return Asked(request, lambda came: self._judged(came, 0)[2], self.refuse)

    def _judged(self, came: Came, count: int) -> tuple[list[Judged], float, Basis]:
        """Decisions that hang together, their age when they were made, and the basis.

        That is at least as old as it seems: it was told after the request was sent.
        """
        said = accept(came.reply, _decisions, self.name)
        if len(said.decisions) != count:
            raise Unanswered("garbled", "it answers other questions")
        for each in said.decisions:
            if each.allowed is not (each.reason is Reason.GRANTED):
                raise Unanswered("garbled", "its answer contradicts itself")
            if each.reason is Reason.STALE:
                self.require_silence(Unanswered("stale", "it is stale"))
        current_at = came.sent_at - said.age_s
        basis = Basis(said.snapshot.revision(), current_at, self._clock)
        return said.decisions, said.age_s, basis

    def require_silence(self, why: Unanswered) -> None:
        """Return when it is denied without a word.

        Raises:
            StaleError: it isn't; the client was told to raise.
        """
        if self._raises_stale:
            raise StaleError(self.complaint(why))

    def refuse(self, why: Unanswered) -> NoReturn:
        """Answer nothing.

        Raises:
            SidecarUnavailableError: always.
        """
        raise SidecarUnavailableError(self.complaint(why), why.cause)

    def complaint(self, why: Unanswered) -> str:
        """What a message says of a question without an answer."""
        return f"the sidecar at `{self.name}` can't be asked: {why.detail}"


def _plain(
    principal: Principal, key: str, ip: str | None, at_least: str | None
) -> Request:
    """What the sidecar answers soonest."""
    target = (
        f"{CHECK}?user_id={principal.id}&tenant_id={principal.tenant_id}"
        f"&permission={quoted(key)}"
    )
    if ip is not None:
        target += f"&client_ip={quoted(str(parse_address(ip)))}"
    return Request("GET", target, at_least=_token(at_least))


def _request(
    asked: Iterable[tuple[Principal, str]],
    ip: str | None,
    at_least: str | None,
    *,
    explain: bool = False,
) -> Request:
    questions = []
    for principal, key in asked:
        require_question(principal, key)
        questions.append(Question(Who.of(principal), key))
    client_ip = UNSET if ip is None else str(parse_address(ip))
    body = _encode(Questions(questions, client_ip, explain))
    return Request("POST", DECISIONS, body, _token(at_least))


def _token(at_least: str | None) -> str | None:
    return None if at_least is None else str(RevisionToken.parse(at_least))


def _encode(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise _unwritable() from None


def quoted(text: str) -> str:
    """Text as it is written in a query; ValueError where it can't be."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise _unwritable() from None


def _unwritable() -> ValueError:
    return ValueError("a key or a scope holds half a character; it can't be sent")
