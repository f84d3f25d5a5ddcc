"""Metrics as Prometheus has them, read when somebody asks.

Nothing is copied while questions are answered: a collector reads the counts and the
authorizer. Only how long a request took is taken down by an instrument of its own.
Labels are of closed sets; no id, no key and nothing of a credential gets here.
"""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from time import time
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.secretchecks import PENDING_LIMIT
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.errors import (
    AuthenticationError,
    AuthzError,
    DatabaseError,
    UnavailableError,
)
from qeetid_authz.replica import RESYNC_CAUSES
from qeetid_authz_server.introspection import INTROSPECTION_PATHS
from qeetid_authz_server.telemetry.counts import UNSTATED, Counts
from qeetid_authz_server.telemetry.health import CAUSES, Health

PREFIX: Final = "qeetid_authz_"

_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)  # seconds
_WITH_REASONS = ("check", "explain", "kubernetes")
_WITHOUT = ("batch", "introspect")


class Instruments:
    """A registry of one sidecar's own.

    Attributes:
        latency: seconds from a request's head to its answer, by route.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.latency = Histogram(
            f"{PREFIX}request_duration_seconds",
            "Time from a request's head to its answer, of requests that the framework"
            " answered; what the fast path answers isn't timed.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def add(self, collector: Collector) -> None:
        """Expose what another collector knows."""
        self._registry.register(collector)

    def exposed(self, accepted: str) -> tuple[bytes, str]:
        """All metrics, and their content type, in a form that `Accept` takes."""
        encode, content_type = choose_encoder(accepted)
        return encode(self._registry), content_type


class SidecarCollector(Collector):
    """Reads what the sidecar counted, and how its replica is."""

    def __init__(
        self, authorizer: AsyncAuthorizer, counts: Counts, health: Health
    ) -> None:
        self._authorizer = authorizer
        self._counts = counts
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of the documentation."""
        yield from self._questions()
        yield from self._state()
        yield from self._feed()
        yield from self._credentials()
        yield _info("build", "What runs here.", _build())
        semantics = {"semantics": str(self._authorizer.semantics)}
        yield _info("engine", "How facts become decisions here.", semantics)

    def _questions(self) -> Iterator[Metric]:
        decisions = _counter(
            "decisions",
            "Decisions by kind of question, result and reason; an active token counts"
            " as allowed. A batch and an introspection work out no reasons.",
            ["api", "result", "reason"],
        )
        for (api, reason), number in _decisions(self._counts).items():
            result = "allow" if reason == Reason.GRANTED else "deny"
            decisions.add_metric([api, result, reason], number)
        yield decisions
        requests = _counter(
            "http_requests",
            "Requests answered, the fast path's among them.",
            ["route", "method", "code"],
        )
        for (route, method, code), number in _requests(self._counts).items():
            requests.add_metric([route, method, str(code)], number)
        yield requests
        fast = _counter(
            "fast_path_requests",
            "Requests answered before they reached the framework.",
            ["route"],
        )
        for route, number in _fast(self._counts).items():
            fast.add_metric([route], number)
        yield fast
        yield _gauge(
            "http_requests_in_flight",
            "Requests that the framework is answering.",
            self._health.in_flight,
        )

    def _state(self) -> Iterator[Metric]:
        authorizer = self._authorizer
        cause = self._health.cause(authorizer)
        yield _gauge("ready", "Whether /readyz says so.", cause is None)
        causes = dict.fromkeys(CAUSES, 0) | ({cause: 1} if cause else {})
        yield _labelled(
            GaugeMetricFamily(f"{PREFIX}unready", "Why not.", labels=["cause"]), causes
        )
        entries = GaugeMetricFamily(
            f"{PREFIX}index_entries", "Entries of the index.", labels=["kind"]
        )
        yield _labelled(entries, authorizer.sizes)
        yield _gauge(
            "index_seats", "Principals whose answers are at hand.", authorizer.seats
        )
        yield _gauge(
            "replica_max_staleness_seconds",
            "The age from which everything is denied.",
            authorizer.max_staleness,
        )
        if authorizer.is_loaded:
            yield from self._revision()

    def _revision(self) -> Iterator[Metric]:
        revision = self._authorizer.revision
        yield _gauge(
            "replica_age_seconds",
            "Time since the revision was known to be current.",
            self._authorizer.age,
        )
        yield _gauge(
            "replica_xmin",
            "Every transaction below this id has been seen; the difference between two"
            " replicas of one incarnation is their distance.",
            revision.xmin,
        )
        yield _gauge(
            "replica_xmax",
            "No transaction from this id on has been seen.",
            revision.xmax,
        )
        yield _info(
            "replica",
            "Which life of the database server the revision belongs to.",
            {"incarnation": revision.incarnation},
        )

    def _feed(self) -> Iterator[Metric]:
        replica = self._authorizer.replica
        results = ("unchanged", "changed", "loaded")
        polls = dict.fromkeys(results, 0) | replica.polls
        polls["failed"] = sum(replica.errors.values())
        yield _labelled(_counter("polls", "Polls by result.", ["result"]), polls)
        yield _labelled(
            _counter("poll_failures", "Failed polls by error code.", ["code"]),
            _zeroes(DatabaseError) | replica.errors,
        )
        yield _labelled(
            _counter("resyncs", "Loads of everything, by cause.", ["cause"]),
            dict.fromkeys(RESYNC_CAUSES, 0) | replica.resyncs,
        )

    def _credentials(self) -> Iterator[Metric]:
        results = {"ok": 0, "credential_missing": 0, "client_refused": 0}
        yield _labelled(
            _counter(
                "authentications",
                "Credentials judged by the framework; the fast path answers those"
                " that were recognised, and judges none.",
                ["result"],
            ),
            results
            | _zeroes(AuthenticationError)
            | _zeroes(UnavailableError)
            | self._counts.credentials,
        )
        waiting = GaugeMetricFamily(
            f"{PREFIX}secrets_waiting",
            "Secrets that are being verified or wait for it.",
            labels=["kind"],
        )
        yield _labelled(waiting, self._authorizer.authentication.waiting)
        yield _gauge("secrets_waiting_limit", "How many of a kind may.", PENDING_LIMIT)
        keyring = self._authorizer.keyring
        loads = {"ok": 0, "failed": 0} if keyring is None else keyring.loads
        yield _labelled(
            _counter("key_refreshes", "Loads of the issuer's keys.", ["result"]), loads
        )
        age = None if keyring is None else keyring.age
        if age is not None:
            yield _gauge(
                "key_refresh_last_success_timestamp_seconds",
                "When the last good load of the issuer's keys began.",
                time() - age,
            )


