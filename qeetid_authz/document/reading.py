"""Reading a document, with a complaint that says where and what, and writing one."""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NoReturn, TypeAlias, get_args

import msgspec

from qeetid_authz.document.entries import Document, TenantStatus, UserStatus
from qeetid_authz.errors import DocumentError

Format: TypeAlias = Literal["json", "yaml"]
"""The two spellings of a document."""

_DEEPEST = 100  # levels of nesting; a document has six


def read_document(source: Mapping[str, Any] | Document) -> Document:
    """Read a document from mappings, sequences and strings.

    Raises:
        DocumentError: it has another shape; the problem names the place, such as
            `tenants[0].roles[1].permissions[2]`.
    """
    if isinstance(source, Document):
        return source
    try:
        return msgspec.convert(source, Document)
    except msgspec.ValidationError as error:
        _refuse(_shape_problem(source, str(error)))


def decode_document(
    data: bytes,
    *,
    format: Format,  # noqa: A002 the word that the field uses
) -> Document:
    """Read a document from the bytes of a JSON or YAML file.

    Raises:
        DocumentError: it is malformed, with line and column, or says a key twice, or
            has another shape.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(f"byte {error.start} is no UTF-8; save the file in UTF-8")
    try:
        return read_document(_from_json(text) if format == "json" else _from_yaml(text))
    except RecursionError:
        _refuse(f"it is nested more than {_DEEPEST} levels deep; a document has six")


def encode_document(
    document: Document,
    *,
    format: Format,  # noqa: A002 the word that the field uses
) -> bytes:
    """Write a document as a JSON or YAML file, members in the order of the schema."""
    if format == "json":
        return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    return msgspec.yaml.encode(document)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        _refuse(
            f"this is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        )
    except ValueError:  # Python reads no number of more digits
        _refuse("a number has thousands of digits; a document has no numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        _refuse(f"key `{twice}` stands twice in one object; join the two")
    return members


def _from_yaml(text: str) -> Any:
    try:
        from qeetid_authz.document import yaml  # noqa: PLC0415  (imports PyYAML)
    except ImportError:
        _refuse("reading YAML needs PyYAML; `pip install pyyaml`, or write JSON")
    return yaml.load(text, deepest=_DEEPEST)


def _refuse(problem: str) -> NoReturn:
    raise DocumentError([problem]) from None


_SHAPE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)


def _shape_problem(source: object, message: str) -> str:
    # No document can nest without end, so a cycle never passes the decoder, and
    # need be looked for only when something is wrong.
    cycle = _find_cycle(source)
    if cycle is not None:
        return f"`{cycle}` contains itself, a cycle of references; write it out instead"
    found = _SHAPE.fullmatch(message)
    what, place = (found["what"], found["place"]) if found else (message, None)
    if what.startswith("Invalid enum value"):
        known = TenantStatus if (place or "").startswith("tenants") else UserStatus
        what += f", use one of {', '.join(get_args(known))}"
    return f"`{place or 'document'}`: {what[:1].lower()}{what[1:]}"


def _find_cycle(source: object) -> str | None:
    """The place of a container that contains itself, however far down."""
    open_: set[int] = set()
    closed: set[int] = set()
    stack: list[tuple[object, str, bool]] = [(source, "", False)]
    while stack:
        node, place, leaving = stack.pop()
        if leaving:
            open_.discard(id(node))
            closed.add(id(node))
        elif id(node) in open_:
            return place or "document"
        elif id(node) not in closed and (inside := _children(node, place)):
            open_.add(id(node))
            stack.append((node, place, True))
            stack.extend((child, at, False) for child, at in inside)
    return None


def _children(node: object, place: str) -> list[tuple[object, str]]:
    if isinstance(node, Mapping):
        return [(v, f"{place}.{k}".lstrip(".")) for k, v in node.items()]
    if isinstance(node, list | tuple):
        return [(item, f"{place}[{at}]") for at, item in enumerate(node)]
    return []
