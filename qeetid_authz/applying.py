"""An index and changes to the index of a later revision.

Compiling the facts of a revision and applying the changes that lead to it give the
same index.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from qeetid_authz.compiler import note_foreign
from qeetid_authz.ids import Id
from qeetid_authz.index import Ids, Index, Role, Tenant
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

    def run(self) -> Touched:
        self.open_tenants()
        self.change_owned()
        self.change_permissions()
        self.change_group_roles()
        self.move_users()
        self.change_statuses()
        self.close_tenants()
        self.forget()
        return self.touched

    def open_tenants(self) -> None:
        for id_, status in self.changes.tenants.items():
            if status is None:
                continue
            tenant = self.index.tenants.get(id_)
            if tenant is None:
                self.index.tenants[id_] = Tenant(status)
            elif tenant.status != status:
                tenant.status = status
                self.touched.everyone = True

    def close_tenants(self) -> None:
        for id_, status in self.changes.tenants.items():
            if status is None and id_ in self.index.tenants:
                del self.index.tenants[id_]
                self.touched.everyone = True

    def change_owned(self) -> None:
        for id_, role in self.changes.roles.items():
            self.change_role(id_, role)
        for id_, group in self.changes.groups.items():
            self.change_group(id_, group)

    def change_role(self, id_: Id, owned: Owned | None) -> None:
        role = self.index.roles.get(id_)
        if role and owned and role.tenant == owned.tenant:
            role.name = owned.name
            return
        if role:
            self.leave_tenant(id_, role.tenant)
            self.index.tenants[role.tenant].roles.discard(id_)
        if owned is None:
            self.index.roles.pop(id_, None)
            return
        self.index.roles[id_] = Role(owned, role.mask if role else 0)
        self.index.tenants[owned.tenant].roles.add(id_)
        if role:
            self.revise(id_, owned.tenant)
        else:
            self.created.add(id_)

    def change_group(self, id_: Id, owned: Owned | None) -> None:
        group = self.index.groups.get(id_)
        moved = group and (owned is None or owned.tenant != group.tenant)
        if group and moved:
            self.leave_tenant(id_, group.tenant)
        if owned is None:
            self.index.groups.pop(id_, None)
            return
        self.index.groups[id_] = owned
        if moved:
            self.revise(id_, owned.tenant)

    def leave_tenant(self, id_: Id, tenant: Id) -> None:
        """What refers to it there refers from now on to something foreign."""
        self.index.foreign.setdefault(id_, set()).add(tenant)
        self.revise(id_, tenant)

    def revise(self, id_: Id, owner: Id) -> None:
        """What a role or group grants may differ wherever it is referred to."""
        for each in {owner} | self.index.foreign.get(id_, set()):
            if tenant := self.index.tenants.get(each):
                tenant.revise()
        self.touched.everyone = True

    def change_permissions(self) -> None:
        moves = self.permission_moves()
        if moves:
            for id_, role in self.index.roles.items():
                self.regrant(id_, role, moves)
        for (id_, permission), granted in self.changes.role_permissions.items():
            bundle = self.index.roles.get(id_)
            key = self.index.permissions.get(permission)
            if bundle and key is not None:
                bit = 1 << self.index.vocabulary.add(key)
                rest = bundle.mask & ~bit
                self.set_mask(id_, bundle, rest | bit if granted else rest)

    def permission_moves(self) -> dict[int, int | None]:
        """Bit positions of permissions that got another key or none."""
        moves: dict[int, int | None] = {}
        vocabulary = self.index.vocabulary
        for id_, key in self.changes.permissions.items():
            former = self.index.permissions.get(id_)
            if former is not None and former != key:
                moves[vocabulary.add(former)] = (
                    None if key is None else vocabulary.add(key)
                )
            if key is None:
                self.index.permissions.pop(id_, None)
            else:
                vocabulary.add(key)
                self.index.permissions[id_] = key
        if self.changes.permissions:
            self.index.keys = set(self.index.permissions.values())
        return moves

    def regrant(self, id_: Id, role: Role, moves: dict[int, int | None]) -> None:
        held = [at for at in moves if role.mask >> at & 1]
        if held:
            gone = mask_of(held)
            come = mask_of(to for at in held if (to := moves[at]) is not None)
            self.set_mask(id_, role, role.mask & ~gone | come)

    def set_mask(self, id_: Id, role: Role, mask: int) -> None:
        if mask != role.mask:
            role.mask = mask
            if id_ not in self.created:
                self.revise(id_, role.tenant)

    def change_group_roles(self) -> None:
        for (tenant_id, group, role), bound in self.changes.group_roles.items():
            tenant = self.index.tenants.get(tenant_id)
            if tenant is None:
                continue
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
                if tenant in self.index.tenants:
                    moves[tenant, user].append((kind, held, present))
        for (tenant, user), edges in moves.items():
            self.move_user(tenant, user, edges)

    def move_user(
        self, tenant: Id, user: Id, edges: list[tuple[str, Id, bool]]
    ) -> None:
        entry = self.index.tenants[tenant]
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
        """Nothing refers any more to roles and groups that are gone."""
        for changed in (self.changes.roles, self.changes.groups):
            for id_, owned in changed.items():
                if owned is None:
                    self.index.foreign.pop(id_, None)


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
