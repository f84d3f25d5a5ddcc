"""Facts to index: every fact of one revision, compiled from scratch."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from struct import iter_unpack

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.permissions import mask_of
from qeetid_authz.index.tenant import NOWHERE, Ids, Role, Tenant
from qeetid_authz.model import Changes, Semantics, Snapshot, unpack_members


def compile_snapshot(snapshot: Snapshot, semantics: Semantics) -> Index:
    """Compile every fact of one revision."""
    index = Index(semantics)
    index.permissions = dict(snapshot.permissions)
    index.keys = set(snapshot.permissions.values())
    _bundle_permissions(index, snapshot)
    index.groups = dict(snapshot.groups)
    _identify(index, snapshot)
    for id_, status in snapshot.tenants.items():
        index.tenants[id_] = Tenant(status)
    for id_, owned in snapshot.roles.items():
        index.tenant(owned.tenant).roles.add(id_)
    for owner, pairs in snapshot.group_roles:
        index.tenant(owner).group_roles = _gather(pairs)
    direct = dict(snapshot.user_roles)
    for owner, members in snapshot.group_members:
        _fill_rows(index, owner, direct.pop(owner, b""), members)
    for owner, roles in direct.items():
        _fill_rows(index, owner, roles, b"")
    for owner, pairs in snapshot.group_roles:
        note_foreign(
            index,
            owner,
            roles=_referred(pairs, "16x16s"),
            groups=_referred(pairs, "16s16x"),
        )
    return index


def _bundle_permissions(index: Index, snapshot: Snapshot) -> None:
    bits = {id_: index.vocabulary.add(key) for id_, key in snapshot.permissions.items()}
    for id_, owned in snapshot.roles.items():
        index.roles[id_] = Role(owned)
    for id_, packed in snapshot.role_permissions:
        bundled = [permission for (permission,) in iter_unpack("16s", packed)]
        for permission in bundled:
            if permission not in bits:
                index.orphans.setdefault(permission, set()).add(id_)
        mask = mask_of(bits[each] for each in bundled if each in bits)
        if id_ in index.roles:
            index.roles[id_].mask = mask
        elif mask:
            index.roles[id_] = Role(NOWHERE, mask)


def _gather(pairs: bytes) -> dict[Id, Ids]:
    """Pairs to first -> sorted seconds, with one object for all equal seconds."""
    gathered: defaultdict[Id, list[Id]] = defaultdict(list)
    shared: dict[Id, Id] = {}
    for first, second in iter_unpack("16s16s", pairs):
        gathered[first].append(shared.setdefault(second, second))
    return {first: tuple(sorted(seconds)) for first, seconds in gathered.items()}


def _identify(index: Index, snapshot: Snapshot) -> None:
    index.identities.load(snapshot)
    note_scopes(index, snapshot)
    for id_, rule in snapshot.ip_rules.items():
        index.put_ip_rule(id_, rule)
    for tenant in snapshot.ip_enforced:
        index.ip_policy(tenant).enforced = True


def note_scopes(index: Index, facts: Snapshot | Changes) -> None:
    """Give a bit to each scope that is somebody's authority by itself."""
    unbound = (key for key in facts.api_keys.values() if key and key.user is None)
    for row in chain(facts.services.values(), facts.agents.values(), unbound):
        for scope in row.scopes if row else ():
            index.vocabulary.add(scope)


def _fill_rows(index: Index, owner: Id, direct: bytes, members: bytes) -> None:
    roles = _gather(direct)
    joined: defaultdict[Id, list[Id]] = defaultdict(list)
    groups = []
    for group, users in unpack_members(members):
        groups.append(group)
        for (user,) in iter_unpack("16s", users):
            joined[user].append(group)
    held = {user: (roles.pop(user, ()), tuple(sorted(joined[user]))) for user in joined}
    held.update((user, (directly, ())) for user, directly in roles.items())
    index.tenant(owner).fill(held)
    note_foreign(index, owner, roles=_referred(direct, "16x16s"), groups=groups)


def _referred(pairs: bytes, width: str) -> set[Id]:
    return {id_ for (id_,) in iter_unpack(width, pairs)}


def note_foreign(
    index: Index, tenant: Id, *, roles: Iterable[Id] = (), groups: Iterable[Id] = ()
) -> None:
    """Note which of the roles and groups referred to aren't the tenant's own."""
    for id_ in roles:
        role = index.roles.get(id_)
        if role is None or role.tenant != tenant:
            index.foreign_roles.setdefault(id_, set()).add(tenant)
    for id_ in groups:
        if index.groups.get(id_, NOWHERE).tenant != tenant:
            index.foreign_groups.setdefault(id_, set()).add(tenant)
