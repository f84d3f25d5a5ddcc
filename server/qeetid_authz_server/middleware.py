"""What surrounds every request: its id, its log line, and the form of its refusal."""

import logging
from collections.abc import Collection
from time import perf_counter
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import Histogram

from qeetid_authz.errors import NotOpenError, UnavailableError
from qeetid_authz_server.hosted.targets import NOT_SERVED, is_hosted
from qeetid_authz_server.incoming.requestids import (
    REQUEST_ID,
    choose_request_id,
    request_ids,
)
from qeetid_authz_server.outgoing.problems import (
    CSRF_FAILED,
    Code,
    Problem,
    problem_response,
    unavailable,
)
from qeetid_authz_server.outgoing.responses import (
    NOT_STORED,
    empty_response,
    json_response,
    text_response,
)
from qeetid_authz_server.telemetry.counts import Counts, route_of
from qeetid_authz_server.telemetry.health import Health
from qeetid_authz_server.telemetry.logs import log_request

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

GIVEN_ID: Final = web.RequestKey("given_id", str)
"""Under this key a request holds its caller's own id, to be echoed whatever it is."""

_log = logging.getLogger(__name__)


def make_guard(
    health: Health,
    counts: Counts,
    latency: Histogram,
    never_stored: Collection[str] = (),
) -> Middleware:
    """The one middleware: what leaves it is complete and in the sidecar's form.

    Args:
        health: what counts the requests in flight.
        counts: what counts those that were answered.
        latency: what takes down how long each took.
        never_stored: paths, or templates of them, whose every answer, refusals included, no cache may keep.
    """
    made = request_ids()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = perf_counter()
        given = request.headers.get("X-Request-Id")
        request[REQUEST_ID] = request_id = choose_request_id(given, made)
        health.in_flight += 1
        try:
            response = await _answer(request, handler, request_id)
        finally:
            health.in_flight -= 1
        response.headers["X-Request-Id"] = request.get(GIVEN_ID, request_id)
        if request.path in never_stored or route_of(request) in never_stored:
            response.headers.update(NOT_STORED)
        if health.draining:
            response.force_close()
        path = request.raw_path.partition("?")[0]
        counts.answered(request, response.status)
        latency.labels(route_of(request)).observe(perf_counter() - began)
        log_request(request.method, path, response.status, request_id, began)
        return response

    return guard


async def _answer(
    request: web.Request, handler: Handler, request_id: str
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _in_our_form(error, request, request_id)
    except ConnectionError:
        return empty_response(400)  # The caller went away; nobody reads it.
    except Problem as refusal:
        problem = refusal
    except web.RequestPayloadError:
        problem = Problem(Code.BAD_REQUEST, "the body is broken")
    except UnavailableError as error:
        problem = unavailable(error)
    except NotOpenError:
        problem = Problem(Code.UNAVAILABLE)
    except Exception:  # noqa: BLE001  (nothing of it may leak)
        _log.exception("request_failed", extra={"request_id": request_id})
        problem = Problem(Code.INTERNAL)
    if problem.cause:
        extra = {"cause": problem.cause, "request_id": request_id}
        if problem.code is Code.UNAVAILABLE:
            _log.info("unavailable", extra=extra)
        else:
            _log.info("credential_refused", extra=extra)
    return problem_response(problem, request_id)


def _in_our_form(
    error: web.HTTPException, request: web.Request, request_id: str
) -> web.Response:
    """What aiohttp refuses by itself, as Qeet ID's server would (fact 1.1)."""
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return problem_response(Problem(Code.BATCH_TOO_LARGE), request_id)
    if _may_be_forged(request):
        return json_response(CSRF_FAILED, 403)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response = empty_response(405)
        response.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        return response
    if isinstance(error, web.HTTPNotFound):
        if is_hosted(request.path):
            return problem_response(Problem(Code.HOSTED_ONLY, NOT_SERVED), request_id)
        return text_response("404 page not found\n", 404)
    return problem_response(Problem(Code.BAD_REQUEST, error.reason), request_id)


def _may_be_forged(request: web.Request) -> bool:
    """Whether a browser may have been tricked into it; bearers of a token weren't.

    Only on paths that take no such method: a batch is guarded by its content type,
    which no form can send.
    """
    headers = request.headers
    return (
        request.method not in _SAFE_METHODS
        and not headers.get(hdrs.AUTHORIZATION, "").startswith("Bearer ")
        and hdrs.ORIGIN not in headers
        and hdrs.REFERER not in headers
    )
