"""Passing on: a request goes upstream and its answer comes back, both as streams.

Nothing is followed, repeated, kept or decoded: redirects, cookies and encodings are
between the caller and the hosted API.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from qeetid_authz_server.hosted import exchanges
from qeetid_authz_server.hosted.exchanges import (
    AnswerError,
    CallerLeftError,
    Exchange,
    too_large,
)
from qeetid_authz_server.hosted.fields import (
    are_writable,
    has_passed,
    request_fields,
    wants_switch,
)
from qeetid_authz_server.hosted.origins import Origin
from qeetid_authz_server.hosted.targets import require_passable
from qeetid_authz_server.incoming.requestids import REQUEST_ID
from qeetid_authz_server.outgoing.problems import Code, Problem

CONNECTION_LIMIT: Final = 100
"""Connections to the upstream; who finds none free waits."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the upstream is waited for, in seconds.

    Attributes:
        connecting: until a connection is there, a free one of the pool included.
        silence: without a byte of the answer.
        whole: for the request, the answer and all that lies between.
    """

    connecting: float = 5.0
    silence: float = 30.0
    whole: float = 120.0


_FIELD_SIZE = 1 << 15  # bytes of a header field of an answer
_KEPT = 4.0  # seconds that an unused connection is kept, less than servers keep theirs
_TICK = 0.1  # seconds between two looks whether the caller is still there
_NOT_PASSED = frozenset({"CONNECT", "TRACE"})
_OWN_FIELDS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_log = logging.getLogger(__name__)


class Passing:
    """Passes requests on to one upstream; open while the application runs."""

    def __init__(self, origin: Origin, patience: Patience | None = None) -> None:
        """Prepare.

        Args:
            origin: the upstream's base URL.
            patience: how long it is waited for.
        """
        self._origin = origin
        self._patience = patience or Patience()
        self._hop = f"qeetid-authz-{token_hex(8)}"
        self._session: ClientSession | None = None

    async def connected(self, _app: web.Application) -> AsyncIterator[None]:
        """Hold connections to the upstream, for as long as the application runs."""
        async with ClientSession(
            connector=TCPConnector(limit=CONNECTION_LIMIT, keepalive_timeout=_KEPT),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_OWN_FIELDS,
            max_line_size=_FIELD_SIZE,
            max_field_size=_FIELD_SIZE,
            timeout=ClientTimeout(
                total=None,
                connect=self._patience.connecting,
                sock_read=self._patience.silence,
            ),
        ) as self._session:
            self._session._retry_connection = False  # noqa: SLF001  (no other way)
            yield

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """What the upstream answers; nothing more is asked of it once nobody waits.

        Raises:
            Problem: the request can't be passed on, or isn't answered.
        """
        self._require_passable(request)
        exchange = Exchange(request)
        passing = asyncio.create_task(self._run(request, exchange))
        try:
            return await _awaited(passing, exchange)
        except Exception:
            exchange.break_off()
            raise
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)

    def _require_passable(self, request: web.Request) -> None:
        fields = list(request.headers.items())
        try:
            require_passable(request.raw_path)
        except ValueError as error:
            raise Problem(Code.BAD_REQUEST, str(error)) from None
        if request.method in _NOT_PASSED or wants_switch(fields):
            what = "CONNECT, TRACE and upgrades to other protocols aren't passed on"
            raise Problem(Code.BAD_REQUEST, what, is_last=True)
        if not are_writable(fields):
            raise Problem(Code.BAD_REQUEST, "a header field isn't UTF-8")
        if (request.content_length or 0) > exchanges.BODY_LIMIT:
            raise too_large()
        if has_passed(fields, self._hop):
            raise self._failure(request, "loop")

    async def _run(
        self, request: web.Request, exchange: Exchange
    ) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._patience.whole):
                return await self._ask(request, exchange)
        except TimeoutError:
            cause = "timeout"
        except CallerLeftError:
            raise _gone() from None
        except ClientConnectorError:
            cause = "unreachable"
        except (AnswerError, ClientError, OSError, ValueError):
            cause = "broken"
        if exchange.is_abandoned:
            raise _gone()
        if exchange.refusal is not None:
            raise exchange.refusal
        raise self._failure(request, cause)

    async def _ask(
        self, request: web.Request, exchange: Exchange
    ) -> web.StreamResponse:
        fields = request_fields(request.headers.items(), self._hop, request[REQUEST_ID])
        assert self._session is not None  # noqa: S101  (the application runs)
        async with self._session.request(
            request.method,
            self._url(request.raw_path),
            headers=CIMultiDict(fields),
            data=exchange.body() if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            return await exchange.hand_back(answer)

    def _url(self, raw: str) -> URL:
        origin = self._origin
        # The query goes as part of the path, lest anything of it be normalised.
        return URL.build(
            scheme=origin.scheme,
            host=origin.host,
            port=origin.port,
            path=origin.base + raw,
            encoded=True,
        )

    def _failure(self, request: web.Request, cause: str) -> Problem:
        extra = {"cause": cause, "request_id": request[REQUEST_ID]}
        _log.warning("upstream_failed", extra=extra)
        if cause == "timeout":
            return Problem(Code.UPSTREAM_TIMEOUT, is_last=True)
        detail = "QEETID_AUTHZ_UPSTREAM leads back here" if cause == "loop" else ""
        return Problem(Code.UPSTREAM_FAILED, detail, is_last=True)


async def _awaited(
    passing: asyncio.Task[web.StreamResponse], exchange: Exchange
) -> web.StreamResponse:
    """What is passed back, for as long as somebody waits for it."""
    while not passing.done():
        await asyncio.wait({passing}, timeout=_TICK)
        if not passing.done() and exchange.is_abandoned:
            raise _gone()
    return passing.result()


def _gone() -> ConnectionResetError:
    return ConnectionResetError("the caller went away")
