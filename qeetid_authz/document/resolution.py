"""What a document means: ids given or derived, references followed, rules checked.

An entry without an id gets a UUIDv5 under `NAMESPACE` of a text of its kind and its
natural key, so that a document means the same on every machine:

    permission:KEY    user:EMAIL    tenant:SLUG    role:SLUG/NAME    group:SLUG/NAME

E-mail, slug and role name are taken with A to Z in lower case, as they are unique in
that form; permission keys and group names are taken as they are.

A reference to a user is an id or else an e-mail in any case; a reference to a role is
a name of the same tenant, spelt exactly so.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from uuid import NAMESPACE_DNS, uuid5

from qeetid_authz.document.entries import (
    Assignment,
    Document,
    GroupEntry,
    PermissionEntry,
    RoleEntry,
    TenantEntry,
    UserEntry,
)
from qeetid_authz.document.resolved import (
    GroupRow,
    PermissionRow,
    Resolved,
    RoleRow,
    TenantRow,
    UserRow,
)
from qeetid_authz.errors import DocumentError
from qeetid_authz.ids import Id, parse_id, parse_wire_id

NAMESPACE = uuid5(NAMESPACE_DNS, "qeetid-authz")
"""The namespace of derived ids, fd1b429f-e8d7-59bd-bc47-2ffd6ae100c2."""


def resolve(document: Document) -> Resolved:
    """Follow all references of a document.

    Raises:
        DocumentError: with every problem there is: an empty or impossible text, a
            duplicate, a malformed id, an unknown or ambiguous reference.
    """
    resolver = _Resolver()
    for at, permission in enumerate(document.permissions):
        resolver.permission(f"permissions[{at}]", permission)
    for at, user in enumerate(document.users):
        resolver.user(f"users[{at}]", user)
    for at, tenant in enumerate(document.tenants):
        resolver.tenant(f"tenants[{at}]", tenant)
    if resolver.problems:
        raise DocumentError(resolver.problems)
    return resolver.resolved


def fold(text: str) -> str:
    """A to Z in lower case: what a database's `lower` does, but for a Turkish one's."""
    return text.lower() if text.isascii() else text.translate(_FOLD)


_FOLD = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")


def _derive(kind: str, natural_key: str) -> Id:
    # Half a surrogate pair is reported as a problem of its own, but must not stop
    # the search for others.
    name = f"{kind}:{natural_key}".encode("utf-8", "replace").decode()
    return uuid5(NAMESPACE, name).bytes


@dataclass(slots=True)
class _Scope:
    """The tenant whose entries are being read."""

    id: Id
    slug: str
    roles: dict[str, Id] = field(default_factory=dict)


class _Resolver:
    """Collects rows and problems while it walks through a document in order."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.resolved = Resolved()
        self._first: dict[tuple[object, ...], str] = {}
        self._permissions: dict[str, Id] = {}
        self._users: set[Id] = set()
        self._emails: dict[str, list[Id]] = {}

    def permission(self, place: str, entry: PermissionEntry) -> None:
        key, description = entry.key, entry.description
        self._possible(f"{place}.description", description)
        if self._once(("key", key), f"{place}.key", key, "keys are unique"):
            self._permission(f"{place}.key", key, description)

    def user(self, place: str, entry: UserEntry) -> None:
        self._filled(f"{place}.email", entry.email)
        self._possible(f"{place}.display_name", entry.display_name)
        email = fold(entry.email)
        rule = "e-mails are unique whatever their case, but for deleted users"
        live = entry.status != "deleted"
        if live and not self._once(("email", email), f"{place}.email", email, rule):
            return
        id_ = self._id(place, "user", email, entry.id)
        self._users.add(id_)
        self._emails.setdefault(email, []).append(id_)
        given = entry.id is not None
        row = UserRow(id_, given, entry.email, entry.display_name, entry.status)
        self.resolved.users.append(row)

    def tenant(self, place: str, entry: TenantEntry) -> None:
        self._filled(f"{place}.slug", entry.slug)
        self._possible(f"{place}.name", entry.name)
        slug = fold(entry.slug)
        rule = "slugs are unique whatever their case"
        if not self._once(("slug", slug), f"{place}.slug", slug, rule):
            return
        id_ = self._id(place, "tenant", slug, entry.id)
        given = entry.id is not None
        row = TenantRow(id_, given, entry.slug, entry.name, entry.status)
        self.resolved.tenants.append(row)
        scope = _Scope(id_, slug)
        for at, role in enumerate(entry.roles):
            self._role(f"{place}.roles[{at}]", role, scope)
        for at, group in enumerate(entry.groups):
            self._group(f"{place}.groups[{at}]", group, scope)
        for at, assignment in enumerate(entry.assignments):
            self._assignment(f"{place}.assignments[{at}]", assignment, scope)

    def _role(self, place: str, entry: RoleEntry, scope: _Scope) -> None:
        self._filled(f"{place}.name", entry.name)
        self._possible(f"{place}.description", entry.description)
        name = fold(entry.name)
        rule = "role names are unique in a tenant whatever their case"
        if not self._once((scope.id, "role", name), f"{place}.name", name, rule):
            return
        id_ = self._id(place, "role", f"{scope.slug}/{name}", entry.id)
        scope.roles[entry.name] = id_
        given = entry.id is not None
        row = RoleRow(id_, given, scope.id, entry.name, entry.description)
        self.resolved.roles.append(row)
        held = self._each(f"{place}.permissions", entry.permissions, self._permission)
        self.resolved.role_permissions.extend((id_, permission) for permission in held)

    def _group(self, place: str, entry: GroupEntry, scope: _Scope) -> None:
        self._filled(f"{place}.name", entry.name)
        id_ = self._id(place, "group", f"{scope.slug}/{entry.name}", entry.id)
        given = entry.id is not None
        self.resolved.groups.append(GroupRow(id_, given, scope.id, entry.name))
        for role in self._roles(place, entry.roles, scope):
            self.resolved.group_roles.append((scope.id, id_, role))
        for member in self._each(f"{place}.members", entry.members, self._user):
            self.resolved.group_members.append((scope.id, member, id_))

    def _assignment(self, place: str, entry: Assignment, scope: _Scope) -> None:
        user = self._user(f"{place}.user", entry.user)
        roles = list(self._roles(place, entry.roles, scope))
        rule = "put all roles of a user in a tenant into one assignment"
        key = (scope.id, "assignment", user)
        if user and self._once(key, f"{place}.user", entry.user, rule):
            self.resolved.assignments.append((scope.id, user))
            self.resolved.user_roles.extend((scope.id, user, role) for role in roles)

    def _permission(self, place: str, key: str, description: str | None = None) -> Id:
        id_ = self._permissions.get(key)
        if id_ is None:
            self._filled(place, key)
            id_ = self._permissions[key] = _derive("permission", key)
            self.resolved.permissions.append(PermissionRow(id_, key, description))
        return id_

    def _roles(self, place: str, names: Sequence[str], scope: _Scope) -> Iterator[Id]:
        def find(at: str, name: str) -> Id | None:
            id_ = scope.roles.get(name)
            if id_ is None:
                hint = _near(name, scope)
                self._problem(at, f"`{scope.slug}` has no role `{name}`{hint}")
            return id_

        return self._each(f"{place}.roles", names, find)

    def _user(self, place: str, reference: str) -> Id | None:
        found = self._find_user(reference)
        if len(found) == 1:
            return found[0]
        if found:
            self._problem(
                place, f"several users are `{reference}`; give the id instead"
            )
        else:
            self._problem(
                place, f"no user is `{reference}`; list the user under `users`"
            )
        return None

    def _find_user(self, reference: str) -> Sequence[Id]:
        id_ = parse_wire_id(reference.encode("utf-8", "replace"))
        if id_ in self._users:
            return [id_]
        return self._emails.get(fold(reference), [])

    def _each(
        self,
        place: str,
        texts: Sequence[str],
        read: Callable[[str, str], Id | None],
    ) -> Iterator[Id]:
        """What a list refers to, without what it can't find or lists twice."""
        first: dict[Id, str] = {}
        for at, text in enumerate(texts):
            where = f"{place}[{at}]"
            id_ = read(where, text)
            if id_ is None:
                continue
            if first.setdefault(id_, where) == where:
                yield id_
            else:
                self._problem(where, f"`{text}` is listed at `{first[id_]}` already")

    def _id(self, place: str, kind: str, natural: str, given: str | None) -> Id:
        id_, remedy = _derive(kind, natural), "give it an id of its own"
        if given is not None:
            try:
                id_, remedy = parse_id(given), "ids are unique"
            except ValueError as error:
                self._problem(f"{place}.id", str(error))
        first = self._first.setdefault((kind, id_), place)
        if first != place:
            self._problem(place, f"it has the same id as `{first}`; {remedy}")
        return id_

    def _once(self, key: tuple[object, ...], place: str, text: str, rule: str) -> bool:
        first = self._first.setdefault(key, place)
        if first != place:
            self._problem(place, f"`{text}` is taken by `{first}`; {rule}")
        return first == place

    def _filled(self, place: str, text: str) -> None:
        if not text:
            self._problem(place, "it is empty; write at least one character")
        self._possible(place, text)

    def _possible(self, place: str, text: str | None) -> None:
        if text and (found := _IMPOSSIBLE.search(text)):
            self._problem(place, f"no database can store {found[0]!a}; remove it")

    def _problem(self, place: str, what: str) -> None:
        self.problems.append(f"`{place}`: {what}")


def _near(name: str, scope: _Scope) -> str:
    """A hint at the role that was meant, if one is spelt much like it."""
    near = [role for role in scope.roles if fold(role) == fold(name)]
    near = near or get_close_matches(name, scope.roles, n=1, cutoff=0.8)
    return f"; did you mean `{near[0]}`?" if near else ""
