"""Plain checks, answered before they reach the framework.

Only what ends in a 200 is answered here, and byte for byte as the route would; whoever
gets bytes back hands them to the framework, which has every refusal to itself.
"""

from collections.abc import Iterator
from hmac import compare_digest
from time import perf_counter

from aiohttp.helpers import rfc822_formatted_time

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.authentication import Recognised
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.errors import AuthzError
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision
from qeetid_authz_server.callers import Gate
from qeetid_authz_server.health import Health
from qeetid_authz_server.logs import log_request
from qeetid_authz_server.plainheads import (
    NO_FIELDS,
    Fields,
    NotPlainError,
    read_fields,
    read_line,
)
from qeetid_authz_server.requestids import choose_request_id, request_ids
from qeetid_authz_server.responses import decision_head, decision_tail
from qeetid_authz_server.wire import ALLOWED, DENIED

_END = b"\r\n\r\n"
_AT_ONCE = 64  # checks that come together
_PARTS = 3  # of an answer


class Remembered:
    """What is remembered of one connection: who asked last, and in what words.

    Attributes:
        block: the fields of the last head, as they came.
        fields: what they said.
        caller: for whom their credential stood.
    """

    __slots__ = ("block", "caller", "fields")

    def __init__(self) -> None:
        self.block = b""
        self.fields: Fields = NO_FIELDS
        self.caller: Recognised | None = None


class FastPath:
    """Answers plain checks of callers that are known already."""

    def __init__(self, authorizer: AsyncAuthorizer, gate: Gate, health: Health) -> None:
        """Prepare.

        Args:
            authorizer: what decides.
            gate: what tells who may ask.
            health: what knows when nothing new is begun any more.
        """
        self._authorizer = authorizer
        self._gate = gate
        self._health = health
        self._made: Iterator[str] = request_ids()
        self._revision: Revision | None = None
        self._head = ""
        self._date = ""
        self._allowed = self._denied = ""

    def answer(self, data: bytes, remembered: Remembered) -> bytes:
        """The answers to plain checks; nothing if anything else is with them.

        Args:
            data: what came in, from the start of a request on.
            remembered: of the connection that it came in on.
        """
        began = perf_counter()
        answers: list[str] = []
        start = 0
        try:
            while start < len(data):
                if len(answers) >= _AT_ONCE * _PARTS:
                    return b""  # The framework lets others have a turn in between.
                start = self._answer_first(data, start, answers, remembered)
        except (NotPlainError, AuthzError):
            return b""
        for request_id in answers[1::_PARTS]:
            log_request("GET", "/v1/check", 200, request_id, began)
        return "".join(answers).encode()

    def _answer_first(
        self, data: bytes, start: int, answers: list[str], remembered: Remembered
    ) -> int:
        """Answer one check; where the next one begins."""
        at = data.find(_END, start)
        if at < 0 or self._health.draining:
            raise NotPlainError
        middle, end = data.find(b"\r\n", start), at + len(_END)
        block = data[middle:end]
        if not compare_digest(block, remembered.block):
            self._read(block, remembered)
        answers += self._one(data[start:middle], remembered)
        return end

    def _read(self, block: bytes, remembered: Remembered) -> None:
        fields = read_fields(block)
        former = remembered.fields.authorization or ""
        if not compare_digest(fields.authorization or "", former):
            remembered.caller = None
        remembered.block, remembered.fields = block, fields

    def _one(self, line: bytes, remembered: Remembered) -> tuple[str, str, str]:
        """The answer to one plain check, with the request's id by itself.

        Raises:
            NotPlainError: it isn't one, or this isn't the place to refuse it.
            AuthzError: there is nothing to answer from.
        """
        caller = None if self._gate.is_open else self._caller(remembered)
        asked = read_line(line)
        if caller is not None and caller.tenant_id != asked.tenant_id:
            raise NotPlainError
        decision = self._authorizer.check(asked.principal, asked.permission)
        if decision.reason is Reason.STALE:
            raise NotPlainError
        request_id = choose_request_id(remembered.fields.request_id, self._made)
        if decision.revision is not self._revision:
            self._revision = decision.revision
            self._head = decision_head(decision.revision)
        if (date := rfc822_formatted_time()) is not self._date:
            self._date = date
            self._denied, self._allowed = (
                decision_tail(DENIED, date),
                decision_tail(ALLOWED, date),
            )
        tail = self._allowed if decision.allowed else self._denied
        return f"{self._head}{decision.age:.3f}\r\nX-Request-Id: ", request_id, tail

    def _caller(self, remembered: Remembered) -> Principal:
        """Who asks, if that is known without waiting, and may."""
        caller = remembered.caller
        if caller is None or not self._gate.stands(caller):
            authorization = remembered.fields.authorization
            caller = remembered.caller = self._gate.recall(authorization)
        if caller is None or not self._gate.may_ask(caller.principal):
            raise NotPlainError
        return caller.principal
