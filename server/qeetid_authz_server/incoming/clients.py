"""Who may ask about tokens: OIDC clients and, as our extension, holders of API keys.

RFC 7662, section 2.1, wants everybody asked, so that nobody can try tokens out.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.authentication import read_api_key
from qeetid_authz.errors import AuthenticationError, UnavailableError
from qeetid_authz.ids import Id
from qeetid_authz.model import OidcClient
from qeetid_authz.principal import Principal
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.telemetry.counts import Counts

_BASIC = "basic "
_CHALLENGE = 'Basic realm="qeetid-authz"'


class Clients:
    """Tells on whose behalf a token is asked about."""

    def __init__(
        self, authorizer: AsyncAuthorizer, counts: Counts, *, trusts_all: bool
    ) -> None:
        """Prepare.

        Args:
            authorizer: whose facts count.
            counts: what counts how credentials were judged.
            trusts_all: let those pass who present nothing.
        """
        self._authorizer = authorizer
        self._counts = counts
        self._trusts_all = trusts_all

    async def identify(
        self, authorizations: Sequence[str], form: Mapping[bytes, bytes]
    ) -> Id | None:
        """The tenant of who asks, or None where it needn't say who it is.

        What `Authorization` says of Basic credentials, raw, or of an API key, counts
        before the form's `client_id` and `client_secret` (fact 5).

        Args:
            authorizations: the values of that header.
            form: the fields of the request.

        Raises:
            Problem: it isn't who it says, or doesn't say.
            UnavailableError: that can't be judged now.
        """
        if len(authorizations) > 1:
            raise Problem(Code.BAD_REQUEST, "more than one Authorization header")
        header = next(iter(authorizations), "")
        try:
            tenant = self.recall(header, form)
        except LookupError:
            tenant = await self._judge_counted(header, form)
        if tenant is not None:
            self._counts.judged("ok")
        return tenant

    def recall(self, header: str, form: Mapping[bytes, bytes]) -> Id | None:
        """The same at once, where nothing is refused and nobody waited for.

        Args:
            header: `Authorization`, or nothing.
            form: the fields of the request.

        Raises:
            LookupError: it isn't known.
            NotOpenError: the authorizer isn't open.
        """
        authentication = self._authorizer.authentication
        known: Principal | OidcClient | None = None
        if read_api_key(header) is not None:
            recognised = authentication.recognise(header)
            known = None if recognised is None else recognised.principal
        elif credentials := read_basic(header) or _form_credentials(form):
            known = authentication.recognise_client(*credentials)
        elif self._trusts_all and not _is_basic(header):
            return None
        if known is None:
            raise LookupError("it isn't known who asks")
        return known.tenant

    async def _judge_counted(self, header: str, form: Mapping[bytes, bytes]) -> Id:
        try:
            return await self._judge(header, form)
        except Problem as refusal:
            self._counts.judged(refusal.cause or "client_refused")
            raise
        except UnavailableError as error:
            self._counts.judged(error.code)
            raise

    async def _judge(self, header: str, form: Mapping[bytes, bytes]) -> Id:
        if read_api_key(header) is not None:
            return await self._tenant_of_key(header)
        credentials = read_basic(header) or _form_credentials(form)
        if credentials is None:
            raise _failed(header)
        client = await self._authorizer.authentication.verify_client(*credentials)
        if client is None:
            raise _failed(header)
        return client.tenant

    async def _tenant_of_key(self, header: str) -> Id:
        try:
            principal = await self._authorizer.authenticate(header)
        except AuthenticationError as refusal:
            raise Problem(Code.CLIENT_AUTH_FAILED, cause=refusal.code) from None
        return principal.tenant


def read_basic(header: str) -> tuple[str, str] | None:
    """The id and the secret of an `Authorization` header as Go reads it, or None.

    Neither is percent-decoded, unlike RFC 6749, section 2.3.1, has it.
    """
    if not _is_basic(header):
        return None
    try:
        raw = b64decode(header[len(_BASIC) :], validate=True)
    except (Base64Error, ValueError):
        return None
    client_id, colon, secret = _text(raw).partition(":")
    return (client_id, secret) if colon else None


def _is_basic(header: str) -> bool:
    return header[: len(_BASIC)].lower() == _BASIC


def _failed(header: str) -> Problem:
    challenge = _CHALLENGE if _is_basic(header) else ""
    return Problem(Code.CLIENT_AUTH_FAILED, challenge=challenge)


def _form_credentials(form: Mapping[bytes, bytes]) -> tuple[str, str] | None:
    client_id = form.get(b"client_id", b"")
    secret = form.get(b"client_secret", b"")
    return (_text(client_id), _text(secret)) if client_id or secret else None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
