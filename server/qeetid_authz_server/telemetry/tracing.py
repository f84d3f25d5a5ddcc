"""Traces by OpenTelemetry, where its API is installed and somebody collects them.

A request that the framework answers is a server span (semantic conventions 1.44), a
child of what `traceparent` names. No id of anybody is told: the path is the route's,
and there is no query.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import propagate, trace
from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
)

from qeetid_authz_server.telemetry.counts import (
    DECIDED,
    OTHER_METHOD,
    UNMATCHED,
    Decided,
    method_of,
    route_of,
)

_NAME = "qeetid_authz"
_CONVENTIONS = "https://opentelemetry.io/schemas/1.44.0"
_REDACTED = "REDACTED"
_FIRST_OF_OURS = 500  # status


def make_tracing() -> Middleware | None:
    """The outermost middleware; None where no provider of traces is configured."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider | NoOpTracerProvider):
        return None
    tracer = provider.get_tracer(_NAME, schema_url=_CONVENTIONS)

    @web.middleware
    async def tracing(request: web.Request, handler: Handler) -> web.StreamResponse:
        with tracer.start_as_current_span(
            _name(request),
            context=propagate.extract(request.headers),
            kind=SpanKind.SERVER,
            attributes=_asked(request),
        ) as span:
            response = await handler(request)
            _note_answer(span, response.status)
            decided = request.get(DECIDED)
            if decided is not None:
                _note_decided(span, decided)
        return response

    return tracing


def _name(request: web.Request) -> str:
    method = method_of(request)
    method = "HTTP" if method == OTHER_METHOD else method
    route = route_of(request)
    return method if route == UNMATCHED else f"{method} {route}"


def _asked(request: web.Request) -> dict[str, str]:
    route = route_of(request)
    is_matched = route != UNMATCHED
    asked = {
        "http.request.method": method_of(request),
        "url.path": route if is_matched else _REDACTED,
        "url.scheme": request.scheme,
        "network.protocol.version": f"{request.version.major}.{request.version.minor}",
    }
    return asked | ({"http.route": route} if is_matched else {})


def _note_answer(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= _FIRST_OF_OURS:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def _note_decided(span: Span, decided: Decided) -> None:
    """One decision is told with its reason, of several only how many they are."""
    number = sum(decided.reasons.values())
    span.set_attribute("qeetid_authz.decisions", number)
    if number == 1:
        (reason,) = (str(each) for each, n in decided.reasons.items() if n)
        span.set_attribute("qeetid_authz.allowed", reason == "granted")
        span.set_attribute("qeetid_authz.reason", reason)
    if decided.revision is not None:
        span.set_attribute("qeetid_authz.revision", str(decided.revision))
