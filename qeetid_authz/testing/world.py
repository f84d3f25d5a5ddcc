"""The facts of a test, by name: each is there once it is spoken of."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid5

from qeetid_authz.document import NAMESPACE, Document, read_document, resolve
from qeetid_authz.document.resolution import fold
from qeetid_authz.document.resolved import (
    GroupRow,
    PermissionRow,
    RoleRow,
    TenantRow,
    UserRow,
)
from qeetid_authz.ids import Id
from qeetid_authz.model import ACTIVE, ApiKey, Machine, Snapshot
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision


def derive(kind: str, natural_key: str) -> Id:
    """The id of something that was given none, as documents derive it."""
    return uuid5(NAMESPACE, f"{kind}:{natural_key}").bytes


class World:
    """Facts that change, free of any revision.

    Attributes:
        api_keys: by id, as `Snapshot` has them; so `services` and `agents`.
        names: what those are called, and users and tenants.
        revoked_sessions: as `Snapshot` has them.
    """

    def __init__(self, facts: Document | Mapping[str, Any]) -> None:
        """Begin with the facts of a document, which may have none.

        Raises:
            DocumentError: it breaks its rules.
        """
        self._rows = resolve(read_document(facts))
        self.api_keys: dict[Id, ApiKey] = {}
        self.services: dict[Id, Machine] = {}
        self.agents: dict[Id, Machine] = {}
        self.revoked_sessions: dict[Id, float] = {}
        self.names = {row.id: row.email for row in self._rows.users}
        self.names |= {row.id: row.slug for row in self._rows.tenants}

    def snapshot(self, revision: Revision) -> Snapshot:
        """All facts as of now."""
        return replace(
            self._rows.snapshot(),
            revision=revision,
            api_keys=dict(self.api_keys),
            services=dict(self.services),
            agents=dict(self.agents),
            revoked_sessions=dict(self.revoked_sessions),
        )

    def require(self, principal: Principal) -> None:
        """Return when there is such a principal.

        Raises:
            ValueError: nobody has been made whose ids and kind are these.
        """
        who, kind = principal.subject, principal.kind
        if kind is Kind.USER:
            there = who in {row.id for row in self._rows.users}
        else:
            there = who in (
                self.api_keys if kind is Kind.API_KEY else self.machines(kind)
            )
        if principal.tenant not in self.names or not there:
            raise ValueError(
                f"there is no {kind} `{principal.id}` in `{principal.tenant_id}`; take"
                " what `user`, `machine` or `key` gave"
            )

    def machines(self, kind: Kind) -> dict[Id, Machine]:
        """Those of a kind."""
        if kind is Kind.SERVICE:
            return self.services
        return self.agents

    def tenant(self, slug: str) -> Id:
        """The tenant of a slug."""
        for row in self._rows.tenants:
            if fold(row.slug) == fold(slug):
                return row.id
        id_ = derive("tenant", fold(slug))
        self._rows.tenants.append(TenantRow(id_, False, slug, None, None))
        self.names[id_] = slug
        return id_

    def user(self, email: str) -> Id:
        """The user of a name or an e-mail."""
        for row in self._rows.users:
            if fold(row.email) == fold(email):
                return row.id
        id_ = derive("user", fold(email))
        self._rows.users.append(UserRow(id_, False, email, None, None))
        self.names[id_] = email
        return id_

    def permissions(self, keys: Iterable[str]) -> list[Id]:
        """The permissions of keys."""
        known = {row.key: row.id for row in self._rows.permissions}
        for key in keys:
            if key not in known:
                known[key] = derive("permission", key)
                self._rows.permissions.append(PermissionRow(known[key], key))
        return [known[key] for key in keys]

    def role(self, tenant: Id, name: str) -> Id:
        """The role of a name in a tenant."""
        for row in self._rows.roles:
            if row.tenant == tenant and fold(row.name) == fold(name):
                return row.id
        id_ = derive("role", f"{fold(self.names[tenant])}/{fold(name)}")
        self._rows.roles.append(RoleRow(id_, False, tenant, name, None))
        return id_

    def roles(self, tenant: Id, names: Iterable[str]) -> list[Id]:
        """Roles that there must be.

        Raises:
            ValueError: there is none of such a name.
        """
        known = {r.name: r.id for r in self._rows.roles if r.tenant == tenant}
        return [_known("role", known, name) for name in names]

    def group(self, tenant: Id, name: str) -> Id:
        """The group of a name in a tenant."""
        for row in self._rows.groups:
            if row.tenant == tenant and row.name == name:
                return row.id
        id_ = derive("group", f"{fold(self.names[tenant])}/{name}")
        self._rows.groups.append(GroupRow(id_, False, tenant, name))
        return id_

    def groups(self, tenant: Id, names: Iterable[str]) -> list[Id]:
        """Groups that there must be; as `roles`."""
        known = {g.name: g.id for g in self._rows.groups if g.tenant == tenant}
        return [_known("group", known, name) for name in names]

    def set_permissions(self, role: Id, permissions: Iterable[Id]) -> None:
        """Have a role carry exactly these permissions."""
        rows = self._rows
        others = [each for each in rows.role_permissions if each[0] != role]
        rows.role_permissions = others + [(role, each) for each in _once(permissions)]

    def keys_of(self, role: Id) -> list[str]:
        """The keys that a role carries."""
        carried = {each for owner, each in self._rows.role_permissions if owner == role}
        return [row.key for row in self._rows.permissions if row.id in carried]

    def set_group_roles(self, tenant: Id, group: Id, roles: Iterable[Id]) -> None:
        """Have a group carry exactly these roles."""
        rows = self._rows
        others = [each for each in rows.group_roles if each[1] != group]
        rows.group_roles = others + [(tenant, group, each) for each in _once(roles)]

    def assign(self, tenant: Id, who: Id, role: Id, *, held: bool = True) -> None:
        """Give somebody a role, or take it away."""
        _put(self._rows.user_roles, (tenant, who, role), held=held)

    def place(self, tenant: Id, user: Id, group: Id, *, inside: bool = True) -> None:
        """Put a user into a group, or take it out."""
        _put(self._rows.group_members, (tenant, user, group), held=inside)

    def set_tenant_status(self, tenant: Id, status: str) -> None:
        """Have a tenant be `active` or `suspended`."""
        _alter(self._rows.tenants, tenant, status)

    def switch(self, kind: Kind, subject: Id, *, on: bool) -> None:
        """Let somebody act, or keep it from that in the way of its kind."""
        if kind is Kind.USER:
            status = ACTIVE if on else "suspended"
            _alter(self._rows.users, subject, status)
        elif kind is Kind.API_KEY:
            self.api_keys[subject] = self.api_keys[subject]._replace(revoked=not on)
        else:
            off = "disabled" if kind is Kind.SERVICE else "suspended"
            machines = self.machines(kind)
            status = ACTIVE if on else off
            machines[subject] = machines[subject]._replace(status=status)

    def machine(self, kind: Kind, tenant: Id, name: str, scopes: Iterable[str]) -> Id:
        """A service principal or an agent that is registered with scopes.

        Raises:
            ValueError: no machine is of that kind.
        """
        if kind not in (Kind.SERVICE, Kind.AGENT):
            raise ValueError(f"no machine is `{kind}`; say `service` or `agent`")
        id_ = derive(kind, f"{fold(self.names[tenant])}/{name}")
        self.permissions(scopes)
        self.names[id_] = name
        self.machines(kind)[id_] = Machine(tenant, tuple(_once(scopes)), ACTIVE)
        return id_


def _known(kind: str, known: Mapping[str, Id], name: str) -> Id:
    if name not in known:
        there = ", ".join(f"`{each}`" for each in known) or "none"
        raise ValueError(
            f"there is no {kind} `{name}`; make it with `{kind}` first (there are:"
            f" {there})"
        )
    return known[name]


def _put(rows: list[Any], row: object, *, held: bool) -> None:
    if row in rows:
        rows.remove(row)
    if held:
        rows.append(row)


def _alter(rows: list[Any], id_: Id, status: str) -> None:
    rows[:] = [e._replace(status=status) if e.id == id_ else e for e in rows]


def _once(each: Iterable[Any]) -> Iterator[Any]:
    return iter(dict.fromkeys(each))
