"""Plain checks of callers that are known already."""

from collections.abc import Iterator
from hmac import compare_digest
from logging import DEBUG
from time import perf_counter

from aiohttp.helpers import rfc822_formatted_time

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.authentication import Recognised
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.errors import AuthzError
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision
from qeetid_authz_server.callers import Gate
from qeetid_authz_server.fastpath.heads import (
    END,
    NotPlainError,
    read_fields,
    read_line,
    text_of,
)
from qeetid_authz_server.health import Health
from qeetid_authz_server.logs import REQUEST_LOG, log_request
from qeetid_authz_server.requestids import decent_request_id, request_ids
from qeetid_authz_server.responses import decision_head, decision_tail
from qeetid_authz_server.wire import ALLOWED, DENIED

_AT_ONCE = 64  # checks that come together


class LastCaller:
    """Who asked last on a connection, and in what words.

    Attributes:
        block: the fields of the last head, as they came.
        authorization: the credential that they held, if any.
        request_id: what they called the request; None if that is no decent name.
        known: for whom the credential stood.
    """

    __slots__ = ("authorization", "block", "known", "request_id")

    def __init__(self) -> None:
        self.block = b""
        self.authorization: str | None = None
        self.request_id: str | None = None
        self.known: Recognised | None = None

    def read(self, block: bytes) -> None:
        """Take in the fields of another head.

        Raises:
            NotPlainError: they say more than a check needs.
        """
        fields = read_fields(block)
        if b"content-length" in fields:
            raise NotPlainError
        given = text_of(fields, b"authorization")
        if not compare_digest(given or "", self.authorization or ""):
            self.known = None
        self.authorization = given
        self.request_id = decent_request_id(text_of(fields, b"x-request-id"))
        self.block = block


class PlainChecks:
    """Answers checks whose answer is at hand."""

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

    def answer(self, data: bytes, caller: LastCaller) -> bytes:
        """The answers to plain checks; nothing if anything else is with them.

        Args:
            data: what came in, from the start of a request on.
            caller: who asked last on the connection that it came in on.
        """
        if self._health.draining:
            return b""
        began = perf_counter()
        self._tell_time()
        answers: list[str] = []
        named: list[str] = []
        start, size = 0, len(data)
        try:
            while start < size:
                middle, end = data.find(b"\r\n", start), data.find(END, start)
                # Of too many the framework lets others have a turn in between.
                if end < 0 or len(answers) == _AT_ONCE:
                    return b""
                end += len(END)
                block = data[middle:end]
                if not compare_digest(block, caller.block):
                    caller.read(block)
                request_id = caller.request_id or next(self._made)
                answers.append(self._one(data[start:middle], caller, request_id))
                named.append(request_id)
                start = end
        except (NotPlainError, AuthzError):
            return b""
        if REQUEST_LOG.isEnabledFor(DEBUG):
            for request_id in named:
                log_request("GET", "/v1/check", 200, request_id, began)
        return "".join(answers).encode()

    def _tell_time(self) -> None:
        date = rfc822_formatted_time()
        if date is not self._date:
            self._date = date
            self._allowed = decision_tail(ALLOWED, date)
            self._denied = decision_tail(DENIED, date)

    def _one(self, line: bytes, caller: LastCaller, request_id: str) -> str:
        """The answer to one plain check.

        Raises:
            NotPlainError: it isn't one, or this isn't the place to refuse it.
            AuthzError: there is nothing to answer from.
        """
        asks = None if self._gate.is_open else self._who_asks(caller)
        asked = read_line(line)
        if asks is not None and asks.tenant_id != asked.tenant_id:
            raise NotPlainError
        decision = self._authorizer.check(asked.principal, asked.permission)
        if decision.reason is Reason.STALE:
            raise NotPlainError
        basis = decision.basis
        if basis.revision is not self._revision:
            self._revision = basis.revision
            self._head = decision_head(basis.revision)
        tail = self._allowed if decision.allowed else self._denied
        return f"{self._head}{basis.age:.3f}\r\nX-Request-Id: {request_id}{tail}"

    def _who_asks(self, caller: LastCaller) -> Principal:
        """Who asks, if that is known without waiting, and may."""
        known = caller.known
        if known is None or not self._gate.stands(known):
            known = caller.known = self._gate.recall(caller.authorization)
        if known is None or not self._gate.may_ask(known.principal):
            raise NotPlainError
        return known.principal
