"""An index to the facts that it was compiled from, while it goes on changing."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.tenant import Tenant
from qeetid_authz.model import Owned, Packed, Snapshot
from qeetid_authz.revision import Revision


class Facts:
    """What an index knew when this was made.

    Making one takes as long as there are roles, groups, tenants and machines, and no
    change may be applied meanwhile. Reading it takes as long as there are users, and
    nobody has to wait for that.
    """

    __slots__ = ("__weakref__", "_snapshot", "_tenants", "_users")

    def __init__(self, index: Index, lock: AbstractContextManager[object]) -> None:
        """Note what is known.

        Args:
            index: all of it.
            lock: held for a moment for each tenant; readers hold it as well.
        """
        self._tenants = []
        for id_, tenant in index.tenants.items():
            with lock:
                self._tenants.append((id_, tenant.rows, tenant.numbered(self)))
        self._users = index.identities.users.copy()
        self._snapshot = _facts_but_of_users(index)

    def snapshot(self, revision: Revision) -> Snapshot:
        """All of it, as of a revision; to be asked for once.

        `compile_snapshot` makes an index of it that says the same.
        """
        snapshot = self._snapshot
        snapshot.revision = revision
        snapshot.statuses = self._statuses()
        direct: Packed = []
        members: Packed = []
        for id_, rows, profiles in self._tenants:
            held = bytearray()
            joined: defaultdict[Id, bytearray] = defaultdict(bytearray)
            for user, number in rows.items():
                profile = profiles[number]
                for role in profile.roles:
                    held += user + role
                for group in profile.groups:
                    joined[group] += user
            if held:
                direct.append((id_, bytes(held)))
            if joined:
                members.append((id_, b"".join(_blocks(joined))))
        snapshot.user_roles, snapshot.group_members = direct, members
        return snapshot

    def _statuses(self) -> list[tuple[str, bytes]]:
        """Users by status, in runs that ascend."""
        runs: defaultdict[str, bytearray] = defaultdict(bytearray)
        for user, status in self._users.items():
            runs[status] += user
        return [(status, bytes(run)) for status, run in runs.items()]


def _facts_but_of_users(index: Index) -> Snapshot:
    known = index.identities
    return Snapshot(
        Revision("", 0, 0),
        permissions=index.permissions.copy(),
        roles={
            id_: Owned(role.tenant, role.name)
            for id_, role in index.roles.items()
            if role.exists
        },
        groups=index.groups.copy(),
        tenants={
            id_: tenant.status
            for id_, tenant in index.tenants.items()
            if tenant.status is not None
        },
        role_permissions=_bundles(index),
        group_roles=[
            (id_, _bindings(tenant))
            for id_, tenant in index.tenants.items()
            if tenant.group_roles
        ],
        api_keys=known.api_keys.rows.copy(),
        services=known.services.rows.copy(),
        agents=known.agents.rows.copy(),
        revoked_sessions=known.revoked_sessions.copy(),
        session_memory=known.session_memory,
        clients=known.clients.rows.copy(),
        ip_rules={
            id_: index.ip_policies[tenant].rules[id_]
            for id_, tenant in index.ip_rule_tenants.items()
        },
        ip_enforced={id_ for id_, ip in index.ip_policies.items() if ip.enforced},
    )


def _bundles(index: Index) -> Packed:
    """For each role a run of its permissions, those that don't exist among them."""
    named = {key: id_ for id_, key in index.permissions.items()}
    bundles: defaultdict[Id, bytearray] = defaultdict(bytearray)
    for id_, role in index.roles.items():
        for key in index.vocabulary.keys(role.mask):
            bundles[id_] += named[key]
    for permission, roles in index.orphans.items():
        for id_ in roles:
            bundles[id_] += permission
    return [(id_, bytes(run)) for id_, run in bundles.items()]


def _bindings(tenant: Tenant) -> bytes:
    return b"".join(
        group + role for group, roles in tenant.group_roles.items() for role in roles
    )


def _blocks(joined: dict[Id, bytearray]) -> Iterator[bytes]:
    """A block for each group, as `pack_members` makes it."""
    for group, users in joined.items():
        yield group + (len(users) // 16).to_bytes(4, "big") + bytes(users)
