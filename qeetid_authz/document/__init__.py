"""The declarative document: permissions, users and tenants as a file says them.

    permissions: [{key, description?}]
    users:       [{email, id?, display_name?, status?}]
    tenants:
      - slug, name?, id?, status?
        roles:       [{name, permissions: [key], id?, description?}]
        groups:      [{name, roles: [role name], members: [user], id?}]
        assignments: [{user, roles: [role name]}]

A document is the input of `Authorizer.from_facts` and of the import, and the output
of the export. `qeetid_authz.document.resolution` says how ids are derived and references
followed.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, NoReturn, TypeAlias, get_args

import msgspec

from qeetid_authz.document.entries import (
    Assignment,
    Document,
    GroupEntry,
    PermissionEntry,
    RoleEntry,
    TenantEntry,
    TenantStatus,
    UserEntry,
    UserStatus,
)
from qeetid_authz.errors import DocumentError
from qeetid_authz.model import Snapshot
from qeetid_authz.document.resolution import NAMESPACE, resolve

__all__ = [
    "NAMESPACE",
    "Assignment",
    "Document",
    "Format",
    "GroupEntry",
    "PermissionEntry",
    "RoleEntry",
    "TenantEntry",
    "UserEntry",
    "decode_document",
    "document_schema",
    "encode_document",
    "read_document",
    "resolve",
    "snapshot",
]

Format: TypeAlias = Literal["json", "yaml"]
"""The two spellings of a document."""


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
        DocumentError: it is malformed, with line or position, or of another shape.
    """
    try:
        data.decode()
        if format == "json":
            return msgspec.json.decode(data, type=Document)
        return read_document(msgspec.yaml.decode(data))
    except msgspec.ValidationError as error:
        _refuse(_shape_problem(None, str(error)))
    except msgspec.DecodeError as error:
        _refuse(_syntax_problem(data, format, str(error)))
    except UnicodeDecodeError as error:
        _refuse(f"byte {error.start} is no UTF-8; save the file in UTF-8")
    except RecursionError:
        _refuse("it is nested too deeply; a document has four levels")
    except ImportError:
        _refuse("reading YAML needs PyYAML; `pip install pyyaml`, or write JSON")


def encode_document(
    document: Document,
    *,
    format: Format,  # noqa: A002 the word that the field uses
) -> bytes:
    """Write a document as a JSON or YAML file, members in the order of the schema."""
    if format == "json":
        return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    return msgspec.yaml.encode(document)


def snapshot(document: Document) -> Snapshot:
    """The facts of a document, for an engine without a database.

    Raises:
        DocumentError: it contradicts itself, as `resolve` says.
    """
    return resolve(document).snapshot()


def document_schema() -> dict[str, Any]:
    """The JSON schema of a document, published as `docs/document.schema.json`."""
    # Through JSON and back, as its default values are tuples.
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Document)))
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "qeetid-authz document", **schema}


def _refuse(problem: str) -> NoReturn:
    raise DocumentError([problem]) from None


_SHAPE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_BYTE = re.compile(r" \(byte (\d+)\)$")


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


def _syntax_problem(data: bytes, spelling: Format, message: str) -> str:
    """The decoder's complaint on one line, with the line of the file in it."""
    if spelling == "yaml":
        # Only the last complaint; those before it say what was being parsed.
        last = " ".join(" ".join(message.splitlines()[-2:]).split())
        last = last.replace('in "<byte string>",', "at")
        return f"this is no YAML: {last}"
    found = _BYTE.search(message)
    before = data[: int(found[1])] if found else data
    line = before.count(b"\n") + 1
    column = len(before) - before.rfind(b"\n")
    what = _BYTE.sub("", message).removeprefix("JSON is malformed: ")
    return f"this is no JSON: {what} at line {line}, column {column}"


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
