"""Changes to permissions, and to which of them roles bundle."""

from collections.abc import Callable
from typing import NamedTuple

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.permissions import mask_of, positions
from qeetid_authz.index.tenant import NOWHERE, Role
from qeetid_authz.model import Changes


class _Move(NamedTuple):
    """A permission leaves its position, for another or for none."""

    permission: Id
    to: int | None


class Bundling:
    """One application of such changes to the masks of roles."""

    def __init__(
        self, index: Index, changes: Changes, revise_role: Callable[[Id, Role], None]
    ) -> None:
        """Prepare.

        Args:
            index: whose roles.
            changes: what may differ.
            revise_role: called with each role whose mask differs.
        """
        self._index = index
        self._changes = changes
        self._revise_role = revise_role
        self._emptied: set[Id] = set()

    def run(self) -> set[Id]:
        """Apply; the roles that lost their last permission."""
        moves = self._move_permissions()
        moved = mask_of(moves)
        for id_, role in self._index.roles.items() if moves else ():
            self._follow_moves(id_, role, role.mask & moved, moves)
        self._adopt()
        for (holder, permission), bundled in self._changes.role_permissions.items():
            key = self._index.permissions.get(permission)
            if key is None:
                self._change_orphan(holder, permission, bundled=bundled)
            else:
                self._bundle(holder, key, bundled=bundled)
        return self._emptied

    def _move_permissions(self) -> dict[int, _Move]:
        """Take over the keys; by former position, who got another key or none."""
        moves: dict[int, _Move] = {}
        index = self._index
        for id_, key in self._changes.permissions.items():
            former = index.permissions.get(id_)
            if former == key:
                continue
            to = None
            if key is None:
                index.permissions.pop(id_)
            else:
                to = index.vocabulary.add(key)
                index.permissions[id_] = key
            if former is not None:
                moves[index.vocabulary.add(former)] = _Move(id_, to)
        if self._changes.permissions:
            index.keys = set(index.permissions.values())
        return moves

    def _follow_moves(
        self, id_: Id, role: Role, gone: int, moves: dict[int, _Move]
    ) -> None:
        """Move a role's bits; a permission that is gone may be bundled still."""
        if not gone:
            return
        come = []
        for permission, to in map(moves.__getitem__, positions(gone)):
            if to is None:
                self._change_orphan(id_, permission, bundled=True)
            else:
                come.append(to)
        self._set_mask(id_, role, role.mask & ~gone | mask_of(come))

    def _adopt(self) -> None:
        """Permissions that exist by now are bundled by who bundled them before."""
        for permission in self._changes.permissions:
            key = self._index.permissions.get(permission)
            if key is not None:
                for role in self._index.orphans.pop(permission, ()):
                    self._bundle(role, key, bundled=True)

    def _change_orphan(self, role: Id, permission: Id, *, bundled: bool) -> None:
        roles = self._index.orphans.setdefault(permission, set())
        if bundled:
            roles.add(role)
        else:
            roles.discard(role)
        if not roles:
            del self._index.orphans[permission]

    def _bundle(self, id_: Id, key: str, *, bundled: bool) -> None:
        role = self._index.roles.get(id_)
        if role is None:
            if not bundled:
                return
            role = self._index.roles[id_] = Role(NOWHERE)
        bit = 1 << self._index.vocabulary.add(key)
        rest = role.mask & ~bit
        self._set_mask(id_, role, rest | bit if bundled else rest)

    def _set_mask(self, id_: Id, role: Role, mask: int) -> None:
        if mask != role.mask:
            role.mask = mask
            self._revise_role(id_, role)
            if not mask:
                self._emptied.add(id_)
