"""Responses with the headers that every one of them carries."""

from types import MappingProxyType

from aiohttp import hdrs, web
from multidict import CIMultiDict

from qeetid_authz.revision import Revision

SECURITY_HEADERS = MappingProxyType(
    {
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "X-DNS-Prefetch-Control": "off",
        "X-Permitted-Cross-Domain-Policies": "none",
    }
)
"""Qeet ID's set (fact 1.4) but HSTS, which RFC 6797 section 7.2 forbids over HTTP."""

NOT_STORED = MappingProxyType({hdrs.CACHE_CONTROL: "no-store", hdrs.PRAGMA: "no-cache"})
"""Of answers that no cache may keep."""

_COMMON = CIMultiDict({**SECURITY_HEADERS, "Server": "qeetid-authz"})
_JSON = CIMultiDict({**_COMMON, "Content-Type": "application/json"})
_TEXT = CIMultiDict({**_COMMON, "Content-Type": "text/plain; charset=utf-8"})


def json_response(body: bytes, status: int = 200) -> web.Response:
    """A response with an encoded JSON body."""
    return web.Response(body=body, status=status, headers=_JSON)


def text_response(text: str, status: int) -> web.Response:
    """A response in plain text."""
    return web.Response(body=text.encode(), status=status, headers=_TEXT)


def encoded_response(body: bytes, content_type: str) -> web.Response:
    """A response that others encoded."""
    headers = CIMultiDict({**_COMMON, hdrs.CONTENT_TYPE: content_type})
    return web.Response(body=body, headers=headers)


def empty_response(status: int) -> web.Response:
    """A response without a body."""
    return web.Response(status=status, headers=_COMMON)


def decision_head(revision: Revision) -> bytes:
    """The start of `decision_response` as it goes out, up to the age's digits."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in _JSON.items())
    return (
        f"HTTP/1.1 200 OK\r\n{fields}X-Qeetid-Revision: {revision}\r\nX-Qeetid-Age: "
    ).encode()


ID_FIELD = b"\r\nX-Request-Id: "
"""What comes behind the age, before the request's id."""


def decision_tail(body: bytes, date: str) -> bytes:
    """The rest of it, from behind the request's id on, as the framework writes it."""
    head = f"\r\nContent-Length: {len(body)}\r\nDate: {date}\r\n\r\n"
    return head.encode() + body


def unstored_form() -> bytes:
    """A `json_response` that no cache may keep, as the framework writes it.

    To be filled with the request's id, the body's length, the date and the body.
    """
    fields = "".join(f"{name}: {value}\r\n" for name, value in _JSON.items())
    last = "".join(f"{name}: {value}\r\n" for name, value in NOT_STORED.items())
    return (
        f"HTTP/1.1 200 OK\r\n{fields}X-Request-Id: %b\r\n{last}"
        "Content-Length: %d\r\nDate: %b\r\n\r\n%b"
    ).encode()


def decision_response(body: bytes, revision: Revision, age: float) -> web.Response:
    """A response that rests on a revision, and says on which.

    Args:
        body: encoded JSON.
        revision: the snapshot it was made at.
        age: seconds since that snapshot was known to be current.
    """
    response = web.Response(body=body, headers=_JSON)
    response.headers["X-Qeetid-Revision"] = str(revision)
    response.headers["X-Qeetid-Age"] = f"{age:.3f}"
    return response
