"""Issuing API keys and machines, as Qeet ID's server does (Qeet ID facts, section 6)."""

import os
import secrets
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from psycopg import Connection

from qeetid_authz.postgres.connecting import translated
from qeetid_authz.postgres.queries import load
from qeetid_authz.principal import Kind

_QUERIES = load("issue")

_PREFIX_BYTES = 6
_SECRET_BYTES = 24
_SALT_BYTES = 16
_HASH_BYTES = 32
_MEMORY = 19_456  # KiB


def issue_api_key(connection: Connection[Any], tenant_id: str, name: str) -> str:
    """Give a tenant a key that neither expires nor is limited to scopes.

    Args:
        connection: to a Qeet ID database, as one who may write it.
        tenant_id: whose key it is.
        name: what people call it.

    Returns:
        The key, `qk_<prefix>.<secret>`; the database keeps only a hash of the secret.

    Raises:
        DatabaseError: the database refuses, as it does an unknown tenant.
    """
    prefix = f"qk_{secrets.token_urlsafe(_PREFIX_BYTES)}"
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    row = (tenant_id, name, prefix, _hash(secret))
    with translated():
        connection.execute(_QUERIES["insert_api_key"], row)
    return f"{prefix}.{secret}"


def register_machine(
    connection: Connection[Any],
    kind: Kind,
    tenant_id: str,
    name: str,
    scopes: Iterable[str],
) -> str:
    """Register a service principal or an agent, to which no secret belongs.

    Args:
        connection: to a Qeet ID database, as one who may write it.
        kind: `service` or `agent`.
        tenant_id: whose it is.
        name: what people call it.
        scopes: what it may.

    Returns:
        Its id.

    Raises:
        DatabaseError: the database refuses, as it does an unknown tenant.
    """
    with translated():
        inserting = _QUERIES[f"insert_{kind}"]
        cursor = connection.execute(inserting, (tenant_id, name, list(scopes)))
        ((id_,),) = cursor.fetchall()
    return str(id_)


def _hash(secret: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    argon2 = Argon2id(
        salt=salt, length=_HASH_BYTES, iterations=2, lanes=1, memory_cost=_MEMORY
    )
    return argon2.derive_phc_encoded(secret.encode())
