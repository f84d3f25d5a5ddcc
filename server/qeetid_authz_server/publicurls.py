"""Where callers reach the sidecar, which it can't tell from their requests."""

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def require_public_url(text: str) -> None:
    """Return when a URL is one from which others can be made.

    Raises:
        ValueError: it isn't `https:`, names no host in lower case, or has anything
            besides host, port and a plain path without a slash at its end.
    """
    try:
        url = urlsplit(text)
        port = "" if url.port is None else f":{url.port}"
    except ValueError:
        raise ValueError("is no URL") from None
    host, path = url.netloc.removesuffix(port), url.path
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise _refused()
    if text != f"https://{host}{port}{path}" or {".", ".."} & set(path.split("/")):
        raise _refused()


def _refused() -> ValueError:
    return ValueError(
        "must be `https://`, a host in lower case and, where needed, a port and a path;"
        " no slash at the end, no user, query or fragment"
    )
