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

from typing import Any

import msgspec

from qeetid_authz.document.entries import (
    Assignment,
    Document,
    GroupEntry,
    PermissionEntry,
    RoleEntry,
    TenantEntry,
    UserEntry,
)
from qeetid_authz.document.reading import (
    Format,
    decode_document,
    encode_document,
    read_document,
)
from qeetid_authz.document.resolution import NAMESPACE, resolve
from qeetid_authz.model import Snapshot

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
