"""Plain checks of callers that are known already."""

from collections.abc import Iterator
from hmac import compare_digest
from itertools import chain
from logging import DEBUG
from time import perf_counter, time
from typing import TypeAlias

from aiohttp.helpers import rfc822_formatted_time

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.clocks import steady
from qeetid_authz.credentials.authentication import Recognised
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.errors import AuthzError
from qeetid_authz.revision import Revision
from qeetid_authz_server.fastpath.heads import (
    END,
    Asked,
    NotPlainError,
    read_fields,
    read_line,
    text_of,
)
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.requestids import decent_request_id, request_ids
from qeetid_authz_server.outgoing.responses import (
    ID_FIELD,
    decision_head,
    decision_tail,
)
from qeetid_authz_server.outgoing.wire import ALLOWED, DENIED
from qeetid_authz_server.telemetry.counts import PlainTally
from qeetid_authz_server.telemetry.health import Health
from qeetid_authz_server.telemetry.logs import REQUEST_LOG, log_request

_AT_ONCE = 64  # checks that come together
_NEVER = -1  # edition, or second
_ID = 3  # which part of an answer is the request's id
_STALE = Reason.STALE  # whose name an enumeration takes 0.1 us to look up

_Parts: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes]


class LastCaller:
    """Who asked last on a connection, and in what words.

    Attributes:
        left_out: fields with which a check isn't plain.
        block: the fields of the last head, as they came.
        authorization: the credential that they held, if any.
        request_id: what they called the request; nothing if that is no decent name.
        known: for whom the credential stood.
        tenant_id: theirs.
        edition: of the facts by which they may ask, where only facts could change that.
    """

    __slots__ = (
        "authorization",
        "block",
        "edition",
        "known",
        "left_out",
        "request_id",
        "tenant_id",
    )

    def __init__(self, left_out: frozenset[bytes]) -> None:
        self.left_out = left_out
        self.block = b""
        self.authorization: str | None = None
        self.request_id = b""
        self.known: Recognised | None = None
        self.tenant_id = ""
        self.edition = _NEVER

    def read(self, block: bytes) -> None:
        """Take in the fields of another head.

        Raises:
            NotPlainError: they say more than a check needs.
        """
        fields = read_fields(block)
        if b"content-length" in fields or not self.left_out.isdisjoint(fields):
            raise NotPlainError
        given = text_of(fields, b"authorization")
        if not compare_digest(given or "", self.authorization or ""):
            self.known, self.edition = None, _NEVER
        self.authorization = given
        request_id = decent_request_id(text_of(fields, b"x-request-id")) or ""
        self.request_id = request_id.encode()
        self.block = block


class PlainChecks:
    """Answers checks whose answer is at hand."""

    def __init__(
        self,
        authorizer: AsyncAuthorizer,
        gate: Gate,
        health: Health,
        tally: PlainTally,
    ) -> None:
        """Prepare.

        Args:
            authorizer: what decides.
            gate: what tells who may ask.
            health: what knows when nothing new is begun any more.
            tally: what counts the answers.
        """
        self._authorizer = authorizer
        self._check = authorizer.check
        self._gate = gate
        self._health = health
        self._tally = tally
        self._made: Iterator[str] = request_ids()
        self._revision: Revision | None = None
        self._head = b""
        self._second = _NEVER
        self._is_logged = False
        self._allowed = self._denied = b""

    def answer(self, data: bytes, caller: LastCaller) -> bytes:
        """The answers to plain checks; nothing if anything else is with them.

        Args:
            data: what came in, from the start of a request on.
            caller: who asked last on the connection that it came in on.
        """
        if self._health.draining:
            return b""
        if int(time()) != self._second:
            self._begin_second()
        if self._is_logged:
            return self._answer_logged(data, caller)
        try:
            alike = self._answer_alike(data, caller)
            return b"".join(
                alike or chain.from_iterable(self._answer_each(data, caller))
            )
        except (NotPlainError, AuthzError):
            return b""

    def _answer_logged(self, data: bytes, caller: LastCaller) -> bytes:
        began = perf_counter()
        try:
            answers = self._answer_each(data, caller)
        except (NotPlainError, AuthzError):
            return b""
        for answer in answers:
            log_request("GET", "/v1/check", 200, answer[_ID].decode(), began)
        return b"".join(chain.from_iterable(answers))

    def _begin_second(self) -> None:
        self._second = int(time())
        self._is_logged = REQUEST_LOG.isEnabledFor(DEBUG)
        date = rfc822_formatted_time()
        self._allowed = decision_tail(ALLOWED, date)
        self._denied = decision_tail(DENIED, date)

    def _answer_alike(self, data: bytes, caller: LastCaller) -> _Parts | None:
        """Answer one check, if it differs from the last in its first line only."""
        size = len(caller.block)
        if not compare_digest(data[-size:], caller.block):
            return None
        try:
            asked = read_line(data[:-size])
        except NotPlainError:
            return None  # It may be several.
        return self._answer_one(asked, caller, self._tally)

    def _answer_each(self, data: bytes, caller: LastCaller) -> list[_Parts]:
        """Answer one check after the other."""
        answers: list[_Parts] = []
        tally = PlainTally()  # they may all be left to the framework yet
        start = 0
        while start < len(data):
            middle, at = data.find(b"\r\n", start), data.find(END, start)
            # Of too many the framework lets others have a turn in between.
            if at < 0 or len(answers) == _AT_ONCE:
                raise NotPlainError
            end = at + len(END)
            if not compare_digest(data[middle:end], caller.block):
                caller.read(data[middle:end])
            asked = read_line(data[start:middle])
            answers.append(self._answer_one(asked, caller, tally))
            start = end
        self._tally.add(tally)
        return answers

    def _answer_one(
        self, asked: Asked, caller: LastCaller, tally: PlainTally
    ) -> _Parts:
        """Answer one check, in parts of which the request's id is one.

        Raises:
            NotPlainError: this isn't the place to refuse it.
            AuthzError: there is nothing to answer from.
        """
        if not self._gate.is_open and self._who_asks(caller) != asked.tenant_id:
            raise NotPlainError
        decision = self._check(asked.principal, asked.permission)
        if decision.reason is _STALE:
            raise NotPlainError
        basis = decision.basis
        if basis.revision is not self._revision:
            self._revision = basis.revision
            self._head = decision_head(basis.revision)
        if decision.allowed:
            tally.granted += 1
            tail = self._allowed
        else:
            tally.denied[decision.reason] += 1
            tail = self._denied
        request_id = caller.request_id or next(self._made).encode()
        age = b"%.3f" % (steady() - basis.current_at)
        return self._head, age, ID_FIELD, request_id, tail

    def _who_asks(self, caller: LastCaller) -> str:
        """The tenant of who asks, if that is known without waiting, and who may."""
        edition = self._authorizer.edition
        if caller.edition == edition:
            return caller.tenant_id
        known = caller.known
        if known is None or not self._gate.stands(known):
            known = caller.known = self._gate.recall(caller.authorization)
        if known is None or not self._gate.may_ask(known.principal):
            raise NotPlainError
        caller.tenant_id = known.principal.tenant_id
        if known.is_endless:
            caller.edition = known.edition
        return caller.tenant_id
