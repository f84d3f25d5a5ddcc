"""An index and changes to the index of a later revision.

Compiling the facts of a revision and applying the changes that lead to it give the
same index.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from qeetid_authz.ids import Id
from qeetid_authz.index.bundling import Bundling
from qeetid_authz.index.compiler import note_foreign, note_scopes
from qeetid_authz.index.index import Index
from qeetid_authz.index.moving import Edges, Moves
from qeetid_authz.index.tenant import NOWHERE, Role, Tenant
from qeetid_authz.model import Changes, Owned


@dataclass(slots=True)
class Touched:
    """Whose answers may differ after changes.

    Attributes:
        grounds: what answers rest on that changed: a tenant's id and that of a user,
            a machine or an API key, one after the other, or the id of a session.
        everyone: whether more than what rests on those may differ.
    """

    grounds: list[bytes] = field(default_factory=list)
    everyone: bool = False


def apply_changes(
    index: Index, changes: Changes, now: float = inf, moves: Moves | None = None
) -> Touched:
    """Bring an index to the revision that the changes lead to, in place.

    Args:
        index: the index.
        changes: what may differ.
        now: seconds since the Unix epoch; revocations are forgotten by no later time.
        moves: those of the changes, if some were made before.
    """
    return _Application(index, changes, now, moves or Moves(changes)).run()


class _Application:
    """One application of changes: entities, then relations, then what they grant."""

    def __init__(
        self, index: Index, changes: Changes, now: float, moves: Moves
    ) -> None:
        self.index = index
        self.changes = changes
        self.now = now
        self.moves = moves
        self.touched = Touched()
        self.created: set[Id] = set()
        self.left: set[Id] = set()

    def run(self) -> Touched:
        self.change_tenants()
        self.change_owned()
        bundling = Bundling(self.index, self.changes, self.revise_role)
        emptied = bundling.run()
        self.change_group_roles()
        self.moves.take_over(self.index)
        self.touched.grounds += self.moves.grounds
        self.change_identities()
        self.change_ip_rules()
        self.forget(emptied)
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
        foreign = self.index.foreign_roles
        if role is None:
            if owned is None:
                return
            if id_ not in foreign:
                self.created.add(id_)
            role = self.index.roles[id_] = Role(NOWHERE)
        tenant, role.name = owned or NOWHERE
        if role.tenant == tenant:
            return
        if role.exists:
            self.leave_tenant(foreign, id_, role.tenant)
            self.index.tenant(role.tenant).roles.discard(id_)
        if owned:
            self.index.tenant(tenant).roles.add(id_)
        role.tenant = tenant
        self.revise_role(id_, role)

    def change_group(self, id_: Id, owned: Owned | None) -> None:
        group = self.index.groups.get(id_, NOWHERE)
        foreign = self.index.foreign_groups
        if owned is None:
            self.index.groups.pop(id_, None)
        else:
            self.index.groups[id_] = owned
        tenant, _ = owned or NOWHERE
        if group.tenant == tenant:
            return
        if group is not NOWHERE:
            self.leave_tenant(foreign, id_, group.tenant)
        if group is not NOWHERE or id_ in foreign:
            self.revise(Tenant.rebind, tenant, *foreign.get(id_, ()))

    def leave_tenant(self, foreign: dict[Id, set[Id]], id_: Id, tenant: Id) -> None:
        """What refers to it there refers from now on to something foreign."""
        self.left.add(tenant)
        foreign.setdefault(id_, set()).add(tenant)

    def revise_role(self, id_: Id, role: Role) -> None:
        """What a role grants may differ wherever it is referred to."""
        if id_ not in self.created:  # who refers to a new one is new as well
            foreign = self.index.foreign_roles.get(id_, ())
            self.revise(Tenant.revise, role.tenant, *foreign)

    def revise(self, how: Callable[[Tenant], None], *tenants: Id) -> None:
        for id_ in tenants:
            if tenant := self.index.tenants.get(id_):
                how(tenant)
        self.touched.everyone = True

    def change_group_roles(self) -> None:
        bindings: defaultdict[tuple[Id, Id], Edges] = defaultdict(Edges)
        for (tenant, group, role), bound in self.changes.group_roles.items():
            bindings[tenant, group].note(role, present=bound)
        for (tenant, group), edges in bindings.items():
            self.bind(tenant, group, edges)

    def bind(self, tenant_id: Id, group: Id, edges: Edges) -> None:
        if not edges.come and tenant_id not in self.index.tenants:
            return
        tenant = self.index.tenant(tenant_id)
        former = tenant.group_roles.get(group, ())
        roles = edges.onto(former)
        if roles == former:
            return
        if roles:
            tenant.group_roles[group] = roles
        else:
            del tenant.group_roles[group]
        note_foreign(self.index, tenant_id, roles=edges.come)
        if edges.come:
            note_foreign(self.index, tenant_id, groups=(group,))
        self.revise(Tenant.rebind, tenant_id)

    def change_identities(self) -> None:
        note_scopes(self.index, self.changes)
        turned: set[Id] = set()
        for each in self.index.identities.change(self.changes, self.now):
            if each.holds:
                turned.add(each.id)
            else:
                self.touched.grounds.append(each.id)
            self.touched.grounds += [tenant + each.id for tenant in each.tenants]
        if turned and self.index.is_strict:
            for id_, tenant in self.index.tenants.items():
                for subject in filter(tenant.rows.__contains__, turned):
                    self.touched.grounds.append(id_ + subject)

    def change_ip_rules(self) -> None:
        touched = set(self.changes.ip_enforced)
        for tenant, enforced in self.changes.ip_enforced.items():
            self.index.ip_policy(tenant).enforced = enforced
        for id_, rule in self.changes.ip_rules.items():
            former = self.index.ip_rule_tenants.pop(id_, None)
            if former is not None:
                self.index.ip_policy(former).put(id_, None)
                touched.add(former)
            if rule is not None:
                self.index.put_ip_rule(id_, rule)
        for tenant in touched:
            if self.index.ip_policy(tenant).is_void:
                del self.index.ip_policies[tenant]

    def forget(self, emptied: set[Id]) -> None:
        """Let go of what is gone and not referred to any more."""
        changes = self.changes
        stamped = {tenant for tenant, _, _ in changes.group_roles}
        for id_ in changes.tenants.keys() | stamped | self.moves.tenants | self.left:
            if id_ in self.index.tenants and self.index.tenants[id_].is_void:
                del self.index.tenants[id_]
        gone = {i for i, owned in changes.roles.items() if owned is None}
        for id_ in gone | emptied:
            role = self.index.roles.get(id_)
            if role and not role.exists and not role.mask:
                del self.index.roles[id_]
        self.forget_foreign(self.index.foreign_roles, gone, Tenant.referred_roles)
        gone = {i for i, owned in changes.groups.items() if owned is None}
        self.forget_foreign(self.index.foreign_groups, gone, Tenant.referred_groups)

    def forget_foreign(
        self,
        foreign: dict[Id, set[Id]],
        gone: set[Id],
        find_referred: Callable[[Tenant, set[Id]], set[Id]],
    ) -> None:
        gone &= foreign.keys()
        referring = {tenant for id_ in gone for tenant in foreign[id_]}
        referred: set[Id] = set()
        for id_ in referring & self.index.tenants.keys():
            referred |= find_referred(self.index.tenants[id_], gone)
        for id_ in gone - referred:
            del foreign[id_]
