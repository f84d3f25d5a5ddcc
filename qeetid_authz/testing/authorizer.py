"""Authorizers over facts in memory, for the tests of applications."""

from typing import Self, Unpack

from qeetid_authz.credentials.refusals import require_standing
from qeetid_authz.errors import MalformedCredentialError, UnknownApiKeyError
from qeetid_authz.principal import Bounds, Kind, Principal
from qeetid_authz.testing.changing import Changing


class InMemory(Changing):
    """What both authorizers for tests share: facts, a clock, and credentials."""

    # Time

    @property
    def now(self) -> float:
        """Its time in seconds since the Unix epoch, which stands still."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, for credentials that end; ValueError if it is less than 0."""
        if seconds < 0:
            raise ValueError(f"time can't go back by `{-seconds}` seconds")
        self._now += seconds
        self.expire_credentials()

    def go_stale(self) -> None:
        """Behave as when the database is away for too long, until `catch_up`.

        What is changed meanwhile is seen then.
        """
        self._is_cut_off = True
        self.expire()

    def catch_up(self) -> None:
        """See all that was changed, and answer again."""
        self._is_cut_off = False
        self._committed()

    # Credentials

    def header_for(self, principal: Principal, **bounds: Unpack[Bounds]) -> str:
        """An `Authorization` header that stands for somebody.

        Args:
            principal: who; no more than what `authenticate` gives.
            **bounds: what the credential says besides; as `Bounds` has them.
        """
        scheme = "ApiKey" if principal.kind is Kind.API_KEY else "Bearer"
        return f"{scheme} {self.token_for(principal, **bounds)}"

    def token_for(self, principal: Principal, **bounds: Unpack[Bounds]) -> str:
        """The same without the scheme."""
        if bounds:
            kind, subject, tenant = principal.kind, principal.subject, principal.tenant
            principal = Principal.of(kind, subject, tenant, **bounds)
        token = f"test-{principal.kind}-{len(self._handed_out) + 1}"
        self._handed_out[token] = principal
        return token

    def _authenticate(self, header: str) -> Principal:
        if not isinstance(header, str):
            raise TypeError("an Authorization header must be a string")
        self.require_open()
        scheme, _, credential = header.partition(" ")
        is_key = scheme == "ApiKey"
        if not is_key and scheme.lower() != "bearer":
            raise MalformedCredentialError(
                "the header is neither `Bearer TOKEN` nor `ApiKey KEY`"
            )
        principal = self._handed_out.get(credential.strip())
        if principal is None or is_key is not (principal.kind is Kind.API_KEY):
            if is_key:
                raise UnknownApiKeyError("there is no such API key")
            raise MalformedCredentialError(
                "the token isn't one of this authorizer; take one from `token_for`"
            )
        require_standing(self, principal)
        return principal


class InMemoryAuthorizer(InMemory):
    """An `Authorizer` for tests: facts in memory, and credentials that it hands out.

    A context manager, which it needn't be used as: it is open at once.
    """

    def authenticate(self, header: str) -> Principal:
        """The principal that a credential stands for; as `Authorizer.authenticate`."""
        return self._authenticate(header)

    def wait_for(self, at_least: str) -> None:
        """Return when answers rest on a change; without waiting, as nothing would come.

        Raises:
            TypeError, ValueError: that is no revision token.
            RevisionError: the change isn't published.
        """
        self._reach(at_least)


class AsyncInMemoryAuthorizer(InMemory):
    """An `AsyncAuthorizer` for tests; as `InMemoryAuthorizer`."""

    async def authenticate(self, header: str) -> Principal:
        """The principal that a credential stands for; as `Authorizer.authenticate`."""
        return self._authenticate(header)

    async def wait_for(self, at_least: str) -> None:
        """Return when answers rest on a change; as `InMemoryAuthorizer.wait_for`."""
        self._reach(at_least)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Answer nothing any more. Closing twice is harmless."""
        self.close()
