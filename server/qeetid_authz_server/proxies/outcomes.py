"""What becomes of requests that proxies ask about, counted."""

from collections.abc import Iterator
from enum import StrEnum

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from qeetid_authz_server.proxies.keeping import Keeper
from qeetid_authz_server.telemetry.metrics import PREFIX


class Outcome(StrEnum):
    """What becomes of a request: a closed set."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNAUTHENTICATED = "unauthenticated"
    NO_ROUTE = "no_route"
    AMBIGUOUS_PATH = "ambiguous_path"
    UNTOLD = "untold"
    STRANGER = "stranger"
    UNAVAILABLE = "unavailable"


class ProxyCollector(Collector):
    """Reads what was counted, and how the routes are.

    Attributes:
        outcomes: how many requests had which.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.outcomes = dict.fromkeys(Outcome, 0)

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of the documentation."""
        counted = CounterMetricFamily(
            f"{PREFIX}proxied_requests",
            "Requests that proxies asked about, by what became of them.",
            labels=["outcome"],
        )
        for outcome, number in self.outcomes.items():
            counted.add_metric([outcome], number)
        yield counted
        routing = self._keeper.routing
        if routing is None:
            return
        yield GaugeMetricFamily(
            f"{PREFIX}routes",
            "Routes that are current.",
            value=len(routing.table.routes),
        )
        yield GaugeMetricFamily(
            f"{PREFIX}routes_loaded_timestamp_seconds",
            "When they became so.",
            value=self._keeper.loaded_at,
        )
        yield GaugeMetricFamily(
            f"{PREFIX}routes_refused",
            "Whether what is in their file now can't be used.",
            value=self._keeper.is_refused,
        )
