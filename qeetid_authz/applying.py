"""An index and changes to the index of a later revision.

Compiling the facts of a revision and applying the changes that lead to it give the
same index.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from qeetid_authz.compiler import note_foreign
from qeetid_authz.ids import Id
from qeetid_authz.index import NOWHERE, Ids, Index, Role, Tenant
from qeetid_authz.model import Changes, Owned, Triple
from qeetid_authz.permissions import mask_of


@dataclass(slots=True)
class Touched:
    """Whose answers may differ after changes.

    Attributes:
        rows: tenant and user ids, one after the other, of rows that changed.
        everyone: whether more than those rows may differ.
    """

    rows: list[bytes] = field(default_factory=list)
    everyone: bool = False


def apply_changes(index: Index, changes: Changes) -> Touched:
    """Bring an index to the revision that the changes lead to, in place."""
    return _Application(index, changes).run()


class _Application:
    """One application of changes: entities, then relations, then what they grant."""

    def __init__(self, index: Index, changes: Changes) -> None:
        self.index = index
        self.changes = changes
        self.touched = Touched()
        self.created: set[Id] = set()
        self.left: set[Id] = set()
        self.emptied: set[Id] = set()

    def run(self) -> Touched:
        self.change_tenants()
        self.change_owned()
        self.change_permissions()
        self.change_group_roles()
        self.move_users()
        self.change_statuses()
        self.forget()
        return self.touched

    def change_tenants(self) -> None:
        for id_, status in self.changes.tenants.items():
            tenant = self.index.tenants.get(id_)
            if tenant is None:
                if status is not None:
                    self.index.tenants[id_] = Tenant(status)
            elif tenant.status != status:
                tenant.status = status
                self.touched.everyone = True

    def change_owned(self) -> None:
        for id_, role in self.changes.roles.items():
            self.change_role(id_, role)
        for id_, group in self.changes.groups.items():
            self.change_group(id_, group)

    def change_role(self, id_: Id, owned: Owned | None) -> None:
        role = self.index.roles.get(id_)
        if role is None:
            if owned is None:
                return
            if id_ not in self.index.foreign:
                self.created.add(id_)
            role = self.index.roles[id_] = Role(NOWHERE)
        tenant, role.name = owned or NOWHERE
        if role.tenant == tenant:
            return
        if role.exists:
            self.leave_tenant(id_, role.tenant)
            self.index.tenant(role.tenant).roles.discard(id_)
        if owned:
            self.index.tenant(tenant).roles.add(id_)
        role.tenant = tenant
        self.revise(id_, tenant)

    def change_group(self, id_: Id, owned: Owned | None) -> None:
        group = self.index.groups.get(id_, NOWHERE)
        if owned is None:
            self.index.groups.pop(id_, None)
        else:
            self.index.groups[id_] = owned
        tenant, _ = owned or NOWHERE
        if group.tenant == tenant:
            return
        if group is not NOWHERE:
            self.leave_tenant(id_, group.tenant)
        if group is not NOWHERE or id_ in self.index.foreign:
            self.revise(id_, tenant)

    def leave_tenant(self, id_: Id, tenant: Id) -> None:
        """What refers to it there refers from now on to something foreign."""
        self.left.add(tenant)
        self.index.foreign.setdefault(id_, set()).add(tenant)
        self.revise(id_, tenant)

    def revise(self, id_: Id, owner: Id) -> None:
        """What a role or group grants may differ wherever it is referred to."""
        if id_ in self.created:
            return  # who refers to it is new as well
        for each in {owner} | self.index.foreign.get(id_, set()):
            if tenant := self.index.tenants.get(each):
                tenant.revise()
        self.touched.everyone = True

    def change_permissions(self) -> None:
        moves = self.permission_moves()
        if moves:
            for id_, role in self.index.roles.items():
                self.regrant(id_, role, moves)
        self.adopt()
        for (holder, permission), bundled in self.changes.role_permissions.items():
            key = self.index.permissions.get(permission)
            if key is None:
                self.change_orphan(holder, permission, bundled=bundled)
            else:
                self.bundle(holder, key, bundled=bundled)

    def permission_moves(self) -> dict[int, int | None]:
        """Bit positions of permissions that got another key or none."""
        moves: dict[int, int | None] = {}
        for id_, key in self.changes.permissions.items():
            former = self.index.permissions.get(id_)
            if former == key:
                continue
            position = None if key is None else self.index.vocabulary.add(key)
            if former is not None:
                moves[self.index.vocabulary.add(former)] = position
            if key is None:
                self.orphan(id_)
            else:
                self.index.permissions[id_] = key
        if self.changes.permissions:
            self.index.keys = set(self.index.permissions.values())
        return moves

    def orphan(self, permission: Id) -> None:
        """A permission is gone; roles may bundle it still."""
        position = self.index.vocabulary.add(self.index.permissions.pop(permission))
        for id_, role in self.index.roles.items():
            if role.mask >> position & 1:
                self.change_orphan(id_, permission, bundled=True)

    def change_orphan(self, role: Id, permission: Id, *, bundled: bool) -> None:
        roles = self.index.orphans.setdefault(permission, set())
        if bundled:
            roles.add(role)
        else:
            roles.discard(role)
        if not roles:
            del self.index.orphans[permission]

    def adopt(self) -> None:
        """Permissions that exist by now are bundled by who bundled them before."""
        for permission in self.changes.permissions:
            key = self.index.permissions.get(permission)
            if key is not None:
                for role in self.index.orphans.pop(permission, ()):
                    self.bundle(role, key, bundled=True)

    def bundle(self, id_: Id, key: str, *, bundled: bool) -> None:
        role = self.index.roles.get(id_)
        if role is None:
            if not bundled:
                return
            role = self.index.roles[id_] = Role(NOWHERE)
        bit = 1 << self.index.vocabulary.add(key)
        rest = role.mask & ~bit
        self.set_mask(id_, role, rest | bit if bundled else rest)

    def regrant(self, id_: Id, role: Role, moves: dict[int, int | None]) -> None:
        held = [at for at in moves if role.mask >> at & 1]
        if held:
            gone = mask_of(held)
            come = mask_of(to for at in held if (to := moves[at]) is not None)
            self.set_mask(id_, role, role.mask & ~gone | come)

    def set_mask(self, id_: Id, role: Role, mask: int) -> None:
        if mask != role.mask:
            role.mask = mask
            self.revise(id_, role.tenant)
            if not mask:
                self.emptied.add(id_)

    def change_group_roles(self) -> None:
        for (tenant_id, group, role), bound in self.changes.group_roles.items():
            if not bound and tenant_id not in self.index.tenants:
                continue
            tenant = self.index.tenant(tenant_id)
            former = tenant.group_roles.get(group, ())
            roles = _with(former, role, present=bound)
            if roles is former:
                continue
            if roles:
                tenant.group_roles[group] = roles
            else:
                tenant.group_roles.pop(group, None)
            if bound:
                note_foreign(self.index, tenant_id, (group, role))
            tenant.revise()
            self.touched.everyone = True

    def move_users(self) -> None:
        moves: defaultdict[tuple[Id, Id], list[tuple[str, Id, bool]]]
        moves = defaultdict(list)
        for kind, relation in (
            ("roles", self.changes.user_roles),
            ("groups", self.changes.group_members),
        ):
            for tenant, user, held, present in _flat(relation):
                if present or tenant in self.index.tenants:
                    moves[tenant, user].append((kind, held, present))
        for (tenant, user), edges in moves.items():
            self.move_user(tenant, user, edges)

    def move_user(
        self, tenant: Id, user: Id, edges: list[tuple[str, Id, bool]]
    ) -> None:
        entry = self.index.tenant(tenant)
        held = dict(zip(("roles", "groups"), entry.displace(user), strict=True))
        for kind, id_, present in edges:
            held[kind] = _with(held[kind], id_, present=present)
        entry.place(user, **held, may_act=self.index.may_act(user))
        note_foreign(self.index, tenant, [id_ for _, id_, present in edges if present])
        self.touched.rows.append(tenant + user)

    def change_statuses(self) -> None:
        turned = set()
        for user, status in self.changes.users.items():
            could = self.index.may_act(user)
            if status is None:
                self.index.users.pop(user, None)
            else:
                self.index.users[user] = status
            if could != self.index.may_act(user):
                turned.add(user)
        if turned:
            for id_, tenant in self.index.tenants.items():
                held = (tenant.rows.keys() & turned) | (tenant.withheld.keys() & turned)
                for user in held:
                    self.move_user(id_, user, [])

    def forget(self) -> None:
        """Let go of what is gone and not referred to any more."""
        changes = self.changes
        relations = (changes.user_roles, changes.group_members, changes.group_roles)
        stamped = {tenant for relation in relations for tenant, _, _ in relation}
        for id_ in changes.tenants.keys() | stamped | self.left:
            if id_ in self.index.tenants and self.index.tenants[id_].is_void:
                del self.index.tenants[id_]
        gone = {i for i, owned in changes.roles.items() if owned is None}
        for id_ in gone | self.emptied:
            role = self.index.roles.get(id_)
            if role and not role.exists and not role.mask:
                del self.index.roles[id_]
        gone |= {i for i, owned in changes.groups.items() if owned is None}
        self.forget_foreign(gone & self.index.foreign.keys())

    def forget_foreign(self, gone: set[Id]) -> None:
        referring = {tenant for id_ in gone for tenant in self.index.foreign[id_]}
        referred: set[Id] = set()
        for id_ in referring & self.index.tenants.keys():
            referred |= self.index.tenants[id_].referred(gone)
        for id_ in gone - referred:
            del self.index.foreign[id_]


def _flat(relation: dict[Triple, bool]) -> Iterator[tuple[Id, Id, Id, bool]]:
    for (tenant, user, held), present in relation.items():
        yield tenant, user, held, present


def _with(ids: Ids, id_: Id, *, present: bool) -> Ids:
    """Sorted ids with or without one of them."""
    if present == (id_ in ids):
        return ids
    if present:
        return tuple(sorted((*ids, id_)))
    return tuple(each for each in ids if each != id_)
