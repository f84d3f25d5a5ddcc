"""Facts to index: every fact of one revision, compiled from scratch."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from struct import iter_unpack

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.permissions import mask_of
from qeetid_authz.index.tenant import NOWHERE, Ids, Role, Tenant
from qeetid_authz.model import Changes, Packed, Semantics, Snapshot


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
    direct, members = dict(snapshot.user_roles), dict(snapshot.group_members)
    for owner in direct.keys() | members.keys():
        _fill_rows(index, owner, direct.get(owner, b""), members.get(owner, b""))
    _find_foreign(index, snapshot)
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
    identities = index.identities
    for status, users in snapshot.statuses:
        identities.users.update((user, status) for (user,) in iter_unpack("16s", users))
    identities.load(snapshot)
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
    roles, groups = _gather(direct), _gather(members)
    tenant = index.tenant(owner)
    for user in roles.keys() | groups.keys():
        tenant.place(
            user,
            roles.get(user, ()),
            groups.get(user, ()),
            may_act=index.may_act(owner, user),
        )


def _find_foreign(index: Index, snapshot: Snapshot) -> None:
    """Note the references that cross tenants, so that changes find them."""
    for relation, width in (
        (snapshot.user_roles, "16x16s"),
        (snapshot.group_roles, "16x16s"),
    ):
        for tenant, roles in _references(relation, width):
            note_foreign(index, tenant, roles=roles)
    for relation, width in (
        (snapshot.group_members, "16x16s"),
        (snapshot.group_roles, "16s16x"),
    ):
        for tenant, groups in _references(relation, width):
            note_foreign(index, tenant, groups=groups)


def _references(relation: Packed, width: str) -> Iterator[tuple[Id, set[Id]]]:
    for tenant, pairs in relation:
        yield tenant, {referred for (referred,) in iter_unpack(width, pairs)}


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
