"""HTTP as aiohttp speaks it, but for plain requests and for what it can't read.

Plain checks and introspections are answered before it sees them, whenever it has
nothing on its hands. Its own answer to requests that it can't read quotes them, and
with them the credentials that they may hold.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from qeetid_authz_server.fastpath.answering import FastPath, Remembered
from qeetid_authz_server.fastpath.handover import Handover
from qeetid_authz_server.fastpath.heads import END
from qeetid_authz_server.incoming.requestids import request_ids
from qeetid_authz_server.outgoing.problems import Code, Problem, problem_response
from qeetid_authz_server.telemetry.counts import COUNTS, Counts

PATIENCE = 10.0
"""Seconds in which a head must have come, from its first byte on."""

_HEAD_SIZE = 1 << 18  # bytes of a head, beyond the longest request line and token
_FIRST_OF_OURS = 500  # status

_log = logging.getLogger(__name__)


class _Connection(web.RequestHandler):
    """A connection whose bytes go to the fast path, or else to the framework.

    The framework is lent the connection for one request, in however many pieces it
    comes. After anything else the connection is the framework's for good, since nobody
    can tell whether its parser waits for the rest of something.

    The framework itself would wait for the rest of a head for an hour, and keep eight
    megabytes of it.
    """

    __slots__ = (
        "_counts",
        "_fast_path",
        "_handover",
        "_made",
        "_overdue",
        "_remembered",
        "_unanswered",
        "_unread",
    )

    def __init__(
        self,
        *args: Any,
        made: Iterator[str],
        fast_path: FastPath | None,
        counts: Counts,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._counts = counts
        self._made = made
        self._fast_path = fast_path
        self._remembered = fast_path.connected() if fast_path else Remembered()
        self._handover: Handover | None = None
        self._unanswered = 0  # requests that the framework got
        self._unread = 0  # bytes that it got since the last head was complete
        self._overdue: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Answer plain requests, and leave whatever else comes to aiohttp."""
        if not data:
            super().data_received(data)
            return
        transport = self.transport
        if (
            self._fast_path is not None
            and transport is not None
            and self._is_ours()
            and (answers := self._fast_path.answer(data, self._remembered))
        ):
            transport.write(answers)
            # Else the framework would take the connection for idle.
            kept = self._loop.time() + self._keepalive_timeout
            self._next_keepalive_close_time = kept
            return
        handover, complete = self._hand_over(data), self._request_count
        super().data_received(data)
        self._watch(data, handover, is_head_complete=self._request_count > complete)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_ours(self) -> bool:
        if self._paused or self._force_close or self._close:
            return False
        return self._handover is None or (
            self._handover.is_whole and self._unanswered == 0
        )

    def _hand_over(self, data: bytes) -> Handover:
        handover = self._handover
        if handover is None or handover.is_whole:
            handover = self._handover = Handover()
            self._unanswered += 1
        handover.add(data)
        return handover

    def _watch(
        self, data: bytes, handover: Handover, *, is_head_complete: bool
    ) -> None:
        """See to it that a head that was begun ends soon, and in few bytes."""
        is_over = handover.is_whole or data.endswith(END)
        if is_head_complete or is_over:
            self._unread = 0
            self._stop_waiting()
        if is_over:
            return
        self._unread += len(data)
        if self._unread > _HEAD_SIZE and self._is_idle:
            self._give_up()
        else:
            self._wait_for_rest()

    @property
    def _is_idle(self) -> bool:
        """Whether the framework waits for a head, or for the rest of one."""
        return self._waiter is not None and not self._waiter.done()

    def _wait_for_rest(self) -> None:
        if self._overdue is None:
            self._overdue = self._loop.call_later(PATIENCE, self._miss_rest)

    def _miss_rest(self) -> None:
        self._overdue = None
        if self._is_idle:
            self._give_up()
        else:
            self._wait_for_rest()

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _give_up(self) -> None:
        _log.info("request_unfinished")
        self._stop_waiting()
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is said of a request that got no further than here."""
        del message  # It quotes the request, as `exc` does.
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        request_id = next(self._made)
        extra = {"request_id": request_id}
        if status >= _FIRST_OF_OURS:
            _log.error("request_failed", extra=extra, exc_info=exc)
            return self._refusal(Problem(Code.INTERNAL, is_last=True), request_id)
        _log.info("request_unparsable", extra=extra)
        detail = "the request can't be read"
        return self._refusal(
            Problem(Code.BAD_REQUEST, detail, is_last=True), request_id
        )

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response, in our form if the middleware hasn't seen it."""
        if isinstance(resp, web.HTTPException):  # an `Expect` that nobody meets
            problem = Problem(Code.BAD_REQUEST, resp.reason, is_last=True)
            resp = self._refusal(problem, next(self._made))
        sent, is_lost = await super().finish_response(request, resp, start_time)
        if sent.keep_alive and not is_lost:
            self._unanswered -= 1
            self._unread = 0
        return sent, is_lost

    def _refusal(self, problem: Problem, request_id: str) -> web.Response:
        response = problem_response(problem, request_id)
        self._counts.refused_unread(response.status)
        response.headers["X-Request-Id"] = request_id
        return response


class _Server(web.Server):
    def __init__(
        self, *args: Any, fast_path: FastPath | None, counts: Counts, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._made = request_ids()
        self._counts = counts
        self._fast_path = fast_path

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=self._loop,
            made=self._made,
            fast_path=self._fast_path,
            counts=self._counts,
            **self._kwargs,
        )


class Runner(web.AppRunner):
    """Runs an application whose connections are ours."""

    __slots__ = ("_fast_path",)

    def __init__(
        self, app: web.Application, *, fast_path: FastPath | None, **kwargs: Any
    ) -> None:
        super().__init__(app, **kwargs)
        self._fast_path = fast_path

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            fast_path=self._fast_path,
            counts=self.app[COUNTS],
            loop=made._loop,  # noqa: SLF001  (nobody else tells)
            **made._kwargs,  # noqa: SLF001
        )
