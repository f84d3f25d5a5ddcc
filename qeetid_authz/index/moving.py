"""Users who come to hold other roles and groups.

However many they are, those who ask meanwhile are kept waiting only for as long as it
takes to put the new rows in the place of the old ones.
"""

from collections import defaultdict
from collections.abc import Mapping

from qeetid_authz.ids import Id
from qeetid_authz.index.compiler import note_foreign
from qeetid_authz.index.index import Index
from qeetid_authz.index.rows import Rows
from qeetid_authz.index.tenant import Ids, Tenant
from qeetid_authz.model import Changes


class Edges:
    """What one holder got and lost."""

    __slots__ = ("come", "gone")

    def __init__(self) -> None:
        self.come: set[Id] = set()
        self.gone: set[Id] = set()

    def note(self, id_: Id, *, present: bool) -> None:
        """Note that it has something from now on, or hasn't."""
        (self.come if present else self.gone).add(id_)

    def onto(self, ids: Ids) -> Ids:
        """Sorted ids with what came and without what went."""
        if self.gone.isdisjoint(ids) and self.come.issubset(ids):
            return ids
        return tuple(sorted(self.come.union(ids) - self.gone))


class Moves:
    """The moves of one set of changes.

    They are made on copies of the rows of those tenants that exist, before or after
    anything else of the changes is applied; `take_over` makes the rest.
    """

    def __init__(self, changes: Changes) -> None:
        """Read what changed; nothing moves yet."""
        self._edges: defaultdict[Id, defaultdict[Id, tuple[Edges, Edges]]]
        self._edges = defaultdict(lambda: defaultdict(lambda: (Edges(), Edges())))
        self._made: dict[Id, Rows] = {}
        for kind, relation in enumerate((changes.user_roles, changes.group_members)):
            for (tenant, user, held), present in relation.items():
                self._edges[tenant][user][kind].note(held, present=present)

    def make(self, index: Index) -> None:
        """Make the moves of tenants that exist; nobody sees them yet.

        Whoever applies changes to the index may do it, on any thread, while others
        ask.
        """
        for tenant, users in self._edges.items():
            entry = index.tenants.get(tenant)
            if entry is not None and tenant not in self._made:
                self._made[tenant] = _moved(entry, users)

    def take_over(self, index: Index) -> list[bytes]:
        """Let the index have the new rows.

        Returns:
            Whose rows they are: a tenant's id and a user's, one after the other.
        """
        come = {tenant: _come(users) for tenant, users in self._edges.items()}
        for tenant, held in come.items():
            if any(held):
                index.tenant(tenant)
        self.make(index)
        grounds = []
        for tenant, rows in self._made.items():
            index.tenants[tenant].take_over(rows)
            roles, groups = come[tenant]
            note_foreign(index, tenant, roles=roles, groups=groups)
            grounds += [tenant + user for user in self._edges[tenant]]
        return grounds


def _come(users: Mapping[Id, tuple[Edges, Edges]]) -> tuple[set[Id], set[Id]]:
    """The roles and the groups that any of them got."""
    roles, groups = set[Id](), set[Id]()
    for of_roles, of_groups in users.values():
        roles |= of_roles.come
        groups |= of_groups.come
    return roles, groups


def _moved(entry: Tenant, users: Mapping[Id, tuple[Edges, Edges]]) -> Rows:
    rows = entry.rows.copy()
    for user, (roles, groups) in users.items():
        held = entry.profile(user, rows)
        held_roles, held_groups = (held.roles, held.groups) if held else ((), ())
        entry.move(rows, user, roles.onto(held_roles), groups.onto(held_groups))
    return rows
