"""One tenant compiled: its roles, its groups, and who holds which of them."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TypeAlias
from weakref import WeakSet

from qeetid_authz.ids import Id
from qeetid_authz.index.permissions import Grants
from qeetid_authz.index.rows import Rows
from qeetid_authz.model import Owned

Ids: TypeAlias = tuple[Id, ...]

NOWHERE = Owned(b"", "")
"""Of a role or group without a row of its own, which other rows still refer to.

Foreign keys rule that out, but a session that replays changes for a replication peer
doesn't check them.
"""


class Role:
    """A role: whose it is, its name, and the permissions it bundles."""

    __slots__ = ("mask", "name", "tenant")

    def __init__(self, owned: Owned, mask: int = 0) -> None:
        self.tenant, self.name = owned
        self.mask = mask

    @property
    def exists(self) -> bool:
        """Whether it has a row of its own."""
        return bool(self.tenant)


class Profile:
    """All users of a tenant who hold the same roles and groups.

    Attributes:
        roles: ids of the roles they hold directly, sorted.
        groups: ids of their groups, sorted.
        number: by which rows name it.
        users: how many they are.
        grants: what roles and groups together grant them; worked out when first
            asked for, so that a change to a role costs nothing to the many profiles
            that nobody asks about.
        edition: the tenant's edition that `grants` belongs to.
        united: the tenant's `bindings` and the roles that all of these groups carried
            then, once that took long to find out.
    """

    __slots__ = ("edition", "grants", "groups", "number", "roles", "united", "users")

    def __init__(self, roles: Ids, groups: Ids, number: int) -> None:
        self.roles = roles
        self.groups = groups
        self.number = number
        self.users = 0
        self.grants: Grants | None = None
        self.edition = -1
        self.united: tuple[int, Ids] | None = None


class Tenant:
    """One tenant's users, and the roles that its groups carry.

    Attributes:
        status: `active`, `suspended` or `deleted`; None without a row of its own.
        rows: user -> number of a profile, of all who hold anything; others take their
            place, they never change.
        profiles: (roles, groups) -> profile.
        group_roles: group -> ids of the roles bound to it in this tenant, sorted.
        roles: ids of the roles that the tenant owns.
        bindings: counts the changes to which roles groups carry here, and to which
            groups count.
        edition: counts those, and the changes to what roles grant here.
    """

    __slots__ = (
        "_left",
        "_numbered",
        "_readers",
        "_unused",
        "bindings",
        "edition",
        "group_roles",
        "profiles",
        "roles",
        "rows",
        "status",
    )

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.rows = Rows()
        self.profiles: dict[tuple[Ids, Ids], Profile] = {}
        self.group_roles: dict[Id, Ids] = {}
        self.roles: set[Id] = set()
        self.bindings = self.edition = 0
        self._numbered: list[Profile] = []
        self._unused: list[int] = []
        self._left: list[int] = []
        self._readers: WeakSet[object] | None = None

    @property
    def is_void(self) -> bool:
        """Whether it neither exists nor is referred to."""
        referred = self.profiles or self.group_roles or self.roles
        return self.status is None and not referred

    def referred_roles(self, ids: set[Id]) -> set[Id]:
        """Those of some roles that anything here refers to."""
        held = chain.from_iterable(profile.roles for profile in self.profiles.values())
        bound = chain.from_iterable(self.group_roles.values())
        return ids.intersection(chain(held, bound))

    def referred_groups(self, ids: set[Id]) -> set[Id]:
        """Those of some groups that anything here refers to."""
        joined = chain.from_iterable(
            profile.groups for profile in self.profiles.values()
        )
        return ids.intersection(chain(joined, self.group_roles))

    def revise(self) -> None:
        """What roles or groups grant has changed: no grants worked out still stand."""
        self.edition += 1

    def rebind(self) -> None:
        """What groups carry has changed, or which count: no such roles still stand."""
        self.bindings += 1
        self.revise()

    def fill(self, held: Mapping[Id, tuple[Ids, Ids]]) -> None:
        """Give a tenant without rows those of its users' roles and groups."""
        self.rows = Rows.of({user: self._join(*both) for user, both in held.items()})

    def move(self, rows: Rows, user: Id, roles: Ids, groups: Ids) -> None:
        """Let a user of a copy of the rows hold these roles and groups, and no others.

        What the rows themselves say stays as it is, for who reads them meanwhile: no
        number becomes another profile's before the copy is taken over.
        """
        former = rows.get(user)
        if roles or groups:
            rows.put(user, self._join(roles, groups))
        elif former is not None:
            rows.pop(user)
        if former is not None:
            self._leave(self._numbered[former])

    def take_over(self, rows: Rows) -> None:
        """Let the rows be those of a copy in which all moves were made."""
        self.rows = rows
        if not self._readers:
            self._unused += self._left
            self._left.clear()

    def _join(self, roles: Ids, groups: Ids) -> int:
        """The number of a profile that has one user more from now on."""
        profile = self.profiles.get((roles, groups))
        if profile is None:
            number = self._unused.pop() if self._unused else len(self._numbered)
            profile = self.profiles[roles, groups] = Profile(roles, groups, number)
            self._numbered[number : number + 1] = (profile,)
        profile.users += 1
        return profile.number

    def _leave(self, profile: Profile) -> None:
        profile.users -= 1
        if not profile.users:
            del self.profiles[profile.roles, profile.groups]
            self._left.append(profile.number)

    def profile(self, user: Id, rows: Rows | None = None) -> Profile | None:
        """The profile of a user, by a copy of the rows if one is given, or None."""
        number = (self.rows if rows is None else rows).get(user)
        return None if number is None else self._numbered[number]

    def numbered(self, reader: object) -> Sequence[Profile]:
        """The profiles, each at its number.

        For as long as there is the reader, this is true of the rows that are now, also
        when others have taken their place: no number becomes another profile's.
        """
        if self._readers is None:
            self._readers = WeakSet()
        self._readers.add(reader)
        return self._numbered
