"""Where what somebody holds by itself comes from: scopes, roles, roles of groups."""

from typing import TypeAlias

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.tenant import NOWHERE
from qeetid_authz.principal import Kind

Source: TypeAlias = tuple[bool, str, str, Id, Id, int]
"""One of them, a bare tuple since an explanation makes many.

Whether it is a role of a group; the group's name and the role's, then their ids; and
the permissions that it grants, as a mask. Names and ids are empty of what it hasn't. So
they sort as paths are told: direct ones first, then by group name, role name and ids.
"""


def sources(index: Index, kind: Kind, who: bytes, wanted: int = -1) -> list[Source]:
    """The sources of one who may act, in order.

    Args:
        index: whose facts count.
        kind: as what it was named.
        who: the ids of its tenant and its own, one after the other.
        wanted: the permissions of which a source must grant any, as a mask.
    """
    tenant, subject = who[:16], who[16:32]
    if kind is Kind.USER and index.is_strict:
        kind = index.identities.kind(subject)
    if kind is Kind.USER:
        return _role_sources(index, tenant, subject, wanted)
    if kind is Kind.API_KEY:
        key = index.identities.api_keys.rows[subject]
        if key.user is not None:
            return sources(index, Kind.USER, tenant + key.user, wanted)
        return _scope_sources(index, key.scopes, wanted)
    machine = index.identities.machine(kind, subject)
    registered = _scope_sources(index, machine.scopes if machine else (), wanted)
    return registered + _role_sources(index, tenant, subject, wanted)


def _scope_sources(index: Index, scopes: tuple[str, ...], wanted: int) -> list[Source]:
    mask = index.vocabulary.mask(scopes)
    return [(False, "", "", b"", b"", mask)] if mask & wanted else []


def _role_sources(index: Index, tenant: Id, subject: Id, wanted: int) -> list[Source]:
    entry = index.tenants.get(tenant)
    profile = None if entry is None else entry.profile(subject)
    if entry is None or profile is None:
        return []
    carriers = [(False, b"", "", profile.roles)]
    for group_id in profile.groups:
        owner, name = index.groups.get(group_id, NOWHERE)
        # Qeet ID's explain joins the group's tenant, which its check doesn't.
        if owner == tenant and (bound := entry.group_roles.get(group_id)):
            carriers.append((True, group_id, name, bound))
    known, is_mirror = index.roles, not index.is_strict
    found = [
        (is_of_group, group, role.name, group_id, role_id, role.mask)
        for is_of_group, group_id, group, roles in carriers
        for role_id in roles
        if (role := known.get(role_id))
        and role.mask & wanted
        and (role.tenant == tenant or (is_mirror and role.exists))
    ]
    found.sort()
    return found
