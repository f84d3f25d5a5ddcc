"""`/.well-known/authzen-configuration`: where AuthZEN is spoken here."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from qeetid_authz.ids import parse_wire_id
from qeetid_authz_server.outgoing.responses import json_response
from qeetid_authz_server.outgoing.wire import encode

WELL_KNOWN: Final = "/.well-known/authzen-configuration"

_PLAIN = re.compile(r"[A-Za-z0-9_:-]+")  # nothing that a URL writes in two ways
_MAX_AGE = "max-age=3600"  # seconds


class MetadataRoutes:
    """Answer whoever looks for a policy decision point, unauthenticated.

    Everything in the answer is from the configured URL, nothing from the request but
    the tenant (Authorization API 1.0, section 9).
    """

    def __init__(self, public_url: str, endpoints: dict[str, str]) -> None:
        """Prepare.

        Args:
            public_url: where callers reach the sidecar.
            endpoints: the paths of what is offered, by member.
        """
        self._url = public_url.rstrip("/")
        self._endpoints = endpoints
        self.path = WELL_KNOWN + urlsplit(self._url).path

    async def get(self, _request: web.Request) -> web.Response:
        """The metadata of the sidecar."""
        return self._metadata(self._url)

    async def get_of_tenant(self, request: web.Request) -> web.Response:
        """The metadata of a tenant's own decision point.

        It is called exactly as its caller did, in whatever spelling of the tenant's id.

        Raises:
            HTTPNotFound: no tenant can have such an id.
        """
        tenant = request.raw_path.partition("?")[0].rpartition("/")[2]
        if not _PLAIN.fullmatch(tenant) or parse_wire_id(tenant.encode()) is None:
            raise web.HTTPNotFound
        return self._metadata(f"{self._url}/{tenant}")

    def _metadata(self, url: str) -> web.Response:
        members: dict[str, Any] = {"policy_decision_point": url}
        members |= {name: url + path for name, path in self._endpoints.items()}
        response = json_response(encode(members))
        response.headers[hdrs.CACHE_CONTROL] = _MAX_AGE
        return response
