"""Refresh tokens, looked up in the database each time that somebody asks.

Nothing of them is remembered: what was good a moment ago may have been used since.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import NamedTuple

from qeetid_authz.postgres.lookups import Connection, Lookups
from qeetid_authz.postgres.queries import load

_QUERIES = load("refreshtokens")
_OF_CLIENTS = (_QUERIES["issued_to_clients"],)
_OF_CLIENTS_AND_LOGINS = (*_OF_CLIENTS, _QUERIES["issued_at_login"])


class RefreshToken(NamedTuple):
    """A refresh token that may be used now.

    Attributes:
        client_id: the OIDC client it was issued to; None for one of a login.
        user_id: whose it is, canonical.
        tenant_id: where, canonical; None for a login that is bound to no tenant.
        session_id: the session of the login, canonical.
        scopes: what it was issued for.
        issued_at: when, in whole seconds since the Unix epoch.
        expires_at: when it ends, likewise.
    """

    client_id: str | None
    user_id: str
    tenant_id: str | None
    session_id: str | None
    scopes: list[str]
    issued_at: int
    expires_at: int


class RefreshTokens:
    """Who may use which refresh token."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    async def find(self, token: bytes, *, of_logins: bool) -> RefreshToken | None:
        """The refresh token of that text if it may be used now (fact 5).

        Args:
            token: as it was presented.
            of_logins: look among those of Qeet ID's own sessions as well, not only
                among those of OIDC clients.

        Raises:
            DatabaseError, OverloadedError, NotOpenError: as `Lookups.run`.
        """
        queries = _OF_CLIENTS_AND_LOGINS if of_logins else _OF_CLIENTS
        digest = _digest(token)

        async def look_up(connection: Connection) -> RefreshToken | None:
            for query in queries:
                row = await (await connection.execute(query, [digest])).fetchone()
                if row is not None:
                    return RefreshToken(*row)
            return None

        return await self._lookups.run(look_up)


def _digest(token: bytes) -> str:
    """What the database knows a refresh token by (fact 5)."""
    return urlsafe_b64encode(sha256(token).digest()).rstrip(b"=").decode()
