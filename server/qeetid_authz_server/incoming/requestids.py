"""An id for each request, the caller's own where it gives a decent one."""

import re
from collections.abc import Iterator
from itertools import count
from secrets import token_urlsafe
from typing import Final

from aiohttp import web

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""Under this key a request holds what it is called."""

_DECENT = re.compile(r"[!-~]{1,128}", re.ASCII)


def decent_request_id(given: str | None) -> str | None:
    """The id given if it is 1 to 128 visible ASCII characters."""
    return given if given is not None and _DECENT.fullmatch(given) else None


def choose_request_id(given: str | None, made: Iterator[str]) -> str:
    """The id given if it is a decent one, else the next made."""
    return decent_request_id(given) or next(made)


def request_ids() -> Iterator[str]:
    """Ids without end, of this process only: `<10 characters>-<6 digits>`."""
    process = token_urlsafe(8)[:10] + "-"
    return (process + str(number).zfill(6) for number in count(1))
