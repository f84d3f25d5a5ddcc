"""An endpoint that serves an issuer's public keys.

They come from the URL that the operator gave, or not at all.
"""

from base64 import b64encode
from dataclasses import dataclass
from threading import Lock
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit
from urllib.request import Request

from qeetid_authz.credentials.keyfetch import OK, SIZE_LIMIT, Exchange
from qeetid_authz.errors import KeysUnavailableError

_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source held when it was read.

    Attributes:
        data: a JWKS or PEM, not looked into yet.
        fresh_for: seconds for which it needn't be read again, as the source says;
            None if it says nothing.
    """

    data: bytes
    fresh_for: float | None = None


def within_limit(data: bytes, name: str) -> bytes:
    """The data, read one byte beyond the limit; KeysUnavailableError if it got there."""
    if len(data) > SIZE_LIMIT:
        raise KeysUnavailableError(f"{name} holds more than {SIZE_LIMIT} bytes")
    return data


class KeyEndpoint:
    """An `http:` or `https:` URL that serves keys.

    A user and password in the URL are sent as Basic credentials (RFC 7617); messages
    show neither them nor the query.
    """

    def __init__(self, url: str) -> None:
        """Take the URL apart; ValueError if it is none."""
        parts = _split(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
        self.name = f"the key endpoint `{bare._replace(query='').geturl()}`"
        self._url = bare.geturl()
        self._headers = {
            "Accept": "application/json",
            "User-Agent": "qeetid-authz",
            **_authorization(parts),
        }
        self._lock = Lock()
        self._aborted = False
        self._exchange: Exchange | None = None

    def read(self) -> Fetched:
        """What it serves now.

        Raises:
            KeysUnavailableError: it doesn't serve, and why.
        """
        request = Request(self._url, headers=self._headers)  # noqa: S310  (HTTP only)
        with self._lock:
            if self._aborted:
                raise KeysUnavailableError(f"{self.name} isn't asked any more")
            self._exchange = exchange = Exchange(request, self.name)
        try:
            reply = exchange.result()
        finally:
            self._exchange = None
        if reply.status in _REDIRECTS:
            raise KeysUnavailableError(
                f"{self.name} answered with a redirect ({reply.status}), which isn't"
                " followed; give the address that it leads to"
            )
        if reply.status != OK:
            raise KeysUnavailableError(f"{self.name} answered {reply.status}")
        data = within_limit(reply.body, self.name)
        return Fetched(data, _freshness(reply.cache_control))

    def abort(self) -> None:
        """End a read that is under way, and begin none any more."""
        with self._lock:
            self._aborted = True
            exchange = self._exchange
        if exchange is not None:
            exchange.cut()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # An `@` behind a slash may be that of a password with a slash in it.
        has_path = "@" not in parts.path
        understood = bool(parts.hostname) and parts.port != 0 and has_path
    except ValueError:
        understood = False
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in {"", "http", "https"}:
        raise ValueError(
            "keys come from an `http:` or `https:` URL, from PEM or from a path, and"
            f" not from a URL of `{parts.scheme}:`"
        )
    if not understood or not parts.scheme or not url.isascii() or " " in url:
        raise ValueError(  # it may hold a password, and isn't quoted
            "the URL of the key endpoint can't be understood; percent-encode what isn't"
            " plain ASCII, also in a user or password"
        )
    return parts


def _authorization(parts: SplitResult) -> dict[str, str]:
    userinfo, at, _ = parts.netloc.rpartition("@")
    if not at:
        return {}
    user, _, password = userinfo.partition(":")
    pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return {"Authorization": f"Basic {b64encode(pair).decode()}"}


def _freshness(cache_control: str) -> float | None:
    """Seconds, as the header says (RFC 9111, section 5.2.2)."""
    directives = dict(
        each.strip().lower().partition("=")[::2] for each in cache_control.split(",")
    )
    if directives.keys() & {"no-store", "no-cache"}:
        return 0.0
    max_age = directives.get("max-age", "").strip('"')
    return float(max_age) if max_age.isascii() and max_age.isdigit() else None
