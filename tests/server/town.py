"""A small database to ask about: two tenants that work, one that is closed."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from psycopg import Connection

from qeetid_authz.ids import format_id
from qeetid_authz.model import Owned
from tests.tables import Tables, named, write

KEY = "billing:write"
ODD_KEY = "a&b <c>\u2028;+%\u2029é"
UNHELD_KEY = "audit.read"


def uuid(kind: str, name: str) -> str:
    """The id of a thing by name, canonical."""
    return format_id(named(kind, name))


ACME, OTHER, CLOSED = (uuid("tenant", name) for name in ("acme", "other", "closed"))
ANN, BOB, EVE, SUE, GUS = (
    uuid("user", name) for name in ("ann", "bob", "eve", "sue", "gus")
)
NOBODY = "00000000-0000-0000-0000-000000000000"
CLERK, AUDITOR, FOREIGN_ROLE = (
    uuid("role", name) for name in ("clerk", "auditor", "foreign")
)
STAFF, ABROAD = uuid("group", "staff"), uuid("group", "abroad")


VALID = {"user_id": ANN, "tenant_id": ACME, "permission": KEY}
"""A check that is allowed."""


def town() -> Tables:
    """Ann is a clerk, directly and as staff; Bob as staff; Eve holds nothing.

    Sue is a suspended clerk. Gus is in a group that Acme doesn't own, so that Qeet
    ID's check allows him what its explanation denies.
    """
    acme, other = named("tenant", "acme"), named("tenant", "other")
    closed = named("tenant", "closed")
    users = {name: named("user", name) for name in ("ann", "bob", "eve", "sue", "gus")}
    keys = {key: named("permission", key) for key in (KEY, ODD_KEY, UNHELD_KEY)}
    clerk, auditor = named("role", "clerk"), named("role", "auditor")
    staff, abroad = named("group", "staff"), named("group", "abroad")
    return Tables(
        permissions={id_: key for key, id_ in keys.items()},
        roles={
            clerk: Owned(acme, "Clerk & <Co>"),
            auditor: Owned(acme, "Auditor"),
            named("role", "closed"): Owned(closed, "Closed"),
        },
        groups={staff: Owned(acme, "Staff"), abroad: Owned(other, "Abroad")},
        tenants={acme: "active", other: "active", closed: "suspended"},
        users=dict.fromkeys(users.values(), "active") | {users["sue"]: "suspended"},
        role_permissions={
            (clerk, keys[KEY]),
            (clerk, keys[ODD_KEY]),
            (auditor, keys[UNHELD_KEY]),
            (named("role", "closed"), keys[KEY]),
        },
        user_roles={
            (acme, users["ann"], clerk),
            (acme, users["sue"], clerk),
            (closed, users["ann"], named("role", "closed")),
        },
        group_members={
            (acme, users["ann"], staff),
            (acme, users["bob"], staff),
            (acme, users["gus"], abroad),
        },
        group_roles={(acme, staff, clerk), (acme, abroad, clerk)},
    )


def build(connection: Connection[Any]) -> None:
    """Write the town, with a key of Acme and one of the other tenant."""
    write(town(), connection)
    add_key(connection, ACME, ACME_KEY)
    add_key(connection, OTHER, OTHER_KEY)


ACME_KEY = "qk_acmeAAAA.secretsecretsecretsecretsecret01"
OTHER_KEY = "qk_otherAAA.secretsecretsecretsecretsecret02"


def argon2id(secret: str, memory: int = 8, passes: int = 1) -> str:
    """A hash as Qeet ID stores it, by default one that is cheap to verify."""
    deriving = Argon2id(
        salt=b"0123456789abcdef",
        length=32,
        iterations=passes,
        lanes=1,
        memory_cost=memory,
    )
    return deriving.derive_phc_encoded(secret.encode())


def add_key(
    connection: Connection[Any],
    tenant: str,
    key: str,
    *,
    key_hash: str | None = None,
    expires_at: datetime | str | None = None,
) -> str:
    """Insert an API key; returns its id."""
    prefix, _, secret = key.partition(".")
    row = connection.execute(
        "INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash, expires_at)"
        " VALUES (%s, 'test', %s, %s, %s) RETURNING id::text",
        (tenant, prefix, key_hash or argon2id(secret), expires_at),
    ).fetchone()
    assert row is not None
    id_: str = row[0]
    return id_


def target(**parameters: str | None) -> str:
    """A check about Ann with some parameters replaced, or left out where None."""
    given = {k: v for k, v in (VALID | parameters).items() if v is not None}
    return "/v1/check?" + "&".join(f"{k}={quote(v)}" for k, v in given.items())
