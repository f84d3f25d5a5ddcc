"""What becomes of those there are, in few words."""

from collections.abc import Iterable

from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import parse_id
from qeetid_authz.model import ACTIVE
from qeetid_authz.principal import Principal
from qeetid_authz.testing.building import Building
from qeetid_authz.testing.grants import grant, own, set_own


class Changing(Building):
    """An engine over facts that change while a test runs."""

    def grant(self, principal: Principal, *permissions: str) -> None:
        """Give somebody permissions: by a role of its own, a machine as scopes.

        Raises:
            ValueError: an API key of a user's can't be given anything.
        """
        grant(self._world, principal, permissions)
        self._committed()

    def revoke(self, principal: Principal, *permissions: str) -> None:
        """Take permissions away that were granted to somebody by itself.

        Raises:
            ValueError: it wasn't granted one, or would hold it by a role even so.
        """
        held = own(self._world, principal)
        name = self._world.names[principal.subject]
        for key in permissions:
            if key not in held:
                raise ValueError(
                    f"`{name}` wasn't granted `{key}` by itself; take away what"
                    " grants it, if anything does"
                )
        left = [key for key in held if key not in permissions]
        set_own(self._world, principal, left)
        for key in permissions:
            for path in self._foresee().explain(principal, key).paths:
                set_own(self._world, principal, held)
                raise ValueError(
                    f"`{name}` would still hold `{key}` by `{path.granted_by}`,"
                    f" {path.via}; take that away as well, with `unassign` or `leave`"
                )
        self._committed()

    def assign(self, principal: Principal, *roles: str) -> None:
        """Give somebody roles; ValueError if there is no such role."""
        self._assign(principal, roles, held=True)

    def unassign(self, principal: Principal, *roles: str) -> None:
        """Take roles away from somebody; as `assign`."""
        self._assign(principal, roles, held=False)

    def join(self, user: Principal, *groups: str) -> None:
        """Put a user into groups; ValueError if there is no such group."""
        self._place(user, groups, inside=True)

    def leave(self, user: Principal, *groups: str) -> None:
        """Take a user out of groups; as `join`."""
        self._place(user, groups, inside=False)

    def suspend(self, principal: Principal) -> None:
        """Keep somebody from acting: suspended, disabled, or an API key revoked."""
        self._switch(principal, on=False)

    def reinstate(self, principal: Principal) -> None:
        """Let somebody act again."""
        self._switch(principal, on=True)

    def suspend_tenant(self, slug: str | None = None) -> None:
        """Keep everybody of a tenant from acting."""
        self._world.set_tenant_status(self._where(slug), "suspended")
        self._committed()

    def reinstate_tenant(self, slug: str | None = None) -> None:
        """Let those of a tenant act again."""
        self._world.set_tenant_status(self._where(slug), ACTIVE)
        self._committed()

    def end_session(self, session_id: str) -> None:
        """Revoke a session; ValueError if that is no UUID."""
        self._world.revoked_sessions[parse_id(session_id)] = self._now
        self._committed()

    def _foresee(self) -> Engine:
        """An engine that answers by what is about to be published."""
        engine = Engine(self.semantics, wall_clock=self._wall_clock)
        engine.publish(self._world.snapshot(self._next()), 0.0)
        return engine

    def _assign(
        self, principal: Principal, roles: Iterable[str], *, held: bool
    ) -> None:
        self._world.require(principal)
        for role in self._world.roles(principal.tenant, roles):
            self._world.assign(principal.tenant, principal.subject, role, held=held)
        self._committed()

    def _place(self, user: Principal, groups: Iterable[str], *, inside: bool) -> None:
        self._world.require(user)
        for group in self._world.groups(user.tenant, groups):
            self._world.place(user.tenant, user.subject, group, inside=inside)
        self._committed()

    def _switch(self, principal: Principal, *, on: bool) -> None:
        self._world.require(principal)
        self._world.switch(principal.kind, principal.subject, on=on)
        self._committed()
