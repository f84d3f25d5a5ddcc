"""What the official SDKs make of answers, in a model of our own.

Their requests are recorded in `recorded/`, byte for byte as each sends them, with
placeholders in braces; what they do with the answers is written down here from what
is observed of them: which are repeated and after how long, how much is read, and how
a refusal is taken apart.
"""

import json
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.server.sidecars import Reply, exchange

SDKS = ("node", "go", "python")
RETRIES = 2
SIZE_LIMIT = 1 << 20
"""Bytes of an answer that are read; the rest is cut off."""

_RECORDED = Path(__file__).parent / "recorded"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SKEW = 30  # seconds
_KEYS_KEPT, _KEYS_AGAIN = 300, 60  # seconds


class SdkError(Exception):
    """An error as an application gets it."""

    def __init__(
        self, status: int, code: str, request_id: str | None, retry_after: int
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after


@dataclass
class Sdk:
    """One SDK that was given a base URL.

    Attributes:
        name: which it is.
        base_url: of what it asks.
        key: the API key it was given.
        waits: seconds for which it waited before it asked again, without the jitter.
        replies: all that it got.
    """

    name: str
    base_url: str
    key: str
    waits: list[float] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    def call(self, recorded: str, **values: str) -> Any:
        """What a call returns.

        Raises:
            SdkError: it raises.
        """
        raw = self.recorded(recorded, **values)
        method = raw.partition(b" ")[0].decode()
        is_form = b"application/x-www-form-urlencoded" in raw
        for attempt in range(RETRIES + 1):
            reply = exchange(self.base_url, raw)
            self.replies.append(reply)
            wait = None if is_form else self._wait(method, reply, attempt)
            if wait is None or attempt == RETRIES:
                return self._read(reply)
            self.waits.append(wait)
        raise AssertionError("it ended before")

    def recorded(self, name: str, **values: str) -> bytes:
        """A recorded request, filled in."""
        text = (_RECORDED / self.name / f"{name}.http").read_text()
        head, _, body = text.partition("\n\n")
        given = {"host": "127.0.0.1:4010", "key": self.key, **values}
        body = _filled(body, {k: quote(v, safe="") for k, v in given.items()})
        given["length"] = str(len(body))
        line, _, fields = head.partition("\n")
        line = _filled(line, {k: quote(v, safe="") for k, v in given.items()})
        fields = _filled(fields, given)
        return "\r\n".join([line, *fields.split("\n"), "", body]).encode()

    def _wait(self, method: str, reply: Reply, attempt: int) -> float | None:
        """How long it waits before it asks again; None if it doesn't."""
        is_idempotent = method in ("GET", "DELETE")
        if reply.status != 429 and not (reply.status >= 500 and is_idempotent):
            return None
        after = reply.header("Retry-After")
        seconds = int(after) if after is not None and after.isdigit() else None
        if seconds is not None and (seconds > 0 or self.name == "python"):
            return seconds
        return 0.25 * (1 << attempt)

    def _read(self, reply: Reply) -> Any:
        text = reply.body[:SIZE_LIMIT]
        if reply.status == 204:
            return None
        if reply.status >= 300:
            raise self._error(reply, text)
        return json.loads(text) if text else None

    def _error(self, reply: Reply, text: bytes) -> SdkError:
        code = ""
        try:
            error = json.loads(text).get("error")
            code = error.get("code", "") if isinstance(error, dict) else ""
        except (ValueError, AttributeError):
            pass
        after = reply.header("Retry-After") or ""
        return SdkError(
            reply.status,
            code or f"http_{reply.status}",
            reply.header("X-Request-Id"),
            int(after) if after.isdigit() else 0,
        )

    # What its methods are

    def check(self, user: str, tenant: str, permission: str) -> bool:
        """`permissions.check`, `Permissions.Check`, `can`."""
        asked = {"user": user, "tenant": tenant, "permission": permission}
        allowed = self.call("check", **asked)["allowed"]
        assert isinstance(allowed, bool)
        return allowed

    def check_all(self, user: str, tenant: str, permissions: list[str]) -> bool:
        """One after another, up to the first that is denied."""
        return all(self.check(user, tenant, each) for each in permissions)

    def verify(self, token: str, scope: str | None = None) -> dict[str, Any]:
        """The guard of tokens: introspection, and a look at the scope."""
        found: dict[str, Any] = self.call("introspect", token=token)
        if not found["active"]:
            raise SdkError(401, "token_inactive", None, 0)
        if scope is not None and scope not in found.get("scope", "").split():
            raise SdkError(403, "insufficient_scope", None, 0)
        return found

    def exchange(self, token: str, client: str, secret: str) -> Any:
        """`tokenExchange`."""
        basic = b64encode(f"{client}:{secret}".encode()).decode()
        return self.call("exchange", token=token, basic=basic)


class Sessions:
    """`sessions.verify`: tokens verified by the keys that the base URL serves."""

    def __init__(self, sdk: Sdk, clock: Callable[[], float]) -> None:
        self._sdk = sdk
        self._clock = clock
        self._keys: dict[str, ec.EllipticCurvePublicKey] | None = None
        self._read_at = self._tried_at = float("-inf")

    def verify(self, token: str, *, audience: str | None = None) -> dict[str, Any]:
        """The claims of a token.

        Raises:
            SdkError: it isn't genuine, or not valid now.
        """
        head, payload, signature = token.split(".")
        header, claims = json.loads(_decoded(head)), json.loads(_decoded(payload))
        if header.get("alg") != "ES256":
            raise _invalid()
        key = self._key(header.get("kid"))
        raw = _decoded(signature)
        if len(raw) != 64:
            raise _invalid()
        r, s = (int.from_bytes(raw[at : at + 32], "big") for at in (0, 32))
        try:
            key.verify(
                encode_dss_signature(r, s),
                f"{head}.{payload}".encode(),
                ec.ECDSA(SHA256()),
            )
        except InvalidSignature:
            raise _invalid() from None
        now = self._clock()
        if not claims.get("exp") or now > claims["exp"] + _SKEW:
            raise _invalid()
        if claims.get("nbf") and now + _SKEW < claims["nbf"]:
            raise _invalid()
        aud = claims.get("aud")
        if audience is not None and audience not in (
            aud if isinstance(aud, list) else [aud]
        ):
            raise _invalid()
        assert isinstance(claims, dict)
        return claims

    def _key(self, kid: str | None) -> ec.EllipticCurvePublicKey:
        key = self._find(kid) if self._clock() - self._read_at <= _KEYS_KEPT else None
        if key is None and self._may_read():
            self._tried_at = self._clock()
            self._read()
            key = self._find(kid)
        if key is None:
            raise _invalid()
        return key

    def _may_read(self) -> bool:
        """Go reads for unknown keys once a minute; the others each time."""
        is_late = self._clock() - self._tried_at >= _KEYS_AGAIN
        return self._sdk.name != "go" or self._keys is None or is_late

    def _find(self, kid: str | None) -> ec.EllipticCurvePublicKey | None:
        if self._keys is None:
            return None
        return self._keys.get(kid) if kid else next(iter(self._keys.values()), None)

    def _read(self) -> None:
        document = self._sdk.call("keys")
        self._keys = {
            jwk["kid"]: ec.EllipticCurvePublicNumbers(
                int.from_bytes(_decoded(jwk["x"]), "big"),
                int.from_bytes(_decoded(jwk["y"]), "big"),
                ec.SECP256R1(),
            ).public_key()
            for jwk in document["keys"]
            if (jwk["kty"], jwk["crv"]) == ("EC", "P-256")
        }
        self._read_at = self._clock()


def _filled(text: str, values: dict[str, str]) -> str:
    """With what is known put in; JSON has braces of its own."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _invalid() -> SdkError:
    return SdkError(401, "invalid_token", None, 0)
