"""What there is to say about a token (RFC 7662, on the wire as Qeet ID says it).

Under mirror semantics that is what the hosted server says: a token's word counts. Under
strict semantics nobody is active who may not act, and nobody is told of the tokens of
another tenant.
"""

import logging
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.claims import Claims
from qeetid_authz.credentials.tokenchecks import Verified
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.errors import (
    AuthenticationError,
    DatabaseError,
    UnreachableError,
)
from qeetid_authz.ids import Id, format_id
from qeetid_authz.model import Semantics
from qeetid_authz.postgres.refreshtokens import RefreshToken, RefreshTokens
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.wire import encode

Members: TypeAlias = dict[str, Any]
"""Of an active token, in alphabetical order."""

INTROSPECTION_PATH: Final = "/oauth/introspect"
"""Where the hosted server is asked."""

INTROSPECTION_PATHS: Final = (INTROSPECTION_PATH, f"/v1{INTROSPECTION_PATH}")
"""Where we are: there, and where an SDK looks."""

_log = logging.getLogger(__name__)


class _Known(NamedTuple):
    """What is said of a token, and the edition as of which its principal may act."""

    body: bytes
    edition: int


class Introspection:
    """Tells whether tokens are active, and what of."""

    def __init__(
        self,
        authorizer: AsyncAuthorizer,
        refresh_tokens: RefreshTokens,
        audience: str,
    ) -> None:
        """Prepare.

        Args:
            authorizer: whose facts count.
            refresh_tokens: where those are found.
            audience: whom every access token is meant for.
        """
        self._authorizer = authorizer
        self._refresh_tokens = refresh_tokens
        self._audience = audience
        self._is_strict = authorizer.semantics is Semantics.STRICT
        self._failure = ""
        self._known: WeakKeyDictionary[Verified, _Known] = WeakKeyDictionary()

    async def of(self, token: bytes, hint: bytes, asker: Id | None) -> bytes | None:
        """The members of an active token, encoded; None when it is inactive.

        Args:
            token: as it was presented.
            hint: `access_token` or `refresh_token` where only that is meant.
            asker: the tenant of who asks; None where it needn't say who it is.

        Raises:
            Problem: the replica is stale, or refresh tokens can't be looked up.
            UnavailableError: the issuer's keys aren't known, or too many wait.
        """
        if not token:
            return None
        body = None
        if hint != b"refresh_token":
            body = await self._of_access_token(token, asker)
        if body is None and hint != b"access_token":
            body = await self._of_refresh_token(token, asker)
        return body

    def recall(self, token: bytes, hint: bytes, asker: Id | None) -> bytes | None:
        """The same of an access token that was seen before, at once.

        Args:
            token: as it was presented.
            hint: as in `of`.
            asker: as in `of`.

        Returns:
            None when it isn't known here, or is inactive.

        Raises:
            Problem: the replica is stale.
            NotOpenError: the authorizer isn't open.
        """
        self.require_fresh()
        if hint == b"refresh_token":
            return None
        authentication = self._authorizer.authentication
        verified = authentication.recognise_token(_text(token))
        return None if verified is None else self._told(verified, asker)

    def require_fresh(self) -> None:
        """Return when what is known here is recent enough to tell who is active.

        Raises:
            Problem: it isn't.
        """
        if self._authorizer.is_stale:
            raise Problem(Code.UNAVAILABLE, SENTENCES[Reason.STALE])

    async def _of_access_token(self, token: bytes, asker: Id | None) -> bytes | None:
        authentication = self._authorizer.authentication
        try:
            verified = await authentication.verify_token(_text(token))
        except AuthenticationError:
            return None
        return self._told(verified, asker)

    def _told(self, verified: Verified, asker: Id | None) -> bytes | None:
        """What to say of an access token that is genuine.

        Nobody's standing changes during an edition but by the end of its credential,
        and a token that has ended isn't genuine any more.
        """
        edition = self._authorizer.edition
        known = self._known.get(verified)
        if self._is_strict:
            is_standing = known is not None and known.edition == edition
            if not self._may_act(verified.principal, asker, is_standing=is_standing):
                return None
        if known is None:
            body = encode(_access_members(verified.claims, self._audience))
        else:
            body = known.body
        if known is None or known.edition != edition:
            self._known[verified] = _Known(body, edition)
        return body

    async def _of_refresh_token(self, token: bytes, asker: Id | None) -> bytes | None:
        found = await self._find(token)
        if found is None:
            return None
        if self._is_strict and not self._may_act(_holder(found), asker):
            return None
        return encode(_refresh_members(found))

    async def _find(self, token: bytes) -> RefreshToken | None:
        try:
            found = await self._refresh_tokens.find(token, of_logins=self._is_strict)
        except DatabaseError as error:
            self._note_failure(error)
            detail = "refresh tokens can't be looked up now"
            if isinstance(error, UnreachableError):
                detail = "the database doesn't answer"
            raise Problem(Code.UNAVAILABLE, detail) from None
        self._failure = ""
        return found

    def _note_failure(self, error: DatabaseError) -> None:
        """Tell the log what is wrong, once for as long as it stays so."""
        if self._failure != error.code:
            extra = {"cause": error.code, "error": str(error)}
            _log.warning("lookup_failed", extra=extra)
        self._failure = error.code

    def _may_act(
        self,
        principal: Principal | None,
        asker: Id | None,
        *,
        is_standing: bool = False,
    ) -> bool:
        """Whether a token's principal may act, and the asker be told of it.

        Args:
            principal: who it stands for.
            asker: the tenant of who asks.
            is_standing: whether nothing is known to keep the principal from acting.
        """
        self.require_fresh()
        if principal is None:  # Of no tenant: what became of its user can't be told.
            return False
        if asker is not None and asker != principal.tenant:
            return False
        return is_standing or self._authorizer.standing(principal) is None


def _text(token: bytes) -> str:
    return token.decode("utf-8", "surrogateescape")


def _holder(token: RefreshToken) -> Principal | None:
    if token.tenant_id is None:
        return None
    return Principal.user(token.user_id, token.tenant_id, session_id=token.session_id)


def _access_members(claims: Claims, audience: str) -> Members:
    is_machine = claims.kind is not Kind.USER
    is_agent = claims.kind is Kind.AGENT
    subject = format_id(claims.subject)
    return _given(
        act=claims.actor and {"sub": format_id(claims.actor)},
        active=True,
        actor_type=claims.kind if is_machine else None,
        agent_id=subject if is_agent else None,
        aud=audience,
        exp=claims.expires_at,
        iat=claims.issued_at,
        iss=claims.issuer,
        scope=claims.scope,
        sid=claims.session and format_id(claims.session),
        sub=subject,
        tenant_id=claims.tenant and format_id(claims.tenant),
        token_type="Bearer",  # noqa: S106  (no password)
    )


def _refresh_members(token: RefreshToken) -> Members:
    return _given(
        active=True,
        client_id=token.client_id,
        exp=token.expires_at,
        iat=token.issued_at,
        scope=" ".join(token.scopes),
        sid=token.session_id,
        sub=token.user_id,
        tenant_id=token.tenant_id,
        token_type="refresh_token",  # noqa: S106  (no password)
    )


def _given(**members: Any) -> Members:
    return {name: value for name, value in members.items() if value is not None}
