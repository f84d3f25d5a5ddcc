"""Traces: what a span tells, what it doesn't, and what isn't traced."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from qeetid_authz_server.app import make_app
from qeetid_authz_server.loading import load_settings
from tests.server.sidecars import Reply, request, sidecar
from tests.server.test_batch import batch, send
from tests.server.town import ACME, ACME_KEY, ANN, EVE, KEY, target

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACED = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What collects the spans of a provider that is this process's for now."""
    collected = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(collected))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield collected
    provider.shutdown()


@pytest.fixture
def traced(town_database: str, exporter: InMemorySpanExporter) -> Iterator[str]:
    """The base URL of a sidecar that is traced."""
    with sidecar(town_database) as base_url:
        yield base_url


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Those of a span."""
    return dict(span.attributes or {})


def ask(base_url: str, user: str = ANN, **headers: str) -> Reply:
    """Ask whether a user may."""
    return request(
        base_url,
        target(user_id=user),
        Authorization=f"ApiKey {ACME_KEY}",
        **headers,  # type: ignore[arg-type]
    )


def test_a_check_is_a_span_of_its_callers_trace(
    traced: str, exporter: InMemorySpanExporter
) -> None:
    """By the semantic conventions, with the decision, and without an id of anybody."""
    reply = ask(traced, traceparent=TRACED)
    (span,) = exporter.get_finished_spans()

    assert span.name == "GET /v1/check"
    assert span.kind is trace.SpanKind.SERVER
    assert span.context is not None
    assert span.parent is not None
    assert trace.format_trace_id(span.context.trace_id) == TRACE
    assert trace.format_span_id(span.parent.span_id) == PARENT
    assert span.status.is_unset
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/v1/check",
        "url.path": "/v1/check",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "qeetid_authz.decisions": 1,
        "qeetid_authz.allowed": True,
        "qeetid_authz.reason": "granted",
        "qeetid_authz.revision": reply.header("X-Qeetid-Revision"),
    }


def test_what_names_no_trace_still_takes_the_fast_path(
    traced: str, exporter: InMemorySpanExporter
) -> None:
    """Plain checks of known callers are spans if their caller's trace says so."""
    ask(traced)
    exporter.clear()
    ask(traced)
    assert exporter.get_finished_spans() == ()

    for _ in range(2):
        ask(traced, EVE, traceparent=TRACED)
    spans = exporter.get_finished_spans()
    assert [attributes(span)["qeetid_authz.reason"] for span in spans] == [
        "no_grant"
    ] * 2
    assert [span.status.is_unset for span in spans] == [True, True]


def test_no_id_is_told(traced: str, exporter: InMemorySpanExporter) -> None:
    """Neither in the path, nor by a query, nor where no route is."""
    request(traced, f"/v1/users/{ANN}/tenants/{ACME}/permissions", key=ACME_KEY)
    request(traced, f"/v2/{ANN}?{ANN}", method="PROPFIND", key=ACME_KEY)
    send(traced, batch([(ANN, KEY), (EVE, KEY)]))
    listed, unknown, many = exporter.get_finished_spans()

    template = "/v1/users/{user}/tenants/{tenant}/permissions"
    assert (listed.name, attributes(listed)["url.path"]) == (
        f"GET {template}",
        template,
    )
    assert (unknown.name, attributes(unknown)["url.path"]) == ("HTTP", "REDACTED")
    assert "http.route" not in attributes(unknown)
    assert attributes(unknown)["http.request.method"] == "_OTHER"
    assert attributes(many)["qeetid_authz.decisions"] == 2
    assert "qeetid_authz.reason" not in attributes(many)
    told = "".join(span.to_json() for span in (listed, unknown, many))
    for secret in (ANN, EVE, ACME, KEY, *ACME_KEY.split(".")):
        assert secret not in told


async def test_a_failure_of_ours_is_an_error(exporter: InMemorySpanExporter) -> None:
    """A 503 is one; a refusal isn't."""
    app = make_app(load_settings(database_url="host=/nonexistent"))
    app.cleanup_ctx.clear()
    async with TestClient(TestServer(app)) as client:
        await client.get("/readyz")
        await client.get("/v1/check")
    unready, refused = exporter.get_finished_spans()

    assert unready.status.status_code is trace.StatusCode.ERROR
    assert attributes(unready)["error.type"] == "503"
    assert refused.status.is_unset
    assert attributes(refused)["http.response.status_code"] == 401


@pytest.mark.parametrize("is_installed", [True, False])
def test_where_nothing_collects_nothing_is_traced(
    monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    """Without a provider, or without OpenTelemetry, there is no middleware for it."""
    if not is_installed:
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
        monkeypatch.delitem(
            sys.modules, "qeetid_authz_server.telemetry.tracing", raising=False
        )
    app = make_app(load_settings(database_url="host=/nonexistent"))

    assert len(app.middlewares) == 1
