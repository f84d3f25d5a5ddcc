"""What an access token claims: who acts, where, until when and within which scope.

The shapes are Qeet ID's (Qeet ID fact 4). Roles, groups and permissions that a token
may claim are not read: those come from the database alone.
"""

from binascii import Error as HexError
from binascii import unhexlify
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

from qeetid_authz.credentials.jose import read_object
from qeetid_authz.errors import (
    MalformedCredentialError,
    TokenExpiredError,
    TokenNotYetValidError,
    TokenTooLongLivedError,
    WrongAudienceError,
    WrongIssuerError,
)
from qeetid_authz.ids import Id
from qeetid_authz.principal import Kind

ACTOR_DEPTH_LIMIT = 8
"""How many actors may stand one inside the other."""

_UUID_LENGTH = 36
_NOBODY = bytes(16)
_TIME_LIMIT = 1 << 53


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a token must say to be taken.

    Attributes:
        issuer: its `iss`, to the letter.
        audience: what must be among its `aud`.
        leeway: by how many seconds the issuer's clock and ours may differ.
        requires_expiry: whether a token without `exp` is refused; Qeet ID's server
            takes one.
        max_life: seconds that a token of a session may live at most, since revoked
            sessions are remembered for no longer.
    """

    issuer: str
    audience: str
    leeway: float = 0.0
    requires_expiry: bool = True
    max_life: float = inf


class Claims(NamedTuple):
    """The claims of a token that are consistent, expected and of now.

    Attributes:
        kind: a user, a service principal or an agent.
        subject: who it stands for.
        tenant: where; None for a user's token that is bound to no tenant.
        session: the session it belongs to.
        scope: its scopes parted by spaces, as written; empty for none.
        actor: who acts on the subject's behalf; of several the current one.
        act: the whole claim that names the actor, as written.
        issuer: who issued it.
        audiences: whom it is meant for.
        expires_at: from when on it is over, in seconds since the Unix epoch.
        not_before: from when on it counts, likewise.
        issued_at: when it was issued, likewise.
    """

    kind: Kind
    subject: Id
    tenant: Id | None
    session: Id | None
    scope: str
    actor: Id | None
    act: dict[str, Any] | None
    issuer: str
    audiences: tuple[str, ...]
    expires_at: int | None
    not_before: int | None
    issued_at: int | None


def read_claims(payload: bytes, expected: Expectations, now: float) -> Claims:
    """Read the claims of a token whose signature is known to be good.

    First come issuer and audience, as all other claims have their meaning only between
    those two; then what the claims say of each other; the times last, so that a token
    refused for its time is refused for nothing else.

    Args:
        payload: what the token claims, as JSON.
        expected: whose and for whom it must be.
        now: seconds since the Unix epoch.

    Raises:
        WrongIssuerError: it names another issuer, or none.
        WrongAudienceError: it is meant for others, or for nobody, as an ID token is.
        MalformedCredentialError: its payload is no JSON object, or a claim isn't what
            it must be.
        TokenNotYetValidError: by `nbf` or `iat` it is of the future.
        TokenExpiredError: by `exp` its time is over.
        TokenTooLongLivedError: it belongs to a session and lives longer than allowed.
    """
    try:
        said = read_object(payload)
    except ValueError as rule:
        raise _malformed(f"payload {rule}") from None
    issuer = _issuer(said, expected.issuer)
    audiences = _audiences(said, expected.audience)
    kind, subject, tenant, session = _principal(said)
    scope = _scope(said)
    actor, act = _actor(said)
    expires_at = _time(said, "exp")
    not_before, issued_at = _time(said, "nbf"), _time(said, "iat")
    if expires_at is None and expected.requires_expiry:
        raise _malformed("`exp` must be there")
    if session is not None:
        _require_short_life(issued_at, expires_at, expected.max_life)
    for name, begins in (("nbf", not_before), ("iat", issued_at)):
        if begins is not None and now < begins - expected.leeway:
            raise TokenNotYetValidError(
                f"the token's `{name}` is still to come; wait, or set the clocks right"
            )
    if expires_at is not None and now >= expires_at + expected.leeway:
        raise TokenExpiredError("the token's `exp` is past; get a new token")
    return Claims(
        kind,
        subject,
        tenant,
        session,
        scope,
        actor,
        act,
        issuer,
        audiences,
        expires_at,
        not_before,
        issued_at,
    )


def _require_short_life(
    issued_at: int | None, expires_at: int | None, max_life: float
) -> None:
    if max_life == inf:
        return
    if issued_at is None or expires_at is None:
        raise _malformed("`iat` and `exp` must be there, as it belongs to a session")
    if expires_at - issued_at > max_life:
        raise TokenTooLongLivedError(
            f"the token lives for `{expires_at - issued_at}` seconds, and one of a"
            f" session may for `{max_life:g}`; raise max_token_life"
        )


def _malformed(rule: str) -> MalformedCredentialError:
    return MalformedCredentialError(
        f"the token's {rule}; send one as Qeet ID issues them"
    )


def _issuer(payload: dict[str, Any], expected: str) -> str:
    issuer = payload.get("iss", "")
    if not isinstance(issuer, str):
        raise _malformed("`iss` must be a string")
    if issuer != expected:
        raise WrongIssuerError(
            "the token's `iss` isn't the issuer whose tokens are taken; get one there"
        )
    return issuer


def _audiences(payload: dict[str, Any], expected: str) -> tuple[str, ...]:
    audiences = payload.get("aud", [])
    if isinstance(audiences, str):
        audiences = [audiences]
    if type(audiences) is not list or not set(map(type, audiences)) <= {str}:
        raise _malformed("`aud` must be a string or a list of strings")
    if expected not in audiences:
        raise WrongAudienceError(
            "the token's `aud` doesn't name the audience that is served here; get an"
            " access token that does"
        )
    return tuple(audiences)


def _principal(payload: dict[str, Any]) -> tuple[Kind, Id, Id | None, Id | None]:
    """Kind, subject, tenant and session."""
    user, tenant = _id(payload, "user_id"), _id(payload, "tenant_id")
    session = _id(payload, "sid")
    match payload.get("actor_type", "user"):
        case "user":
            if user is None:
                raise _malformed("`user_id` must name a user")
            if payload.get("sub") != payload["user_id"]:
                raise _malformed("`sub` must equal `user_id`")
            return Kind.USER, user, tenant, session
        case "service":
            kind = Kind.SERVICE
        case "agent":
            kind = Kind.AGENT
            if payload.get("agent_id", payload.get("sub")) != payload.get("sub"):
                raise _malformed("`agent_id` must equal `sub`")
        case _:
            raise _malformed("`actor_type` must be user, service, agent or left out")
    if tenant is None:
        raise _malformed("`tenant_id` must name a tenant, as no user acts")
    if user is not None or session is not None:
        raise _malformed("`user_id` and `sid` must be left out, as no user acts")
    return kind, _named(payload, "sub"), tenant, None


def _named(claims: dict[str, Any], name: str, where: str = "") -> Id:
    """A UUID that must be there and name somebody."""
    id_ = _id(claims, name, where)
    if id_ is None:
        raise _malformed(f"`{name}`{where} must name who acts")
    return id_


def _id(claims: dict[str, Any], name: str, where: str = "") -> Id | None:
    """A UUID with dashes; None where it is left out or all zeros."""
    if name not in claims:
        return None
    text = claims[name]
    # One spelling of those that `parse_id` takes, in a third of its time.
    raw = text.encode() if isinstance(text, str) else b""
    if len(raw) == _UUID_LENGTH and raw[8:24:5] == b"----":
        try:
            id_ = unhexlify(raw.replace(b"-", b""))
        except HexError:
            id_ = b""
        if len(id_) == len(_NOBODY):
            return None if id_ == _NOBODY else id_
    raise _malformed(f"`{name}`{where} must be a UUID of {_UUID_LENGTH} characters")


def _scope(payload: dict[str, Any]) -> str:
    scope = payload.get("scope", "")
    if not isinstance(scope, str) or (scope and "" in scope.split(" ")):
        raise _malformed("`scope` must be a string of scopes, one space between two")
    return scope


def _actor(payload: dict[str, Any]) -> tuple[Id | None, dict[str, Any] | None]:
    """The current actor, the outermost (RFC 8693, section 4.1), and the claim."""
    if "act" not in payload:
        return None, None
    act = actor = payload["act"]
    for _ in range(ACTOR_DEPTH_LIMIT):
        if not isinstance(actor, dict):
            raise _malformed("`act` must be an object, as any `act` inside it")
        if "act" not in actor:
            break
        actor = actor["act"]
    else:
        raise _malformed(f"`act` must hold at most {ACTOR_DEPTH_LIMIT} actors")
    return _named(act, "sub", " of `act`"), act


def _time(payload: dict[str, Any], name: str) -> int | None:
    if name not in payload:
        return None
    time = payload[name]
    if type(time) is not int or not 0 <= time < _TIME_LIMIT:
        raise _malformed(f"`{name}` must be whole seconds since the Unix epoch")
    return time