def _decisions(counts: Counts) -> Mapping[tuple[str, str], int]:
    found = {
        **{(api, str(r)): 0 for api in _WITH_REASONS for r in Reason},
        **{
            (api, reason): 0
            for api in _WITHOUT
            for reason in (str(Reason.GRANTED), UNSTATED)
        },
    } | counts.decisions
    found["check", str(Reason.GRANTED)] += counts.checks.granted
    for reason, number in counts.checks.denied.items():
        found["check", str(reason)] += number
    found["introspect", str(Reason.GRANTED)] += sum(counts.introspections.values())
    return found


def _fast(counts: Counts) -> Mapping[str, int]:
    checks = counts.checks.granted + sum(counts.checks.denied.values())
    known = dict.fromkeys(INTROSPECTION_PATHS, 0)
    return {"/v1/check": checks} | known | counts.introspections


def _requests(counts: Counts) -> Mapping[tuple[str, str, int], int]:
    found = dict(counts.requests)
    for route, number in _fast(counts).items():
        at = route, "GET" if route == "/v1/check" else "POST", 200
        found[at] = found.get(at, 0) + number
    return found


def _zeroes(root: type[AuthzError]) -> dict[str, int]:
    """The codes of an error and of all its kinds, none of which was met yet."""
    found = {root.code: 0}
    for kind in root.__subclasses__():
        found |= _zeroes(kind)
    return found


def _build() -> dict[str, str]:
    return {"version": version("qeetid-authz"), "python": platform.python_version()}


def _counter(name: str, text: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=labels)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _info(name: str, text: str, value: dict[str, str]) -> InfoMetricFamily:
    return InfoMetricFamily(PREFIX + name, text, value=value)


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]
) -> Metric:
    for label, value in values.items():
        family.add_metric([label], value)
    return family
