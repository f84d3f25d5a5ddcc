"""The shape of a declarative document: what each entry may say."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

UserStatus: TypeAlias = Literal["active", "invited", "suspended", "deleted"]
TenantStatus: TypeAlias = Literal["active", "suspended", "deleted"]

# Length and format are checked by `resolve`, which reports all problems at once
# where the decoder stops at the first; the schema announces them here.
_FILLED: dict[str, Any] = {"minLength": 1}


def _text(description: str) -> Meta:
    return Meta(description=description, extra_json_schema=_FILLED)


IdText: TypeAlias = Annotated[
    str,
    _text("A UUID with or without dashes. Absent: derived from kind and name."),
]
UserReference: TypeAlias = Annotated[
    str, _text("The id or the e-mail of a user listed under `users`.")
]
RoleReference: TypeAlias = Annotated[
    str, _text("The name of a role of the same tenant, spelt exactly so.")
]
PermissionKey: TypeAlias = Annotated[
    str, _text("A permission key, opaque and case-sensitive.")
]
Description: TypeAlias = Annotated[
    str | None, Meta(description="For people. Absent: left as it is.")
]


class _Entry(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """What all entries share: immutable, closed, and silent about absent members."""


class PermissionEntry(_Entry, frozen=True):
    """A permission; a key that a role names needs no entry of its own."""

    key: PermissionKey
    description: Description = None


class UserEntry(_Entry, frozen=True):
    """A user. Users belong to no tenant; assignments and groups place them."""

    email: Annotated[str, _text("Any text; unique whatever its case, unless deleted.")]
    id: IdText | None = None
    display_name: Annotated[
        str | None, Meta(description="For people. Absent: left as it is.")
    ] = None
    status: Annotated[
        UserStatus | None, Meta(description="Absent: left as it is, at first active.")
    ] = None


class RoleEntry(_Entry, frozen=True):
    """A role of a tenant, with exactly these permissions."""

    name: Annotated[str, _text("Unique in its tenant whatever its case.")]
    permissions: tuple[PermissionKey, ...] = ()
    id: IdText | None = None
    description: Description = None


class GroupEntry(_Entry, frozen=True):
    """A group of a tenant, with exactly these roles and members."""

    name: Annotated[str, _text("Groups of one name each need an id.")]
    roles: tuple[RoleReference, ...] = ()
    members: tuple[UserReference, ...] = ()
    id: IdText | None = None


class Assignment(_Entry, frozen=True):
    """The roles, exactly these, that a user holds in a tenant without any group."""

    user: UserReference
    roles: tuple[RoleReference, ...] = ()


class TenantEntry(_Entry, frozen=True):
    """A tenant with its roles, groups and assignments."""

    slug: Annotated[str, _text("Unique whatever its case.")]
    name: Annotated[
        str | None, Meta(description="Absent: left as it is, at first the slug.")
    ] = None
    id: IdText | None = None
    status: Annotated[
        TenantStatus | None, Meta(description="Absent: left as it is, at first active.")
    ] = None
    roles: tuple[RoleEntry, ...] = ()
    groups: tuple[GroupEntry, ...] = ()
    assignments: tuple[Assignment, ...] = ()


class Document(_Entry, frozen=True):
    """Permissions, users and tenants of a Qeet ID database, or some of them."""

    permissions: tuple[PermissionEntry, ...] = ()
    users: tuple[UserEntry, ...] = ()
    tenants: tuple[TenantEntry, ...] = ()
