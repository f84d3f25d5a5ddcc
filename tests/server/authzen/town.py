"""A library: readers in a group, an editor, machines, and a tenant beside it."""

from typing import Any

from psycopg import Connection

from qeetid_authz.ids import format_id
from qeetid_authz.model import ApiKey, Machine, Owned
from tests.server.town import ACME, ACME_KEY, OTHER, OTHER_KEY, add_key, uuid
from tests.tables import Tables, named, write

READERS = sorted(uuid("user", f"reader {n}") for n in range(7))
EDITOR, GUEST, STRANGER = (
    uuid("user", name) for name in ("editor", "guest", "stranger")
)
BINDER, CRAWLER, KEY_OF_NOBODY = (
    uuid("service", "binder"),
    uuid("agent", "crawler"),
    uuid("api key", "of nobody"),
)
KEYS = ["book:read", "book:write", "book:7:read", "book:8:read", "book:8:write"]
OTHERS_KEY = "book:secret-merger:read"


def library() -> Tables:
    """Readers read books; the editor writes them too; the guest reads 7, writes 8.

    The binder is registered to write and the crawler, who is a reader, for nothing;
    a key of nobody's reads 8. What the other tenant has is none of Acme's business.
    """
    acme, other = named("tenant", "acme"), named("tenant", "other")
    keys = {key: named("permission", key) for key in (*KEYS, OTHERS_KEY)}
    reader, writer, guest, merger = (
        named("role", name) for name in ("reader", "writer", "guest", "merger")
    )
    readers, editor, guest_, stranger, crawler = (
        named("group", "readers"),
        *(named("user", name) for name in ("editor", "guest", "stranger")),
        named("agent", "crawler"),
    )
    people = [named("user", f"reader {n}") for n in range(7)]
    return Tables(
        permissions={id_: key for key, id_ in keys.items()},
        roles={
            reader: Owned(acme, "Reader"),
            writer: Owned(acme, "Writer"),
            guest: Owned(acme, "Guest"),
            merger: Owned(other, "Merger"),
        },
        groups={readers: Owned(acme, "Readers")},
        tenants={acme: "active", other: "active"},
        users=dict.fromkeys([*people, editor, guest_, stranger], "active"),
        role_permissions={
            (reader, keys["book:read"]),
            (writer, keys["book:read"]),
            (writer, keys["book:write"]),
            (guest, keys["book:7:read"]),
            (guest, keys["book:8:write"]),
            (merger, keys[OTHERS_KEY]),
        },
        user_roles={
            (acme, editor, writer),
            (acme, guest_, guest),
            (acme, crawler, reader),
            (other, stranger, merger),
        },
        group_members={(acme, each, readers) for each in [*people, editor]},
        group_roles={(acme, readers, reader)},
        services={named("service", "binder"): Machine(acme, ("book:write",), "active")},
        agents={crawler: Machine(acme, (), "active")},
        api_keys={
            named("api key", "of nobody"): ApiKey(
                acme, None, "nobodyAA", "x", ("book:8:read",), None, revoked=False
            )
        },
    )


def build(connection: Connection[Any]) -> None:
    """Write the library, with a key of Acme and one of the other tenant."""
    write(library(), connection)
    add_key(connection, ACME, ACME_KEY)
    add_key(connection, OTHER, OTHER_KEY)


def email(user: str) -> str:
    """The e-mail of a user of the library."""
    return f"{user.replace('-', '')}@x.test"


assert EDITOR == format_id(named("user", "editor"))
