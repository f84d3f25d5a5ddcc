"""Hosts as they are compared: lower case, without port and final dot."""

import re

_HOST = re.compile(
    r"(?P<name>[a-z0-9_][a-z0-9_.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
)


def read_host(text: str) -> str:
    """A host as it is compared.

    Raises:
        ValueError: it is none; user and password have no place before it.
    """
    host = _HOST.fullmatch(text.lower()) if text.isascii() else None
    name = "" if host is None else host["name"].removesuffix(".")
    if not name or ".." in name or name.endswith("."):
        raise ValueError(f"`{text}` is no host")
    return name
