"""HTTP as aiohttp speaks it, but for what it says of requests that it can't read.

Its own answer quotes them, and with them the credentials that they may hold.
"""

import logging
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from qeetid_authz_server.problems import Code, Problem, problem_response
from qeetid_authz_server.requestids import request_ids

_FIRST_OF_OURS = 500  # status

_log = logging.getLogger(__name__)


class _Connection(web.RequestHandler):
    __slots__ = ("_made",)

    def __init__(self, *args: Any, made: Iterator[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made = made

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
        return await super().finish_response(request, resp, start_time)

    @staticmethod
    def _refusal(problem: Problem, request_id: str) -> web.Response:
        response = problem_response(problem, request_id)
        response.headers["X-Request-Id"] = request_id
        return response


class _Server(web.Server):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made = request_ids()

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, made=self._made, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application whose connections are ours."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            loop=made._loop,  # noqa: SLF001  (nobody else tells)
            **made._kwargs,  # noqa: SLF001
        )
