"""Whether a request that a proxy asks about may pass, and who makes it."""

import hmac
from typing import NamedTuple

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.errors import AuthenticationError, TenantlessTokenError
from qeetid_authz.principal import Principal
from qeetid_authz_server.incoming.callers import CHALLENGE, REFUSED
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.proxies.outcomes import Outcome
from qeetid_authz_server.proxies.paths import AmbiguousPathError, read_target
from qeetid_authz_server.proxies.presented import ContradictoryError, presented
from qeetid_authz_server.proxies.reading import Routing
from qeetid_authz_server.proxies.table import Access, Route
from qeetid_authz_server.proxies.telling import (
    Told,
    UntoldError,
    read_client,
    read_told,
)
from qeetid_authz_server.settings import Settings
from qeetid_authz_server.telemetry.counts import DECIDED, Counts, Decided

SECRET_HEADER = "X-Qeetid-Proxy-Secret"  # noqa: S105  (its name)
_NO_TOKENS = 'ApiKey realm="qeetid-authz"'


class NotPassedError(Exception):
    """A request may not pass.

    Attributes:
        outcome: what is counted.
        cause: what the log says.
        problem: what the client is told.
    """

    def __init__(self, outcome: Outcome, cause: str, problem: Problem) -> None:
        super().__init__(outcome, cause)
        self.outcome = outcome
        self.cause = cause
        self.problem = problem


class Passed(NamedTuple):
    """A request may pass.

    Attributes:
        principal: who makes it; None where that isn't asked.
        route: by which route.
    """

    principal: Principal | None
    route: Route


class Judge:
    """Judges requests by routes and facts."""

    def __init__(
        self, settings: Settings, authorizer: AsyncAuthorizer, counts: Counts
    ) -> None:
        self._authorizer = authorizer
        self._counts = counts
        self._cookie = settings.cookie
        secret = settings.proxy_secret
        self._secret = None if secret is None else secret.encode()

    def read(self, request: web.Request, routing: Routing) -> Told:
        """What a proxy asks about.

        Raises:
            NotPassedError: it isn't the proxy that asks, or it doesn't tell.
        """
        self._require_proxy(request)
        if any(each.lower() != "websocket" for each in _upgrades(request)):
            raise _forbidden(Outcome.NO_ROUTE, "no route is for a tunnel")
        try:
            return read_told(
                routing.manner, request.headers, request.method, request.raw_path
            )
        except UntoldError as error:
            raise _forbidden(Outcome.UNTOLD, str(error)) from None

    async def judge(self, request: web.Request, routing: Routing, told: Told) -> Passed:
        """Who makes a request that may pass.

        Raises:
            NotPassedError: it may not.
            UnavailableError: that can't be told now.
        """
        route = _route(routing, told)
        if route.access is Access.ANYBODY:
            return Passed(None, route)
        principal = await self._authenticate(request)
        address = None
        if routing.needs_client:
            try:
                address = read_client(routing.manner, request.headers)
            except UntoldError as error:
                raise _forbidden(Outcome.UNTOLD, str(error)) from None
        reason = self._decide(request, route, principal, address)
        if reason is Reason.STALE:
            problem = Problem(Code.UNAVAILABLE, SENTENCES[reason])
            raise NotPassedError(Outcome.UNAVAILABLE, reason, problem)
        if reason is not Reason.GRANTED:
            problem = Problem(Code.PERMISSION_DENIED)
            raise NotPassedError(Outcome.DENIED, reason, problem)
        return Passed(principal, route)

    def _require_proxy(self, request: web.Request) -> None:
        if self._secret is None:
            return
        given = request.headers.getall(SECRET_HEADER, [])
        is_known = len(given) == 1 and hmac.compare_digest(
            given[0].encode("utf-8", "surrogateescape"), self._secret
        )
        if not is_known:
            raise _forbidden(Outcome.STRANGER, f"`{SECRET_HEADER}` isn't the proxy's")

    async def _authenticate(self, request: web.Request) -> Principal:
        try:
            header = presented(request.headers, self._cookie)
        except ContradictoryError as error:
            self._counts.judged("credential_missing")
            raise self._unauthenticated(str(error), REFUSED) from None
        if header is None:
            self._counts.judged("credential_missing")
            raise self._unauthenticated("no credential", CHALLENGE)
        try:
            principal = await self._authorizer.authenticate(header)
        except AuthenticationError as refusal:
            self._counts.judged(refusal.code)
            if isinstance(refusal, TenantlessTokenError):
                raise _forbidden(Outcome.DENIED, refusal.code) from None
            raise self._unauthenticated(refusal.code, REFUSED) from None
        self._counts.judged("ok")
        return principal

    def _decide(
        self,
        request: web.Request,
        route: Route,
        principal: Principal,
        address: str | None,
    ) -> Reason:
        """Why it may or may not, in the principal's own tenant."""
        if route.access is Access.AUTHENTICATED:
            account, revision, _ = self._authorizer.account(principal, address)
            reason = account.reason or Reason.GRANTED
        else:
            decision = self._authorizer.check(principal, route.permission, address)
            reason, revision = decision.reason, decision.revision
        request[DECIDED] = Decided("proxy", {reason: 1}, revision)
        return reason

    def _unauthenticated(self, cause: str, challenge: str) -> NotPassedError:
        if self._authorizer.keyring is None:
            challenge = _NO_TOKENS
        problem = Problem(Code.UNAUTHORIZED, challenge=challenge)
        return NotPassedError(Outcome.UNAUTHENTICATED, cause, problem)


def _upgrades(request: web.Request) -> list[str]:
    """The protocols that the client wants to go on with, as far as the proxy tells.

    In a tunnel of HTTP/2 nobody would ask about what else is requested.
    """
    return request.headers.getall("Upgrade", [])


def _route(routing: Routing, told: Told) -> Route:
    """The route of a request.

    Raises:
        NotPassedError: there is none, or it can't be told which.
    """
    try:
        segments = read_target(told.target)
    except AmbiguousPathError as error:
        raise _forbidden(Outcome.AMBIGUOUS_PATH, str(error)) from None
    if routing.table.has_hosts and told.host is None:
        raise _forbidden(Outcome.UNTOLD, "the host must be told, for routes name some")
    route = routing.table.match(segments, told.method, told.host)
    if route is None:
        raise _forbidden(Outcome.NO_ROUTE, "no route is for it")
    return route


def _forbidden(outcome: Outcome, cause: str) -> NotPassedError:
    return NotPassedError(outcome, cause, Problem(Code.FORBIDDEN))
