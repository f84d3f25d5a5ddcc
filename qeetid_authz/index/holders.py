"""Who holds a permission, by id: told without keeping anybody waiting."""

from collections.abc import Iterator

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.tenant import Profile


class Holders:
    """Those who may act in a tenant and hold a key by roles, as of when it was made.

    What changes later makes no difference. Only making it needs the index to stand
    still; going through a million users, of whom one holds the key, doesn't.
    """

    __slots__ = (
        "__weakref__",
        "_groups",
        "_identities",
        "_profiles",
        "_roles",
        "_rows",
        "_tenant",
    )

    def __init__(self, index: Index, tenant: Id, key: str) -> None:
        """Note what the answer depends on.

        Args:
            index: what is known.
            tenant: one that the index knows.
            key: of a permission.
        """
        entry = index.tenants[tenant]
        referred = entry.roles
        if not index.is_strict:
            referred = referred | {
                role for role, among in index.foreign_roles.items() if tenant in among
            }
        self._tenant = tenant
        self._roles = index.carriers(referred, key)
        self._groups = {id_ for id_, _ in index.carrying_groups(tenant, self._roles)}
        self._rows = entry.rows
        self._profiles = entry.numbered(self) if self._roles else ()
        self._identities = index.identities.as_of_now() if index.is_strict else None

    def after(self, id_: Id = b"") -> Iterator[Id]:
        """Those whose id is greater, ascending."""
        if not self._roles:
            return
        holding: dict[int, bool] = {}
        for ids, numbers in self._rows.leaves(id_):
            for user, number in zip(ids, numbers, strict=True):
                holds = holding.get(number)
                if holds is None:
                    holds = holding[number] = self._hold(self._profiles[number])
                if holds and self._may_act(user):
                    yield user

    def _hold(self, profile: Profile) -> bool:
        return not (
            self._roles.isdisjoint(profile.roles)
            and self._groups.isdisjoint(profile.groups)
        )

    def _may_act(self, user: Id) -> bool:
        identities = self._identities
        return identities is None or identities.may_act(self._tenant, user)
