"""`GET /openapi.json`: what can be asked here, and how it is answered."""

from importlib.resources import files

from aiohttp import hdrs, web

from qeetid_authz_server.outgoing.responses import json_response

DOCUMENT_PATH = "/openapi.json"

_MAX_AGE = "max-age=3600"  # seconds
_DOCUMENT = (files("qeetid_authz_server") / "openapi.json").read_bytes()


async def document(_request: web.Request) -> web.Response:
    """The sidecar's own description (OpenAPI 3.1), to anybody."""
    response = json_response(_DOCUMENT)
    response.headers[hdrs.CACHE_CONTROL] = _MAX_AGE
    return response
