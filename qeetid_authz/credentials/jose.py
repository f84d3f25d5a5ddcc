"""How JSON and base64url are read wherever a signature depends on them: one way only."""

import json
import math
from base64 import urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Any, NoReturn

import msgspec

_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/???")


class RuleError(ValueError):
    """What breaks a rule; the text says which, as the end of a sentence."""


def encode_base64url(data: bytes) -> str:
    """Write bytes in base64url without padding (RFC 7515, section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Read base64url without padding, in its only canonical spelling.

    Raises:
        ValueError: it is anything else, or its unused last bits aren't zero.
    """
    raw = text.encode("ascii", "replace").translate(_TO_BASE64)
    raw += b"=" * (-len(raw) % 4)
    try:
        data = a2b_base64(raw)
    except Base64Error:
        data = b""
    if b2a_base64(data, newline=False) != raw:
        raise RuleError("isn't base64url without padding")
    return data


def read_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object that means the same to every reader (RFC 7493).

    Raises:
        ValueError: it isn't UTF-8, no JSON object, nested too deeply, or it has a member
            twice, a number beyond measure or half a surrogate pair; the text says
            which and quotes nothing.
    """
    try:
        value = msgspec.json.decode(data)
        # What is written again as the same bytes has no member twice.
        if type(value) is dict and msgspec.json.encode(value) == data:
            return value
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    value = _read_strictly(data)
    if not isinstance(value, dict):
        raise RuleError("isn't a JSON object")
    return value


def _read_strictly(data: bytes) -> Any:
    try:
        value = _JSON.decode(data.decode())
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except RuleError:
        raise
    except UnicodeDecodeError:
        raise RuleError("isn't UTF-8") from None
    except UnicodeEncodeError:
        raise RuleError("has half a surrogate pair") from None
    except RecursionError:
        raise RuleError("is nested too deeply") from None
    except json.JSONDecodeError:
        raise RuleError("isn't JSON") from None
    except ValueError:
        # Python's own limit on the digits of an integer.
        raise RuleError("has a number beyond measure") from None
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RuleError("has a member twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise RuleError("has a number beyond measure")
    return number


def _no_constant(_: str) -> NoReturn:
    raise RuleError("isn't JSON")


_JSON = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_finite, parse_constant=_no_constant
)
