"""Everything that a request can be refused for, and how the refusal reads."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from aiohttp import web

from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.errors import (
    KeysUnavailableError,
    OverloadedError,
    StaleError,
    UnavailableError,
)
from qeetid_authz_server.outgoing.responses import json_response
from qeetid_authz_server.outgoing.wire import encode


class Code(StrEnum):
    """What a refusal is called on the wire."""

    BAD_REQUEST = "bad_request"
    PERMISSION_REQUIRED = "rbac.permission_required"
    UNAUTHORIZED = "unauthorized"
    KEY_INVALID = "apikey.invalid"
    KEY_EXPIRED = "apikey.expired"
    FORBIDDEN = "forbidden"
    PERMISSION_DENIED = "rbac.permission_denied"
    CLIENT_AUTH_FAILED = "oidc.client_auth_failed"
    FORM_INVALID = "oidc.form_invalid"
    FORM_TOO_LARGE = "oidc.form_too_large"
    BATCH_TOO_LARGE = "batch_too_large"
    BODY_TOO_LARGE = "body_too_large"
    REVISION_UNSEEN = "revision_unseen"
    REVISION_FOREIGN = "revision_foreign"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    HOSTED_ONLY = "hosted_only"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"


class _Kind(NamedTuple):
    status: int
    message: str
    is_retryable: bool = False


_KINDS = MappingProxyType(
    {
        # Qeet ID's own (fact 1.5).
        Code.BAD_REQUEST: _Kind(400, "The request was invalid."),
        Code.PERMISSION_REQUIRED: _Kind(400, "Specify the permission to check."),
        Code.UNAUTHORIZED: _Kind(401, "Please sign in to continue."),
        Code.KEY_INVALID: _Kind(401, "Invalid API key."),
        Code.KEY_EXPIRED: _Kind(401, "This API key has expired."),
        Code.FORBIDDEN: _Kind(403, "You don't have permission to do that."),
        Code.PERMISSION_DENIED: _Kind(403, "You don't have permission to do that."),
        Code.CLIENT_AUTH_FAILED: _Kind(401, "Client authentication failed."),
        Code.FORM_INVALID: _Kind(400, "The form can't be read."),
        Code.INTERNAL: _Kind(
            500, "Something went wrong on our end. Please try again.", True
        ),
        # The sidecar's.
        Code.FORM_TOO_LARGE: _Kind(413, "The form is too large."),
        Code.BATCH_TOO_LARGE: _Kind(413, "The batch is too large."),
        Code.BODY_TOO_LARGE: _Kind(413, "The body is too large."),
        # Not retryable without a thought: each has waited for long already.
        Code.REVISION_UNSEEN: _Kind(409, "What you wrote hasn't arrived here yet."),
        Code.REVISION_FOREIGN: _Kind(
            409, "What you wrote is unknown to the database as it is now."
        ),
        Code.UNSUPPORTED_MEDIA_TYPE: _Kind(
            415, "Send the body as application/json, unencoded."
        ),
        Code.UNAVAILABLE: _Kind(503, "Not ready to answer. Please try again.", True),
        Code.HOSTED_ONLY: _Kind(404, "Only the hosted API answers this."),
        # Nor these: what was asked for may have been done.
        Code.UPSTREAM_FAILED: _Kind(502, "The hosted API can't be asked now."),
        Code.UPSTREAM_TIMEOUT: _Kind(504, "The hosted API doesn't answer in time."),
    }
)

_RETRY_AFTER = "1"  # seconds
_RETRIED_LATER = frozenset(
    {Code.UNAVAILABLE, Code.UPSTREAM_FAILED, Code.UPSTREAM_TIMEOUT}
)


class Problem(Exception):  # noqa: N818  (a refusal, no error of ours)
    """A request is refused.

    Attributes:
        code: why.
        detail: what exactly is wrong, or nothing.
        challenge: which credentials would do (RFC 9110, section 11.6.1), or nothing.
        cause: what the log may say and the caller isn't told: a code, or nothing.
        is_last: whether the connection is of no use afterwards.
    """

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        challenge: str = "",
        cause: str = "",
        is_last: bool = False,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.challenge = challenge
        self.cause = cause
        self.is_last = is_last


_UNAVAILABLE: Mapping[type[UnavailableError], str] = MappingProxyType(
    {
        StaleError: SENTENCES[Reason.STALE],
        KeysUnavailableError: "the issuer's keys aren't known",
        OverloadedError: "too many credentials wait to be looked at",
    }
)


def unavailable(error: UnavailableError) -> Problem:
    """The refusal of a credential that can't be judged now.

    The error's own message may name what only the operator should see.
    """
    detail = _UNAVAILABLE.get(type(error), "")
    return Problem(Code.UNAVAILABLE, detail, cause=error.code)


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """A refusal in Qeet ID's envelope, its members in order (fact 1.5)."""
    kind = _KINDS[problem.code]
    error: dict[str, Any] = {"code": problem.code, "message": kind.message}
    if problem.detail:
        error["detail"] = problem.detail
    error["translation_key"] = problem.code
    if kind.is_retryable:
        error["retryable"] = True
    error["request_id"] = request_id
    response = json_response(encode({"error": error}), kind.status)
    if problem.challenge:
        response.headers["WWW-Authenticate"] = problem.challenge
    if problem.code in _RETRIED_LATER:
        response.headers["Retry-After"] = _RETRY_AFTER
    if problem.is_last:
        response.force_close()
    return response


CSRF_FAILED = encode({"error": "csrf_failed", "message": "missing Origin and Referer"})
"""The body of a 403 that has another form than all else (fact 1.1)."""
