"""Finds what evaluations would permit.

Results are complete, in the order of their ids or names, and those of the revision at
the time of the call.
"""

from bisect import bisect_right
from collections.abc import Iterator
from heapq import merge
from itertools import groupby

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import Id, format_id, parse_id
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.authzen.judging import Judge
from qeetid_authz_server.authzen.mapping import KeyMapping
from qeetid_authz_server.authzen.messages import Action, Context, Resource


class Seeker:
    """Seeks in the facts of one authorizer."""

    def __init__(self, engine: Engine, mapping: KeyMapping, judge: Judge) -> None:
        self._engine = engine
        self._mapping = mapping
        self._judge = judge

    def subjects(
        self,
        tenant: Id,
        kind: Kind,
        action: Action,
        resource: Resource,
        context: Context,
        *,
        after: str | None = None,
    ) -> Iterator[str]:
        """The ids, canonical, of those of a kind who may do something, ascending.

        Args:
            tenant: whose.
            kind: of principal.
            action: what they would do.
            resource: to what.
            context: from where.
            after: only those whose id is greater.
        """
        keys = self._mapping.keys(action.name, resource.type, resource.id)
        found = (
            self._users(tenant, keys, after)
            if kind is Kind.USER
            else self._others(tenant, kind, keys, after)
        )
        address = context.client_ip
        for who in found:
            if address and not self._may_come_from(who, address):
                return  # nor may anybody else of the tenant
            yield who.id

    def _users(
        self, tenant: Id, keys: tuple[str, ...], after: str | None
    ) -> Iterator[Principal]:
        where, kind_of = format_id(tenant), self._engine.kind_of
        holders = (self._engine.who_can(where, key, after=after) for key in keys)
        for text, _ in groupby(merge(*holders)):
            id_ = parse_id(text)
            if kind_of(id_) is Kind.USER:
                yield Principal.of(Kind.USER, id_, tenant)

    def _others(
        self, tenant: Id, kind: Kind, keys: tuple[str, ...], after: str | None
    ) -> Iterator[Principal]:
        ids = self._engine.credentialed(tenant, kind)
        begin = 0 if after is None else bisect_right(ids, parse_id(after))
        for id_ in ids[begin:]:
            who = Principal.of(kind, id_, tenant)
            if self._judge.reason(who, keys) is Reason.GRANTED:
                yield who

    def actions(
        self, who: Principal, resource: Resource, context: Context
    ) -> list[str]:
        """The names of what somebody may do to a resource, sorted."""
        held = self._held(who, context)
        return self._mapping.actions(resource.type, resource.id, held)

    def resources(
        self, who: Principal, action: Action, type_: str, context: Context
    ) -> list[str]:
        """The ids of the resources of a type to which somebody may do it, sorted.

        Of those that a key names which a role of the tenant bundles, or which is held.
        """
        held = set(self._held(who, context))
        known = self._mapping.ids(type_, held.union(self._engine.bundled(who.tenant)))
        return sorted(
            id_
            for id_ in known
            if not held.isdisjoint(self._mapping.keys(action.name, type_, id_))
        )

    def _held(self, who: Principal, context: Context) -> list[str]:
        address = context.client_ip
        if address and not self._may_come_from(who, address):
            return []
        keys, _, _ = self._engine.holdings(who)
        return keys

    def _may_come_from(self, who: Principal, address: str) -> bool:
        return self._engine.check(who, "", address).reason is not Reason.IP_DENIED
