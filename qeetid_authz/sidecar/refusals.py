"""Replies that aren't the answer: what each means to whoever asked."""

from typing import Final, NoReturn, TypeVar

import msgspec

from qeetid_authz.errors import (
    ApiKeyExpiredError,
    AuthenticationError,
    AuthzError,
    MalformedCredentialError,
    RevisionForeignError,
    RevisionUnseenError,
    SidecarRefusedError,
    TenantlessTokenError,
)
from qeetid_authz.sidecar.messages import Reply, Unanswered
from qeetid_authz.sidecar.wire import Fault, Refusal

_Read = TypeVar("_Read")

_OK: Final = 200
_UNAVAILABLE: Final = 503
_FIRST_OF_THEIRS: Final = 500
_OURS: Final = frozenset({400, 401, 403, 413, 415})
"""Statuses of what the client or its configuration must do otherwise."""

_REMEDIES: Final = {
    "unauthorized": "give the client an `api_key`",
    "apikey.invalid": "give the client an `api_key` that exists",
    "apikey.expired": "give the client an `api_key` that hasn't expired",
    "forbidden": "ask about principals of the tenant of its `api_key`",
    "rbac.permission_denied": "give the client the key of who may ask",
    "batch_too_large": "ask fewer questions at once, or raise its batch_limit",
}

_ARRIVALS: Final[dict[str, type[AuthzError]]] = {
    RevisionUnseenError.code: RevisionUnseenError,
    RevisionForeignError.code: RevisionForeignError,
}

_refusals: Final = msgspec.json.Decoder(Refusal)


def accept(reply: Reply, decoder: msgspec.json.Decoder[_Read], name: str) -> _Read:
    """What an answer says.

    Raises:
        Unanswered: it is none that counts.
        SidecarRefusedError: the client, or what it asks, is refused.
        RevisionUnseenError, RevisionForeignError: what it must rest on isn't known.
    """
    if reply.status != _OK:
        _refuse(reply, name)
    if not reply.is_json:
        raise Unanswered("garbled", "its answer is no JSON")
    try:
        return decoder.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unanswered("garbled", "its answer can't be read") from None


def _refuse(reply: Reply, name: str) -> NoReturn:
    fault, status = _fault(reply), reply.status
    if fault is not None and fault.code in _ARRIVALS:
        raise _ARRIVALS[fault.code](
            f"the sidecar at `{name}` doesn't know of what was written; ask again"
            f" later, or without it ({fault.code})"
        )
    if fault is not None and status in _OURS:
        remedy = _REMEDIES.get(fault.code, fault.detail)
        raise SidecarRefusedError(
            f"the sidecar at `{name}` refuses its client (`{fault.code}`); {remedy}",
            fault.code,
        )
    if fault is not None and status == _UNAVAILABLE:
        raise Unanswered("unavailable", fault.detail or "it isn't ready")
    cause = "failed" if status >= _FIRST_OF_THEIRS else "unexpected"
    raise Unanswered(cause, f"it answers with status {status}")


def refuse_credential(reply: Reply) -> None:
    """Return when a reply doesn't refuse the credential that was asked about.

    Of a token the sidecar tells nobody what is wrong with it, and writes that to its log.

    Raises:
        AuthenticationError: it does, by a subclass where the cause is told.
    """
    match reply.status, _fault(reply):
        case 400, Fault():
            raise MalformedCredentialError("the sidecar can't read the header")
        case 401, Fault(code="apikey.expired"):
            raise ApiKeyExpiredError("the API key has expired")
        case 401, Fault(code=code, detail=detail):
            why = f"`{code}`, {detail}" if detail else f"`{code}`"
            raise AuthenticationError(
                f"the sidecar refuses the credential ({why}); its log says why"
            )
        case 403, Fault():
            raise TenantlessTokenError(
                "the token is bound to no tenant; switch to one first"
            )
        case _:
            return


def _fault(reply: Reply) -> Fault | None:
    """What the sidecar says of a refusal; None if that isn't the sidecar's."""
    if not reply.is_json:
        return None
    try:
        return _refusals.decode(reply.body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
