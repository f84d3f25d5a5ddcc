"""JSON as I-JSON has it (RFC 7493): what could be read in two ways isn't read at all."""

import json
import re
from collections import Counter
from math import isfinite
from typing import Any, Final, NoReturn

DEEPEST: Final = 32
"""Objects and arrays inside one another, at most."""

_WHOLE: Final = 2**53  # up to which a double tells whole numbers apart
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_object(body: bytes) -> dict[str, Any]:
    """The object that a body is.

    Raises:
        ValueError: it is none, or no I-JSON: not UTF-8, with half a surrogate pair,
            two members of one name, a number that no double can hold, something
            behind it, or nested deeper than `DEEPEST`.
    """
    try:
        value = _decoder.decode(body.decode())
    except UnicodeDecodeError:
        raise ValueError("the body isn't UTF-8") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body isn't JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("the body isn't a JSON object")  # noqa: TRY004  (a bad value)
    _require_shallow(value)
    if _SURROGATE.search(body):
        _require_whole_pairs(value)
    return value


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) != len(members):
        times = Counter(name for name, _ in members)
        (twice, _) = times.most_common(1)[0]
        raise ValueError(f"the body has a member {json.dumps(twice)} twice")
    return made


def _number(text: str) -> float | int:
    number = float(text)
    if not isfinite(number):
        raise ValueError("the body has a number that no double can hold")
    return int(number) if number.is_integer() and abs(number) <= _WHOLE else number


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"the body isn't JSON: {name} is no number")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_number,
    parse_int=_number,
    parse_constant=_no_number,
)


def _require_shallow(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"the body is nested deeper than {DEEPEST} levels")


def _require_whole_pairs(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("the body has half of a surrogate pair") from None
