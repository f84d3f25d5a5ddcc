"""Who sends a request, whether it may, and what is told to whom about that.

The response tells no more than what to do: authenticate, give up, or come back. The log
`qeetid_authz` has the reason.
"""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.explain import Missing
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.errors import (
    AuthenticationError,
    AuthzError,
    MalformedCredentialError,
    NotOpenError,
    UnavailableError,
)
from qeetid_authz.frameworks.asking import Authorizing, Steps, asking, authenticating
from qeetid_authz.principal import Principal

log = logging.getLogger("qeetid_authz")

CHALLENGE = 'Bearer realm="qeetid"'
_SHOWN = 10  # roles that would be enough; a tenant may have thousands


class Refusal(NamedTuple):
    """What a response to somebody who may not says, whatever the reason.

    Attributes:
        status: 401, 403 or 503.
        text: a sentence for people.
        headers: that go with it.
    """

    status: int
    text: str
    headers: Mapping[str, str] = MappingProxyType({})


ABSENT = Refusal(401, "authentication required", {"WWW-Authenticate": CHALLENGE})
REFUSED = Refusal(
    401,
    "the credential is refused",
    {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'},  # RFC 6750, 3.1
)
DENIED = Refusal(403, "permission denied")
UNJUDGED = Refusal(503, "permissions cannot be judged now", {"Retry-After": "1"})


class Visit(NamedTuple):
    """A request, as far as it matters who sends it.

    Attributes:
        authz: who was asked, and is to be.
        principal: who sends it; None for nobody, or nobody that is known.
        error: why not, if a credential was presented.
    """

    authz: Authorizing
    principal: Principal | None
    error: AuthzError | None = None


def read_keys(keys: Sequence[object]) -> tuple[str, ...]:
    """The permissions that a view requires, when it is defined.

    Raises:
        TypeError: one is no string, as where `requires` is written without `(...)`.
        ValueError: one is empty.
    """
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(
                f"a permission key must be a string, not `{key!r}`; write"
                ' `requires("billing:write")`'
            )
        if not key:
            raise ValueError("a permission key is empty; name the permission")
    return tuple(str(key) for key in keys)


def arrive(authz: Authorizing, headers: Sequence[str]) -> Steps[Visit]:
    """Tell who sends a request; whether it must be somebody is asked later.

    Args:
        authz: who judges credentials.
        headers: the values of all its `Authorization` headers. Gateways join several
            with commas, of which a credential has none.
    """
    if not headers:
        return Visit(authz, None)
    if len(headers) > 1 or "," in headers[0]:
        error = MalformedCredentialError("more than one credential is presented")
        return Visit(authz, None, error)
    try:
        principal: Principal = yield authenticating(authz, headers[0])
    except (AuthenticationError, UnavailableError, NotOpenError) as error:
        return Visit(authz, None, error)
    return Visit(authz, principal)


def identify(visit: Visit) -> Principal | Refusal:
    """Who sends a request that somebody must send."""
    if visit.principal is not None:
        return visit.principal
    if visit.error is None:
        extra = {"event": "request_unauthenticated", "cause": "credential_absent"}
        log.info("unauthenticated: no credential is presented", extra=extra)
        return ABSENT
    if not isinstance(visit.error, AuthenticationError):
        return _unjudged(visit.error.code, str(visit.error))
    log.info(
        "unauthenticated: %s",
        visit.error,
        extra={"event": "request_unauthenticated", "cause": visit.error.code},
    )
    return REFUSED


def permit(visit: Visit, keys: tuple[str, ...]) -> Steps[Principal | Refusal]:
    """Tell whether who sends a request holds all of some permissions, in its tenant."""
    who = identify(visit)
    if not isinstance(who, Principal) or not keys:
        return who
    authz = visit.authz
    decisions: list[Decision]
    try:
        if len(keys) == 1:
            decisions = [(yield asking(authz, authz.check, who, keys[0]))]
        else:
            questions = [(who, key) for key in keys]
            decisions = yield asking(authz, authz.check_many, questions)
    except (UnavailableError, NotOpenError) as error:
        return _unjudged(error.code, str(error))
    for key, decision in zip(keys, decisions, strict=True):
        if not decision.allowed:
            return (yield from _denied(authz, who, key, decision))
    return who


def _unjudged(cause: str, why: str) -> Refusal:
    extra = {"event": "request_unjudged", "cause": cause}
    log.warning("permissions can't be judged: %s", why, extra=extra)
    return UNJUDGED


def _denied(
    authz: Authorizing, who: Principal, key: str, decision: Decision
) -> Steps[Refusal]:
    reason = decision.reason
    if reason is Reason.STALE:
        return _unjudged(reason, SENTENCES[reason])
    if reason is Reason.UNKNOWN_PERMISSION:
        extra = {"event": "permission_unknown", "permission": key}
        log.error(
            "denied: no permission has the key %r; correct what is required, or make"
            " the permission",
            key,
            extra=extra,
        )
        return DENIED
    if log.isEnabledFor(logging.WARNING):
        missing = yield from _missing(authz, who, key)
        log.warning(
            "denied: %s `%s` may not %r in tenant `%s`: %s%s",
            who.kind,
            who.id,
            key,
            who.tenant_id,
            SENTENCES[reason],
            f"; any of these would be enough: {missing}" if missing else "",
            extra={
                "event": "request_denied",
                "permission": key,
                "reason": reason.value,
                "kind": who.kind.value,
                "principal": who.id,
                "tenant": who.tenant_id,
                "missing": missing,
                "revision": str(decision.revision),
            },
        )
    return DENIED


def _missing(authz: Authorizing, who: Principal, key: str) -> Steps[list[str]]:
    """The roles that would be enough, each with the groups that carry it."""
    try:
        explanation = yield asking(authz, authz.explain, who, key)
    except AuthzError:  # it is denied all the same
        return []
    return [_told(each) for each in explanation.missing[:_SHOWN]]


def _told(missing: Missing) -> str:
    groups = ", ".join(each.group for each in missing.groups[:_SHOWN])
    return f"{missing.role} (through {groups})" if groups else missing.role
