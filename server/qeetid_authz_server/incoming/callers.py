"""Who calls: for whom the credential of a request stands, and what it must hold."""

from collections.abc import Sequence
from typing import Final

from aiohttp import hdrs, web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.authentication import (
    Recognised,
    read_api_key,
    read_bearer,
)
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.errors import (
    ApiKeyExpiredError,
    AuthenticationError,
    InactiveAgentError,
    TenantlessTokenError,
    TokensUnconfiguredError,
    UnavailableError,
)
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.telemetry.counts import Counts

ASKING: Final = "role.read"
"""What a user must hold to ask about permissions (fact 1.2, step 7)."""

CHALLENGE: Final = 'Bearer realm="qeetid-authz"'
REFUSED: Final = 'Bearer error="invalid_token"'
"""What a 401 says of tokens (RFC 6750, section 3), without and with one presented."""


class Gate:
    """Tells who calls, and lets those pass who may ask about permissions.

    Attributes:
        is_open: whether everybody may ask, unasked.
    """

    def __init__(
        self, authorizer: AsyncAuthorizer, counts: Counts, *, is_open: bool = False
    ) -> None:
        """Make a gate.

        Args:
            authorizer: what judges credentials, and knows what callers hold.
            counts: what counts how credentials were judged.
            is_open: whether everybody may ask, unasked.
        """
        self._authorizer = authorizer
        self._counts = counts
        self.is_open = is_open

    async def identify(self, request: web.Request) -> Principal | None:
        """The caller, or None where callers aren't asked who they are.

        Raises:
            Problem: as `recognise`.
        """
        return None if self.is_open else await self.recognise(request)

    async def recognise(self, request: web.Request) -> Principal:
        """For whom the credential of a request stands (fact 1.2, steps 3 and 4).

        Raises:
            Problem: there is none, more than one, or one that is refused.
            UnavailableError: it can't be judged now.
        """
        return await self.judge(request.headers.getall(hdrs.AUTHORIZATION, []))

    async def judge(self, presented: Sequence[str]) -> Principal:
        """The same of what `Authorization` says, each time that it says something.

        Raises:
            Problem, UnavailableError: as `recognise`.
        """
        if len(presented) > 1:
            raise Problem(Code.BAD_REQUEST, "more than one Authorization header")
        if not presented or not _has_known_scheme(presented[0]):
            self._counts.judged("credential_missing")
            raise Problem(Code.UNAUTHORIZED, challenge=self._challenge)
        try:
            caller = await self._authorizer.authenticate(presented[0])
        except UnavailableError as error:
            self._counts.judged(error.code)
            raise
        except AuthenticationError as refusal:
            self._counts.judged(refusal.code)
            raise self._problem(presented[0], refusal) from None
        self._counts.judged("ok")
        return caller

    def recall(self, presented: str | None) -> Recognised | None:
        """The same at once, where nothing is refused and nobody waited for."""
        if presented is None:
            return None
        return self._authorizer.authentication.recognise(presented)

    def stands(self, known: Recognised) -> bool:
        """Whether who was recalled would still be."""
        return self._authorizer.authentication.stands(known)

    def may_ask(self, caller: Principal | None) -> bool:
        """Whether the caller may ask about permissions (fact 1.3).

        A user's token needs a permission for it, and so does one that only looks like
        a user's, as token exchange gives to agents (fact 6).
        """
        if caller is None or caller.kind is not Kind.USER:
            return True
        return self._authorizer.can(caller, ASKING)

    def require_may_ask(self, caller: Principal | None) -> None:
        """Return when the caller may ask about permissions.

        Raises:
            Problem: it may not, or that can't be told from a replica so old.
        """
        if self.may_ask(caller):
            return
        if self._authorizer.is_stale:
            raise Problem(Code.UNAVAILABLE, SENTENCES[Reason.STALE])
        raise Problem(Code.PERMISSION_DENIED)

    @property
    def _challenge(self) -> str:
        return "" if self._authorizer.keyring is None else CHALLENGE

    def _problem(self, presented: str, refusal: AuthenticationError) -> Problem:
        """How a refusal reads: that of a token never says what is wrong with it."""
        cause = refusal.code
        if read_api_key(presented) is not None:
            expired = isinstance(refusal, ApiKeyExpiredError)
            code = Code.KEY_EXPIRED if expired else Code.KEY_INVALID
            return Problem(code, challenge=self._challenge, cause=cause)
        match refusal:
            case TokensUnconfiguredError():
                detail, challenge = "this sidecar takes API keys only", ""
            case TenantlessTokenError():
                return Problem(Code.FORBIDDEN, "tenant scope required", cause=cause)
            case InactiveAgentError():
                status = refusal.status or "revoked"  # as Qeet ID calls it (fact 1.2)
                detail, challenge = f"agent {status}", REFUSED
            case _:
                detail, challenge = "", REFUSED
        return Problem(Code.UNAUTHORIZED, detail, challenge=challenge, cause=cause)


def _has_known_scheme(presented: str) -> bool:
    return read_api_key(presented) is not None or read_bearer(presented) is not None
