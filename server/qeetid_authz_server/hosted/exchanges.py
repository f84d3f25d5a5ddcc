"""One request that is passed on: its body goes, its answer comes back, in bounds."""

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import ClientResponse, web
from multidict import CIMultiDict

from qeetid_authz_server.hosted.fields import are_writable, response_fields
from qeetid_authz_server.incoming.requestids import REQUEST_ID
from qeetid_authz_server.outgoing.problems import Code, Problem

BODY_LIMIT: Final = 256 << 20
"""Bytes that a body may have, in either direction."""

_SWITCHING = 101  # status


class AnswerError(Exception):
    """An answer can't be passed on; the message says why."""


class CallerLeftError(Exception):
    """Nobody is there any more to be answered."""


class Exchange:
    """What is known of one request that is under way.

    Attributes:
        refusal: what is wrong with the caller's body, if something is.
    """

    def __init__(self, request: web.Request) -> None:
        self.refusal: Problem | None = None
        self._request = request
        self._is_begun = False

    @property
    def is_abandoned(self) -> bool:
        """Whether the caller is gone."""
        transport = self._request.transport
        return transport is None or transport.is_closing()

    async def body(self) -> AsyncIterator[bytes]:
        """The caller's body, as far as it may go on."""
        size = 0
        try:
            async for chunk in self._request.content.iter_any():
                size += len(chunk)
                if size > BODY_LIMIT:
                    self.refusal = too_large()
                    raise self.refusal
                yield chunk
        except web.RequestPayloadError:
            self.refusal = Problem(Code.BAD_REQUEST, "the body is broken", is_last=True)
            raise

    async def hand_back(self, answer: ClientResponse) -> web.StreamResponse:
        """Give the caller what the upstream answers, while it comes.

        Raises:
            AnswerError: it isn't one that can be passed on.
            CallerLeftError: nobody is there to get it.
            ClientError, TimeoutError: it doesn't come whole.
        """
        response = self._begun(answer)
        size = 0
        try:
            self._is_begun = True
            await response.prepare(self._request)
            async for chunk in answer.content.iter_any():
                size += len(chunk)
                if size > BODY_LIMIT:
                    raise AnswerError("it is too large")
                await response.write(chunk)
            await response.write_eof()
        except ConnectionError:
            raise CallerLeftError from None
        return response

    def break_off(self) -> None:
        """End the caller's connection if an answer was begun: no other may follow."""
        if self._is_begun and self._request.transport is not None:
            self._request.transport.abort()

    def _begun(self, answer: ClientResponse) -> web.StreamResponse:
        fields = response_fields(answer.headers.items(), self._request[REQUEST_ID])
        if answer.status == _SWITCHING:
            raise AnswerError("it switches to another protocol")
        if not are_writable(fields):
            raise AnswerError("a header field isn't UTF-8")
        if (answer.content_length or 0) > BODY_LIMIT:
            raise AnswerError("it is too large")
        return web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=CIMultiDict(fields)
        )


def too_large() -> Problem:
    """The refusal of a body that is."""
    detail = f"at most {BODY_LIMIT} bytes are passed on"
    return Problem(Code.BODY_TOO_LARGE, detail, is_last=True)
