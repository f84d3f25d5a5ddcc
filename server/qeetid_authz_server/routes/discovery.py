"""`/.well-known/`: the issuer's keys, and where else tokens can be judged.

So the official SDKs verify tokens offline against the sidecar's base URL.
"""

import asyncio
import re

from aiohttp import hdrs, web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.credentials.keyring import UNKNOWN_KEY_INTERVAL, Keyring
from qeetid_authz_server.introspection import INTROSPECTION_PATH
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import json_response
from qeetid_authz_server.outgoing.wire import encode

JWKS_PATH = "/.well-known/jwks.json"
CONFIGURATION_PATH = "/.well-known/openid-configuration"

_MAX_AGE = "max-age=30"  # seconds
_FRESH = UNKNOWN_KEY_INTERVAL  # seconds
_PATIENCE = 1.0  # seconds
_ANY = ""  # the name of no key
_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


class DiscoveryRoutes:
    """Answer whoever verifies tokens, unauthenticated."""

    def __init__(self, authorizer: AsyncAuthorizer) -> None:
        self._authorizer = authorizer

    async def jwks(self, _request: web.Request) -> web.Response:
        """The last good key set (RFC 7517, section 5), looked at again if it isn't new.

        Who verifies tokens by it asks anew for a key that is missing, as after a
        rotation, and shows no token by which this sidecar could tell.

        Raises:
            HTTPNotFound: this sidecar takes no tokens.
            Problem: no key is known that may be used.
        """
        keyring = self._keyring()
        if (keyring.age or 0.0) > _FRESH:
            refreshed = asyncio.wrap_future(keyring.refresh_for(_ANY))
            await asyncio.wait({refreshed}, timeout=_PATIENCE)
        keys = keyring.keys
        if keys is None:
            raise Problem(Code.UNAVAILABLE, "the issuer's keys aren't known")
        return _cacheable(encode(keys.as_jwks()))

    async def configuration(self, request: web.Request) -> web.Response:
        """What is offered here (OpenID Connect Discovery 1.0, section 3).

        As Qeet ID has it, the `issuer` is the base URL that was asked, and not the
        `iss` of the tokens (fact 4).

        Raises:
            HTTPNotFound: this sidecar takes no tokens.
            Problem: the request doesn't say whom it asks.
        """
        self._keyring()
        base_url = f"{request.scheme}://{_host(request)}"
        members = {
            "issuer": base_url,
            "jwks_uri": base_url + JWKS_PATH,
            "introspection_endpoint": base_url + INTROSPECTION_PATH,
            "id_token_signing_alg_values_supported": ["ES256"],
            "introspection_endpoint_auth_methods_supported": [
                "client_secret_basic",
                "client_secret_post",
            ],
            "subject_types_supported": ["public"],
            "response_types_supported": [],
        }
        return _cacheable(encode(members))

    def _keyring(self) -> Keyring:
        keyring = self._authorizer.keyring
        if keyring is None:
            raise web.HTTPNotFound
        return keyring


def _host(request: web.Request) -> str:
    """The one `Host`, which goes into URLs that callers follow."""
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise Problem(Code.BAD_REQUEST, "invalid Host")
    return hosts[0]


def _cacheable(body: bytes) -> web.Response:
    response = json_response(body)
    response.headers[hdrs.CACHE_CONTROL] = _MAX_AGE
    return response
