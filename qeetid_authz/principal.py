"""Who acts: an authenticated subject in one tenant, and what its credential allows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import TypedDict, Unpack

from qeetid_authz.ids import Id, format_id, parse_id


class Kind(StrEnum):
    """What sort of principal acts."""

    USER = "user"
    API_KEY = "api_key"
    SERVICE = "service"
    AGENT = "agent"


_PLAIN = 32  # bytes of two ids
_UNBOUNDED = (None, None, None, None)


class Bounds(TypedDict, total=False):
    """What a credential may add to who it stands for.

    Attributes:
        limit: the credential's scopes, beyond which it grants nothing; None or left
            out, it limits nothing.
        session_id: the session it belongs to, a UUID in any spelling.
        actor: who acts on the principal's behalf, in the same tenant. Only its
            authority counts (RFC 8693, section 4.1), none of its own bounds, nor the
            scopes of an API key that is a user's.
        expires_at: when it ends, in seconds since the Unix epoch.
    """

    limit: Iterable[str] | None
    session_id: str | None
    actor: "Principal | None"
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated subject in one tenant, with the bounds of its credential.

    Attributes:
        kind: what sort of principal it is.
        id: its id, canonical.
        tenant_id: the tenant in which it acts, canonical.
        key: bytes by which an index finds it, those of the tenant's id and its own
            first; other bounds make another key.
        limit: scopes beyond which it may nothing; None for no limit.
        session_id: the session that its credential belongs to, canonical.
        actor: who acts on its behalf.
        expires_at: when its credential ends, in seconds since the Unix epoch.
    """

    kind: Kind
    id: str
    tenant_id: str
    key: bytes = field(repr=False, compare=False)
    limit: frozenset[str] | None = None
    session_id: str | None = None
    actor: "Principal | None" = None
    expires_at: float | None = None

    @classmethod
    def user(
        cls, user_id: str, tenant_id: str, **bounds: Unpack[Bounds]
    ) -> "Principal":
        """A user acting in a tenant.

        Under strict semantics the id may as well be that of a service principal or
        an agent of the tenant, which is then judged as what it is.

        Raises:
            TypeError: an id is no string, the limit a string, the actor no Principal,
                the end no number, or a bound is none of these.
            ValueError: an id is no UUID, the actor is of another tenant, or the end
                is no time.
        """
        return cls.of(Kind.USER, parse_id(user_id), parse_id(tenant_id), **bounds)

    @classmethod
    def api_key(
        cls, key_id: str, tenant_id: str, **bounds: Unpack[Bounds]
    ) -> "Principal":
        """An API key acting in its tenant, by the id of its row; as `user`."""
        return cls.of(Kind.API_KEY, parse_id(key_id), parse_id(tenant_id), **bounds)

    @classmethod
    def service(
        cls, service_id: str, tenant_id: str, **bounds: Unpack[Bounds]
    ) -> "Principal":
        """A service principal acting in its tenant; as `user`."""
        return cls.of(Kind.SERVICE, parse_id(service_id), parse_id(tenant_id), **bounds)

    @classmethod
    def agent(
        cls, agent_id: str, tenant_id: str, **bounds: Unpack[Bounds]
    ) -> "Principal":
        """An agent acting in its tenant; as `user`."""
        return cls.of(Kind.AGENT, parse_id(agent_id), parse_id(tenant_id), **bounds)

    @classmethod
    def of(
        cls,
        kind: Kind,
        subject: Id,
        tenant: Id,
        *,
        limit: Iterable[str] | None = None,
        session_id: str | None = None,
        actor: "Principal | None" = None,
        expires_at: float | None = None,
    ) -> "Principal":
        """The same from ids that are parsed already."""
        bounds = (limit, session_id, actor, expires_at)
        if kind is Kind.USER and bounds == _UNBOUNDED:
            return cls(kind, format_id(subject), format_id(tenant), tenant + subject)
        scopes, session = _limit(limit), session_id
        _require_actor(actor, tenant)
        _require_time(expires_at)
        if session is not None:
            session = format_id(parse_id(session))
        told_apart = (
            kind,
            None if scopes is None else sorted(scopes),
            session,
            actor and actor.key.hex(),
            expires_at,
        )
        from hashlib import blake2b  # noqa: PLC0415  (which loads OpenSSL)

        digest = blake2b(repr(told_apart).encode(), digest_size=32).digest()
        return cls(
            kind,
            format_id(subject),
            format_id(tenant),
            tenant + subject + digest,
            scopes,
            session,
            actor,
            expires_at,
        )

    @property
    def is_bounded(self) -> bool:
        """Whether it is anything but a user or a machine named by its id alone."""
        return len(self.key) > _PLAIN

    @property
    def tenant(self) -> Id:
        """The tenant's id as bytes."""
        return self.key[:16]

    @property
    def subject(self) -> Id:
        """The principal's own id as bytes."""
        return self.key[16:32]

    @property
    def session(self) -> Id | None:
        """The session's id as bytes."""
        return None if self.session_id is None else parse_id(self.session_id)


def _require_actor(actor: Principal | None, tenant: Id) -> None:
    if actor is None:
        return
    if not isinstance(actor, Principal):
        raise TypeError(f"an actor must be a Principal, not `{actor!r}`")
    if actor.tenant != tenant:
        raise ValueError(
            f"the actor `{actor.id}` is of tenant `{actor.tenant_id}`; it must be"
            f" of the tenant `{format_id(tenant)}` in which it acts"
        )


def _require_time(expires_at: float | None) -> None:
    if expires_at is None:
        return
    if not isinstance(expires_at, int | float):
        raise TypeError(f"an end must be in seconds, not `{expires_at!r}`")
    if not isfinite(expires_at):
        raise ValueError(f"a credential can't expire at `{expires_at}`")


def _limit(scopes: Iterable[str] | None) -> frozenset[str] | None:
    if scopes is None:
        return None
    limit = frozenset([scopes] if isinstance(scopes, str) else scopes)
    if isinstance(scopes, str) or not all(isinstance(each, str) for each in limit):
        raise TypeError(f"a limit must be a collection of strings, not `{scopes!r}`")
    return limit
