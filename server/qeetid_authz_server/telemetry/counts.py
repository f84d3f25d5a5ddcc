"""What the sidecar counts while it answers, as plain numbers that anybody may read."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.revision import Revision

UNMATCHED: Final = "unmatched"
"""The route of requests that no route is for."""

OTHER_METHOD: Final = "_OTHER"
"""What all methods are called that HTTP doesn't define."""

UNSTATED: Final = "unstated"
"""The reason of denials for which none is worked out."""

_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided to answer one request.

    Attributes:
        api: which kind of question it was.
        reasons: how many decisions have which reason, `granted` or one of a denial.
        revision: the snapshot that they were made at; None where none is told.
    """

    api: str
    reasons: Mapping[str, int]
    revision: Revision | None = None


DECIDED: Final = web.RequestKey("decided", Decided)
"""Under this key a request holds what was decided to answer it."""


class PlainTally:
    """Plain checks that were answered, where nanoseconds count.

    Attributes:
        granted: those allowed.
        denied: those denied, by reason.
    """

    __slots__ = ("denied", "granted")

    def __init__(self) -> None:
        self.granted = 0
        self.denied: defaultdict[str, int] = defaultdict(int)

    def add(self, other: "PlainTally") -> None:
        """Count what another counted."""
        self.granted += other.granted
        for reason, number in other.denied.items():
            self.denied[reason] += number


class Counts:
    """All that is counted since the sidecar was made.

    Attributes:
        checks: plain checks that never reached the framework.
        introspections: introspections that didn't, by path.
        requests: those that did, by route, method and status.
        decisions: made for those, by kind of question and reason.
        credentials: judged for those, by `ok` or the code of the refusal.
    """

    __slots__ = ("checks", "credentials", "decisions", "introspections", "requests")

    def __init__(self) -> None:
        self.checks = PlainTally()
        self.introspections: dict[str, int] = {}
        self.requests: dict[tuple[str, str, int], int] = {}
        self.decisions: dict[tuple[str, str], int] = {}
        self.credentials: dict[str, int] = {}

    def answered(self, request: web.Request, status: int) -> None:
        """Count a request that was answered, and what was decided for it."""
        self._add_request(route_of(request), method_of(request), status)
        decided = request.get(DECIDED)
        if decided is not None:
            for reason, number in decided.reasons.items():
                at = decided.api, str(reason)
                self.decisions[at] = self.decisions.get(at, 0) + number

    def refused_unread(self, status: int) -> None:
        """Count a request that can't be read, or that got no further than its head."""
        self._add_request(UNMATCHED, OTHER_METHOD, status)

    def judged(self, result: str) -> None:
        """Count a credential that was looked at."""
        self.credentials[result] = self.credentials.get(result, 0) + 1

    def _add_request(self, route: str, method: str, status: int) -> None:
        at = route, method, status
        self.requests[at] = self.requests.get(at, 0) + 1


COUNTS: Final = web.AppKey("counts", Counts)

ROUTE: Final = web.RequestKey("route", str)
"""Under this key a request holds what its route is called, if it has none."""


def route_of(request: web.Request) -> str:
    """The template of the path that a request was matched to, which holds no id."""
    resource = request.match_info.route.resource
    return request.get(ROUTE, UNMATCHED) if resource is None else resource.canonical


def method_of(request: web.BaseRequest) -> str:
    """The method, if HTTP defines it."""
    return request.method if request.method in _METHODS else OTHER_METHOD


def decided_without_reasons(
    api: str, allowed: int, denied: int, revision: Revision | None = None
) -> Decided:
    """Decisions without reasons for the denials."""
    return Decided(api, {Reason.GRANTED: allowed, UNSTATED: denied}, revision)
