"""What proxies tell of the request that they ask about, each in headers of its own.

An endpoint believes one family of headers. The others come from the client unchanged,
as Traefik and Caddy pass `X-Original-*`, and nginx `X-Forwarded-*`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from multidict import CIMultiDictProxy

from qeetid_authz.index.iprules import parse_address
from qeetid_authz_server.proxies.hosts import read_host

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")


class Manner(StrEnum):
    """How a proxy tells, and the endpoint that it asks for it."""

    FORWARDED = "forward"
    ORIGINAL = "nginx"
    AS_IT_CAME = "envoy"


MANNERS: Final[Mapping[str, Manner]] = MappingProxyType(
    {
        "caddy": Manner.FORWARDED,
        "traefik": Manner.FORWARDED,
        "nginx": Manner.ORIGINAL,
        "envoy": Manner.AS_IT_CAME,
    }
)
"""The manner of each proxy that a routes file can name."""

ENVOY_PREFIX: Final = "/authz/envoy"
"""What comes before the client's own path where the request itself is asked about."""


class _Names(NamedTuple):
    """The headers that tell; method and target may be those of the request itself."""

    host: str
    address: str
    method: str = ""
    target: str = ""


_NAMES: Final[Mapping[Manner, _Names]] = MappingProxyType(
    {
        Manner.FORWARDED: _Names(
            "X-Forwarded-Host",
            "X-Forwarded-For",
            "X-Forwarded-Method",
            "X-Forwarded-Uri",
        ),
        Manner.ORIGINAL: _Names(
            "X-Original-Host", "X-Original-IP", "X-Original-Method", "X-Original-URI"
        ),
        Manner.AS_IT_CAME: _Names("Host", "X-Envoy-Client-IP"),
    }
)


class UntoldError(ValueError):
    """The proxy doesn't tell what it must, or in two ways."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is asked about.

    Attributes:
        method: as the client sent it.
        target: path and query, as the client sent them or the proxy will send them.
        host: as hosts are compared, or None where nobody tells.
    """

    method: str
    target: str
    host: str | None


Headers = CIMultiDictProxy[str]


def read_told(
    manner: Manner, headers: Headers, method: str = "", target: str = ""
) -> Told:
    """What a proxy tells.

    Args:
        manner: how it does.
        headers: of its request.
        method: of its request.
        target: of its request.

    Raises:
        UntoldError: something is missing, told twice, or not what it should be.
    """
    names = _NAMES[manner]
    if manner is Manner.AS_IT_CAME:
        target = _without_prefix(target)
    else:
        method, target = (_one(headers, name) for name in names[2:])
    if not _METHOD.fullmatch(method):
        raise UntoldError("the method isn't one")
    return Told(method, target, _host(headers, names.host))


def read_client(manner: Manner, headers: Headers) -> str:
    """The address of the client that the proxy talks to.

    Raises:
        UntoldError: it is missing or none, or there are several, of which the client
            may have made up all but one.
    """
    text = _one(headers, _NAMES[manner].address)
    try:
        return str(parse_address(text))
    except ValueError:
        raise UntoldError("the client's address isn't one") from None


def _one(headers: Headers, name: str) -> str:
    values = headers.getall(name, [])
    if len(values) != 1 or not values[0]:
        raise UntoldError(f"`{name}` must come once")
    return values[0]


def _host(headers: Headers, name: str) -> str | None:
    if name not in headers:
        return None
    try:
        return read_host(_one(headers, name))
    except UntoldError:
        raise
    except ValueError:
        raise UntoldError(f"`{name}` is no host") from None


def _without_prefix(target: str) -> str:
    if not target.startswith(ENVOY_PREFIX):
        raise UntoldError("the target isn't below the endpoint")
    return target.removeprefix(ENVOY_PREFIX)
