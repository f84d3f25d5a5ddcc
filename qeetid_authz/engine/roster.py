"""Who there is at the current revision, for those who tell credentials apart."""

from functools import reduce
from operator import or_
from typing import Unpack

from qeetid_authz.decision.reasons import Reason
from qeetid_authz.decision.standing import obstacle
from qeetid_authz.engine.published import Published
from qeetid_authz.ids import Id, parse_id
from qeetid_authz.model import ApiKey, Machine, OidcClient
from qeetid_authz.principal import Bounds, Kind, Principal


class Roster(Published):
    """Looks up principals and credentials in the published index, from any thread."""

    def principal_for(
        self, subject_id: str, tenant_id: str, **bounds: Unpack[Bounds]
    ) -> Principal:
        """The principal of an id, of whichever kind it is known to be.

        For who authenticates by itself, and for tests. An id that nobody has is
        taken for a user's, who may nothing.

        Raises:
            TypeError: an id is no string, or the limit a string.
            ValueError: an id is no UUID, the actor is of another tenant, or the end
                is no time.
            NotOpenError: the authorizer isn't open.
        """
        subject, tenant = parse_id(subject_id), parse_id(tenant_id)
        with self._lock:
            identities = self._require_index().identities
            is_key = identities.api_keys.get(subject) is not None
            kind = Kind.API_KEY if is_key else identities.kind(subject)
        return Principal.of(kind, subject, tenant, **bounds)

    def kind_of(self, subject: Id) -> Kind:
        """What an id is that is given for a user's: that, a machine's, or nobody's."""
        return self._require_index().identities.kind(subject)

    def belongs(self, tenant: Id, subject: Id) -> bool:
        """Whether somebody has a role or is in a group in a tenant, active or not."""
        with self._lock:
            entry = self._require_index().tenants.get(tenant)
            return entry is not None and entry.profile(subject) is not None

    def credentialed(self, tenant: Id, kind: Kind) -> list[Id]:
        """The API keys, service principals or agents of a tenant, active or not."""
        with self._lock:
            identities = self._require_index().identities
            if kind is Kind.API_KEY:
                rows = identities.api_keys.rows.items()
                return sorted(id_ for id_, key in rows if key.tenant == tenant)
            is_agent = kind is Kind.AGENT
            machines = identities.agents if is_agent else identities.services
            return [id_ for id_, _ in machines.named(tenant)]

    def bundled(self, tenant: Id) -> list[str]:
        """The permission keys that roles of a tenant bundle, sorted."""
        with self._lock:
            index = self._require_index()
            entry = index.tenants.get(tenant)
            masks = [] if entry is None else [index.roles[r].mask for r in entry.roles]
            return index.vocabulary.keys(reduce(or_, masks, 0))

    def is_permission(self, key: str) -> bool:
        """Whether there is a permission of this key.

        Raises:
            NotOpenError: the authorizer isn't open.
        """
        return key in self._require_index().keys

    def api_key(self, id_: Id) -> ApiKey | None:
        """The row of an API key, or None."""
        return self._require_index().identities.api_keys.get(id_)

    def api_keys(self, prefix: str) -> list[tuple[Id, ApiKey]]:
        """The API keys of a prefix, which isn't unique; those revoked come last."""
        with self._lock:
            rows = self._require_index().identities.api_keys.named(prefix)
        return sorted(rows, key=lambda each: each[1].revoked)

    def agent(self, id_: Id) -> Machine | None:
        """The row of an agent, or None."""
        return self._require_index().identities.agents.get(id_)

    def clients(self, client_id: str) -> list[tuple[Id, OidcClient]]:
        """The OIDC clients of a client id, of which there is at most one."""
        with self._lock:
            return self._require_index().identities.clients.named(client_id)

    def standing(self, principal: Principal) -> Reason | None:
        """What keeps a principal from acting at all, or None.

        Raises:
            TypeError: `principal` is no Principal.
            NotOpenError: the authorizer isn't open.
        """
        require_principal(principal)
        if self.is_stale:
            self._require_index()
            return Reason.STALE
        # Nobody is seated who may not act, but for those whose actor may not.
        if principal.key in self._answers and principal.actor is None:
            return None
        with self._lock:
            return obstacle(self._require_index(), principal, self._wall_clock())


def require_principal(principal: Principal) -> None:
    """Return when something is a principal.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(principal, Principal):
        raise TypeError(
            f"`{principal!r}` is no principal; make one with"
            " `Principal.user(user_id, tenant_id)`"
        )


def require_key(key: str) -> None:
    """Return when something can be a permission's key.

    Raises:
        TypeError: it is no string.
    """
    if not isinstance(key, str):
        raise TypeError(f"a permission key must be a string, not `{key!r}`")


def require_question(principal: Principal, key: str) -> None:
    """Return when something can be asked.

    Raises:
        TypeError: one of the two is nothing of the kind.
    """
    require_principal(principal)
    require_key(key)
