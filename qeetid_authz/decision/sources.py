"""Where what somebody holds by itself comes from: scopes, roles, roles of groups."""

from collections.abc import Iterator
from typing import NamedTuple

from qeetid_authz.ids import Id
from qeetid_authz.index.index import Index
from qeetid_authz.index.tenant import Ids, Role
from qeetid_authz.principal import Kind


class Source(NamedTuple):
    """One of them, with what it grants.

    Attributes:
        mask: the permissions that it grants.
        role: the role's name; None of scopes.
        role_id: its id, or None.
        group: the name of the group that carries the role; None when held directly.
        group_id: its id, or None.
    """

    mask: int
    role: str | None = None
    role_id: Id | None = None
    group: str | None = None
    group_id: Id | None = None


def sources(index: Index, kind: Kind, who: bytes) -> Iterator[Source]:
    """The sources of one who may act, in no order.

    Args:
        index: whose facts count.
        kind: as what it was named.
        who: the ids of its tenant and its own, one after the other.
    """
    tenant, subject = who[:16], who[16:32]
    if kind is Kind.USER and index.is_strict:
        kind = index.identities.kind(subject)
    scopes: tuple[str, ...] = ()
    if kind is Kind.API_KEY:
        key = index.identities.api_keys.rows[subject]
        if key.user is not None:
            yield from sources(index, Kind.USER, tenant + key.user)
            return
        scopes = key.scopes
    elif kind is not Kind.USER:
        machine = index.identities.machine(kind, subject)
        scopes = machine.scopes if machine else ()
    if scopes:
        yield Source(index.vocabulary.mask(scopes))
    if kind is not Kind.API_KEY:
        yield from _role_sources(index, tenant, subject)


def _role_sources(index: Index, tenant: Id, subject: Id) -> Iterator[Source]:
    profile = index.profile(tenant, subject)
    if profile is None:
        return
    for role_id, role in _existing(index, tenant, profile.roles):
        yield Source(role.mask, role.name, role_id)
    bound = index.tenants[tenant].group_roles
    for group_id, group in index.counted_groups(tenant, profile.groups):
        if group.tenant != tenant:
            continue  # Qeet ID's explain joins the group's tenant, its check doesn't
        for role_id, role in _existing(index, tenant, bound.get(group_id, ())):
            yield Source(role.mask, role.name, role_id, group.name, group_id)


def _existing(index: Index, tenant: Id, roles: Ids) -> Iterator[tuple[Id, Role]]:
    counted = index.counted_roles(tenant, roles)
    return ((id_, role) for id_, role in counted if role.exists)
