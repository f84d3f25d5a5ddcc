"""Users who come to hold other roles and groups.

However many they are, those who ask meanwhile are kept waiting only for as long as it
takes to put the new rows in the place of the old ones.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

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


Steps: TypeAlias = list[Any]
"""Which relation, what is held, and whether from now on: three by three, flat, since
there may be many users and the collector of garbage looks at each list."""


class Moves:
    """The moves of one set of changes.

    They are made on copies of the rows of those tenants that exist, before or after
    anything else of the changes is applied; `take_over` makes the rest.

    Attributes:
        tenants: of those who move.
        grounds: whose rows may differ: a tenant's id and a user's, one after the other.
    """

    def __init__(self, changes: Changes) -> None:
        """Read what changed; nothing moves yet."""
        self._steps: defaultdict[Id, dict[Id, Steps]] = defaultdict(dict)
        self._come: defaultdict[Id, tuple[set[Id], set[Id]]]
        self._come = defaultdict(lambda: (set(), set()))
        self._made: dict[Id, Rows] = {}
        for kind, relation in enumerate((changes.user_roles, changes.group_members)):
            for (tenant, user, held), present in relation.items():
                steps = self._steps[tenant].setdefault(user, [])
                steps += (kind, held, present)
                if present:
                    self._come[tenant][kind].add(held)
        self.tenants = self._steps.keys()
        self.grounds = [
            tenant + user for tenant, users in self._steps.items() for user in users
        ]

    def make(self, index: Index) -> None:
        """Make the moves of tenants that exist; nobody sees them yet.

        Whoever applies changes to the index may do it, on any thread, while others
        ask.
        """
        for tenant, users in self._steps.items():
            entry = index.tenants.get(tenant)
            if entry is not None and tenant not in self._made:
                self._made[tenant] = _moved(entry, users)

    def take_over(self, index: Index) -> None:
        """Let the index have the new rows."""
        for tenant in self._come:
            index.tenant(tenant)
        self.make(index)
        for tenant, rows in self._made.items():
            index.tenants[tenant].take_over(rows)
        for tenant, (roles, groups) in self._come.items():
            note_foreign(index, tenant, roles=roles, groups=groups)


def _moved(entry: Tenant, users: Mapping[Id, Steps]) -> Rows:
    rows = entry.rows.copy()
    for user, steps in users.items():
        edges = Edges(), Edges()
        for kind, held, present in zip(*[iter(steps)] * 3, strict=True):
            edges[kind].note(held, present=present)
        former = entry.profile(user, rows)
        roles, groups = (former.roles, former.groups) if former else ((), ())
        entry.move(rows, user, edges[0].onto(roles), edges[1].onto(groups))
    return rows
