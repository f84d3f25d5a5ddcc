"""Issuing an API key, as Qeet ID's server does (Qeet ID facts, section 6)."""

import os
import secrets
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from psycopg import Connection

from qeetid_authz.postgres.connecting import translated
from qeetid_authz.postgres.queries import load

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


def _hash(secret: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    argon2 = Argon2id(
        salt=salt, length=_HASH_BYTES, iterations=2, lanes=1, memory_cost=_MEMORY
    )
    return argon2.derive_phc_encoded(secret.encode())
