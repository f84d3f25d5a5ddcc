"""The credential that a client presents: in a header, or in a cookie.

Two that differ are refused: another reader might believe the other one.
"""

import re

from aiohttp import hdrs
from multidict import CIMultiDictProxy

from qeetid_authz.credentials.authentication import read_api_key, read_bearer

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class ContradictoryError(ValueError):
    """More than one credential is presented, or one that can't be read."""


def presented(headers: CIMultiDictProxy[str], cookie: str | None = None) -> str | None:
    """A credential as `Authorization` has it, or None where there is none.

    Args:
        headers: of the request.
        cookie: the name of a cookie that holds a token, if one may.

    Raises:
        ContradictoryError: there are several, or the cookie holds no token.
    """
    authorizations = headers.getall(hdrs.AUTHORIZATION, [])
    if len(authorizations) > 1:
        raise ContradictoryError("more than one Authorization header")
    token = None if cookie is None else _cookie(headers, cookie)
    if not authorizations:
        return None if token is None else f"Bearer {token}"
    header = authorizations[0]
    if token is not None and read_bearer(header) != token:
        raise ContradictoryError("cookie and Authorization header differ")
    is_known = read_api_key(header) is not None or read_bearer(header) is not None
    return header if is_known else None


def _cookie(headers: CIMultiDictProxy[str], name: str) -> str | None:
    pairs = (
        pair.strip(" \t").partition("=")
        for line in headers.getall(hdrs.COOKIE, [])
        for pair in line.split(";")
    )
    values = [value for given, _, value in pairs if given == name]
    if not values:
        return None
    if len(values) > 1 or not _TOKEN.fullmatch(values[0]):
        raise ContradictoryError("the cookie comes twice, or holds no token")
    return values[0]
