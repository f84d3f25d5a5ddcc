"""Credentials to principals.

The protocol is written once for threads and event loops: a generator that yields
futures, each to be waited for before it goes on.
"""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple, TypeAlias, TypeVar

from qeetid_authz.credentials.claims import Expectations
from qeetid_authz.credentials.keyring import Keyring
from qeetid_authz.credentials.refusals import require_standing
from qeetid_authz.credentials.secretchecks import (
    RECOGNISED_LIMIT,
    SecretChecks,
    make_pool,
)
from qeetid_authz.credentials.tokenchecks import TokenChecks, Verified
from qeetid_authz.engine.engine import Engine
from qeetid_authz.errors import (
    MalformedCredentialError,
    TenantlessTokenError,
    TokensUnconfiguredError,
    UnknownApiKeyError,
)
from qeetid_authz.ids import Id
from qeetid_authz.model import ApiKey, OidcClient
from qeetid_authz.principal import Kind, Principal

Found = TypeVar("Found")
Steps: TypeAlias = Generator[Future[Any], None, Found]


class Recognised(NamedTuple):
    """Who a header stands for, and for how long that needn't be looked at again.

    Attributes:
        principal: who.
        edition: of the engine, when it was looked at.
        until: when an API key ends, in seconds since the Unix epoch.
        token: what the header holds, if that is a token.
    """

    principal: Principal
    edition: int
    until: float
    token: Verified | None = None

    @property
    def is_endless(self) -> bool:
        """Whether nothing but a change of the facts can end it."""
        return self.token is None and self.until == inf


