"""The endpoints that proxies ask, which answer 200, 401 or 403, or 503 for want of facts.

Proxies make of any other answer what they like: nginx a 500, Envoy a denial of every
2xx but 200.
"""

import logging
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from aiohttp import web
from multidict import CIMultiDict

from qeetid_authz.errors import NotOpenError, UnavailableError
from qeetid_authz_server.incoming.requestids import REQUEST_ID
from qeetid_authz_server.outgoing.problems import Code, Problem, unavailable
from qeetid_authz_server.outgoing.responses import empty_response
from qeetid_authz_server.proxies.judging import Judge, NotPassedError, Passed
from qeetid_authz_server.proxies.keeping import Keeper
from qeetid_authz_server.proxies.outcomes import Outcome
from qeetid_authz_server.proxies.telling import ENVOY_PREFIX, Manner, Told

PATHS: Final = MappingProxyType(
    {
        Manner.FORWARDED: "/authz/forward",
        Manner.ORIGINAL: "/authz/nginx",
        Manner.AS_IT_CAME: ENVOY_PREFIX + r"{target:[\s\S]*}",
    }
)
"""Where each manner of telling is listened to."""

TEMPLATES: Final = ("/authz/forward", "/authz/nginx", ENVOY_PREFIX + "{target}")
"""The same as metrics and traces call them."""

SUBJECT, KIND, TENANT, PERMISSION = (
    f"X-Auth-{each}" for each in ("Subject", "Kind", "Tenant", "Permission")
)
"""What the application behind is told; each is always there, if empty."""

_LOOKALIKES = ", ".join(
    f"x{first}auth{second}{name.removeprefix('X-Auth-').lower()}"
    for name in (SUBJECT, KIND, TENANT, PERMISSION)
    for first, second in ("-_", "_-", "__")
)
"""What a gateway behind Envoy would take for one of these, and only clients send."""

_SAFE = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"  # visible characters of ASCII
_LOGGED = 256  # characters of a path

_log = logging.getLogger(__name__)


class Endpoint:
    """Answers the proxies that tell in one manner."""

    def __init__(
        self,
        manner: Manner,
        keeper: Keeper,
        judge: Judge,
        outcomes: dict[Outcome, int],
    ) -> None:
        self._manner = manner
        self._keeper = keeper
        self._judge = judge
        self._outcomes = outcomes

    async def answer(self, request: web.Request) -> web.Response:
        """Whether a request may pass; its body is never read.

        Raises:
            Problem: it may not, or that can't be told.
            HTTPNotFound: no proxy in front tells in this manner.
        """
        routing = self._keeper.routing
        if routing is None or routing.manner is not self._manner:
            raise web.HTTPNotFound
        told: Told | None = None
        try:
            told = self._judge.read(request, routing)
            passed = await self._judge.judge(request, routing, told)
        except NotPassedError as refusal:
            self._note(request, told, refusal)
            raise refusal.problem from None
        except (UnavailableError, NotOpenError) as error:
            closed = _unavailable(error)
            self._note(request, told, closed)
            raise closed.problem from None
        except Exception:  # noqa: BLE001  (a 500 is for nobody to make sense of)
            _log.exception(
                "request_failed", extra={"request_id": request.get(REQUEST_ID)}
            )
            self._outcomes[Outcome.UNAVAILABLE] += 1
            raise Problem(Code.UNAVAILABLE) from None
        self._outcomes[Outcome.ALLOWED] += 1
        return self._pass(passed)

    def _pass(self, passed: Passed) -> web.Response:
        response = empty_response(200)
        response.headers.update(identity(passed))
        if self._manner is Manner.AS_IT_CAME:
            response.headers["X-Envoy-Auth-Headers-To-Remove"] = _LOOKALIKES
        return response

    def _note(
        self, request: web.Request, told: Told | None, refusal: NotPassedError
    ) -> None:
        """Count and log a refusal, whose cause the client isn't told."""
        self._outcomes[refusal.outcome] += 1
        path = "" if told is None else told.target.partition("?")[0][:_LOGGED]
        extra = {
            "outcome": refusal.outcome,
            "cause": refusal.cause,
            "method": "" if told is None else told.method,
            "path": path,
            "request_id": request.get(REQUEST_ID),
        }
        _log.info("proxied_refused", extra=extra)


def identity(passed: Passed) -> CIMultiDict[str]:
    """What the application behind is told of who makes a request."""
    who = passed.principal
    return CIMultiDict(
        {
            SUBJECT: "" if who is None else who.id,
            KIND: "" if who is None else str(who.kind),
            TENANT: "" if who is None else who.tenant_id,
            PERMISSION: quote(passed.route.permission, safe=_SAFE),
        }
    )


def routes(
    keeper: Keeper, judge: Judge, outcomes: dict[Outcome, int]
) -> list[web.RouteDef]:
    """The endpoints; only those answer whose proxies the routes name."""
    return [
        web.route(
            "*",
            path,
            Endpoint(manner, keeper, judge, outcomes).answer,
            expect_handler=_expect_nothing,
        )
        for manner, path in PATHS.items()
    ]


async def _expect_nothing(_request: web.Request) -> None:
    """Whatever a client expects is between it and the application behind."""


def _unavailable(error: UnavailableError | NotOpenError) -> NotPassedError:
    problem = Problem(Code.UNAVAILABLE)
    if isinstance(error, UnavailableError):
        problem = unavailable(error)
    return NotPassedError(Outcome.UNAVAILABLE, error.code, problem)