class Authentication:
    """Tells for whom a credential stands, by an engine's facts."""

    def __init__(
        self,
        engine: Engine,
        keyring: Keyring | None,
        expected: Expectations,
        wall_clock: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            engine: whose facts count.
            keyring: the keys of the tokens' issuer; without it no tokens are taken.
            expected: what a token must say.
            wall_clock: seconds since the Unix epoch.
        """
        self._engine = engine
        self._wall_clock = wall_clock
        self._tokens: TokenChecks | None = None
        if keyring is not None:
            self._tokens = TokenChecks(keyring, expected, wall_clock)
        self._pool: ThreadPoolExecutor = make_pool()
        self._keys: SecretChecks[ApiKey] = SecretChecks(self._pool)
        self._clients: SecretChecks[OidcClient] = SecretChecks(self._pool)

    def close(self) -> None:
        """Verify nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting(self) -> dict[str, int]:
        """Secrets that are being verified or wait for it, of each kind."""
        return {"api_key": self._keys.waiting, "client": self._clients.waiting}

    def authenticate(self, header: str) -> Principal:
        """The principal of an `Authorization` header's value.

        Raises:
            AuthenticationError: the credential is refused.
            UnavailableError: it can't be judged now.
            NotOpenError: the authorizer isn't open.
        """
        known = self.recognise(header)
        return run(self._judge(header)) if known is None else known.principal

    async def authenticate_async(self, header: str) -> Principal:
        """The same on the running event loop, which isn't kept from other work."""
        known = self.recognise(header)
        if known is not None:
            return known.principal
        return await run_async(self._judge(header))

    def recognise(self, header: str) -> Recognised | None:
        """Who a header stands for that was judged before, if it needn't be again.

        Raises:
            NotOpenError: the authorizer isn't open.
        """
        if not isinstance(header, str):
            raise TypeError("an Authorization header must be a string")
        self._engine.require_open()
        edition = self._engine.edition
        known = None
        if (key := read_api_key(header)) is not None:
            known = self._recognise_key(key, edition)
        elif self._tokens is not None and (token := read_bearer(header)) is not None:
            verified = self._tokens.recognise(token)
            if verified is not None and verified.principal is not None:
                known = Recognised(verified.principal, edition, inf, verified)
        if known is None or self._engine.standing(known.principal) is not None:
            return None
        return known

    def stands(self, known: Recognised) -> bool:
        """Whether who was recognised would be again, if the header were looked at.

        When in doubt it says no; then look.
        """
        if known.edition != self._engine.edition:
            return False
        if known.token is None or self._tokens is None:
            return self._wall_clock() < known.until
        return self._tokens.stands(known.token)

    def _judge(self, header: str) -> Steps[Principal]:
        if (key := read_api_key(header)) is not None:
            principal = yield from self._api_key(key)
        elif (token := read_bearer(header)) is not None:
            verified = yield from self._token(token)
            if verified.principal is None:
                raise TenantlessTokenError(
                    "the token is bound to no tenant; switch to one first"
                )
            principal = verified.principal
        else:
            raise MalformedCredentialError(
                "the header is neither `Bearer TOKEN` nor `ApiKey KEY`"
            )
        require_standing(self._engine, principal)
        return principal

    def recognise_token(self, text: str) -> Verified | None:
        """A token that was verified before, if it needn't be again; as `verify_token`.

        Raises:
            NotOpenError: the authorizer isn't open.
        """
        self._engine.require_open()
        return None if self._tokens is None else self._tokens.recognise(text)

    def recognise_client(self, client_id: str, secret: str) -> OidcClient | None:
        """A client that is public or was verified before; as `verify_client`.

        Raises:
            NotOpenError: the authorizer isn't open.
        """
        candidates = self._engine.clients(client_id)
        for _, client in candidates:
            if client.is_public:
                return client
        known = self._clients.recognise(self._client_digest(client_id, secret))
        return None if known is None or known not in candidates else known[1]

    async def verify_token(self, text: str) -> Verified:
        """A token verified by itself, whatever has become of who it stands for.

        Raises:
            AuthenticationError: it is refused.
            KeysUnavailableError: the issuer's keys aren't known.
            NotOpenError: the authorizer isn't open.
        """
        return await run_async(self._token(text))

    async def verify_client(self, client_id: str, secret: str) -> OidcClient | None:
        """The OIDC client of an id and a secret; a public one needs none (fact 5).

        Raises:
            OverloadedError: too many secrets wait to be verified.
            NotOpenError: the authorizer isn't open.
        """
        return await run_async(self._client(client_id, secret))

    def _token(self, text: str) -> Steps[Verified]:
        verified = self.recognise_token(text)
        if self._tokens is None:
            raise TokensUnconfiguredError(
                "no tokens are taken here; say where the issuer's keys are (jwks)"
            )
        if verified is None:
            verified = yield from self._tokens.verify(text)
        return verified

    def _client(self, client_id: str, secret: str) -> Steps[OidcClient | None]:
        known = self.recognise_client(client_id, secret)
        if known is not None:
            return known
        candidates = self._engine.clients(client_id)
        digest = self._client_digest(client_id, secret)
        found = yield from self._clients.find(digest, candidates, secret)
        return None if found is None else found[1]

    def _client_digest(self, client_id: str, secret: str) -> bytes:
        return self._clients.digest(f"{client_id}\0{secret}")

    def _recognise_key(self, text: str, edition: int) -> Recognised | None:
        found = self._known_key(text)
        if found is None:
            return None
        id_, row = found
        until = inf if row.expires_at is None else row.expires_at
        return Recognised(_key_principal(id_, row.tenant), edition, until)

    def _known_key(self, text: str) -> tuple[Id, ApiKey] | None:
        """The API key of a text that was verified against the hash there is now."""
        known = self._keys.recognise(self._keys.digest(text))
        if known is None:
            return None
        id_, verified = known
        row = self._engine.api_key(id_)
        if row is None or (row.prefix, row.secret_hash) != (
            verified.prefix,
            verified.secret_hash,
        ):
            return None
        return id_, row

    def _api_key(self, text: str) -> Steps[Principal]:
        prefix, dot, secret = text.partition(".")
        if not dot:
            raise MalformedCredentialError("the API key has no dot in it")
        found = self._known_key(text)
        if found is None:
            candidates = self._engine.api_keys(prefix)
            digest = self._keys.digest(text)
            found = yield from self._keys.find(digest, candidates, secret)
        if found is None:
            raise UnknownApiKeyError("there is no such API key")
        id_, row = found
        return _key_principal(id_, row.tenant)


def read_api_key(header: str) -> str | None:
    """The API key in an `Authorization` header; None if it has another scheme.

    Qeet ID tells `ApiKey` from `apikey` (fact 1.2).
    """
    return header[7:].strip() if header.startswith("ApiKey ") else None


def read_bearer(header: str) -> str | None:
    """The token in an `Authorization` header; None if it has another scheme."""
    return header[7:].strip() if header[:7].lower() == "bearer " else None


@lru_cache(RECOGNISED_LIMIT)
def _key_principal(key: Id, tenant: Id) -> Principal:
    return Principal.of(Kind.API_KEY, key, tenant)


def run(steps: Steps[Found]) -> Found:
    """Run a protocol in this thread."""
    try:
        while True:
            wait([next(steps)])
    except StopIteration as stop:
        found: Found = stop.value
        return found


async def run_async(steps: Steps[Found]) -> Found:
    """Run a protocol on the running event loop."""
    try:
        while True:
            await _waited(next(steps))
    except StopIteration as stop:
        found: Found = stop.value
        return found


async def _waited(future: Future[Any]) -> None:
    """Wait for a future that others may wait for as well, however it ends."""
    wrapped = asyncio.wrap_future(future)
    await asyncio.wait([wrapped])
    if not wrapped.cancelled():
        wrapped.exception()  # who goes on looks at the future itself
