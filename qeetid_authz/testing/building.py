"""Facts in few words, each change of which an engine answers by at once."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import Id, parse_id
from qeetid_authz.model import ACTIVE, ApiKey, Semantics
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision, RevisionToken
from qeetid_authz.testing.grants import grant, own, set_own
from qeetid_authz.testing.world import World, derive

if TYPE_CHECKING:
    from qeetid_authz.document import Document

_INCARNATION = "7e577e577e57"
_BEGINNING = 1_000_000_000.0  # seconds; past, so that nothing ends unasked


class Building(Engine):
    """An engine over facts that are made and changed in few words.

    Whatever changes facts publishes a later revision at once, except while it is
    stale. A name is of one tenant, by default that of the engine.
    """

    def __init__(
        self,
        facts: "Document | Mapping[str, Any] | None" = None,
        *,
        tenant: str = "test",
        semantics: Semantics | str = Semantics.STRICT,
        raises_stale: bool = False,
    ) -> None:
        """Make one that is open.

        Args:
            facts: a declarative document to begin with.
            tenant: the slug of the tenant that is meant where none is named.
            semantics: as `Options` has it; so `raises_stale`.
            raises_stale: whether to raise StaleError instead of denying as `stale`.

        Raises:
            DocumentError: the document breaks its rules.
        """
        self._now = _BEGINNING
        super().__init__(
            semantics, wall_clock=lambda: self._now, raises_stale=raises_stale
        )
        self._world = World({} if facts is None else facts)
        self._tenant = tenant
        self._transactions = 0
        self._is_cut_off = False
        self._handed_out: dict[str, Principal] = {}
        self.tenant(tenant)

    # What there is

    def tenant(self, slug: str) -> str:
        """The id of a tenant, which is there from now on."""
        tenant = self._world.tenant(slug)
        self._committed()
        return Principal.of(Kind.USER, tenant, tenant).tenant_id

    def permission(self, *keys: str) -> None:
        """Have permissions that nobody need hold; those that are granted need none."""
        self._world.permissions(keys)
        self._committed()

    def user(
        self,
        name: str,
        *permissions: str,
        roles: Iterable[str] = (),
        groups: Iterable[str] = (),
        tenant: str | None = None,
    ) -> Principal:
        """A user of a tenant, with what is granted besides what it has already.

        Args:
            name: or e-mail; the same one is the same user in every tenant.
            *permissions: that it holds by itself.
            roles: names of roles that it holds besides.
            groups: names of groups that it is a member of.
            tenant: the slug of the tenant it acts in.

        Raises:
            ValueError: there is no such role or group.
        """
        world, where = self._world, self._where(tenant)
        held, joined = world.roles(where, roles), world.groups(where, groups)
        id_ = world.user(name)
        for role in held:
            world.assign(where, id_, role)
        for group in joined:
            world.place(where, id_, group)
        principal = Principal.of(Kind.USER, id_, where)
        if permissions:
            grant(self._world, principal, permissions)
        self._committed()
        return principal

    def role(self, name: str, *permissions: str, tenant: str | None = None) -> None:
        """A role that carries exactly these permissions from now on."""
        role = self._world.role(self._where(tenant), name)
        self._world.set_permissions(role, self._world.permissions(permissions))
        self._committed()

    def group(self, name: str, *roles: str, tenant: str | None = None) -> None:
        """A group that carries exactly these roles from now on.

        Raises:
            ValueError: there is no such role.
        """
        where = self._where(tenant)
        carried = self._world.roles(where, roles)
        group = self._world.group(where, name)
        self._world.set_group_roles(where, group, carried)
        self._committed()

    def machine(
        self,
        name: str,
        *scopes: str,
        kind: Kind | str = Kind.SERVICE,
        tenant: str | None = None,
    ) -> Principal:
        """A service principal that is registered with exactly these scopes.

        Args:
            name: of the machine.
            *scopes: what it may by itself.
            kind: `service`, or `agent` for one of those.
            tenant: the slug of its tenant.

        Raises:
            ValueError: there are no machines of that kind.
        """
        where, kind = self._where(tenant), Kind(kind)
        id_ = self._world.machine(kind, where, name, scopes)
        self._committed()
        return Principal.of(kind, id_, where)

    def key(
        self,
        name: str,
        *scopes: str,
        user: Principal | None = None,
        tenant: str | None = None,
        expires_at: float | None = None,
    ) -> Principal:
        """An API key of a user, or of nobody.

        Args:
            name: of the key.
            *scopes: what it may, if it is nobody's; else what limits it.
            user: whose it is, in whose tenant.
            tenant: the slug of its tenant, if it is nobody's.
            expires_at: when it ends, in seconds since the Unix epoch; see `now`.
        """
        owner = None if user is None else user.subject
        where = self._where(tenant) if user is None else user.tenant
        id_ = derive("api_key", f"{where.hex()}/{name}")
        self._world.permissions(scopes)
        self._world.names[id_] = name
        self._world.api_keys[id_] = ApiKey(
            where, owner, name, "", scopes, expires_at, False
        )
        self._committed()
        return Principal.of(Kind.API_KEY, id_, where)

    # What becomes of it

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

    # How facts change

    @property
    def revision_token(self) -> str:
        """Names the last change, as `SELECT qeetid_authz.revision_token()` would."""
        return str(RevisionToken(_INCARNATION, self._transactions))

    def _committed(self) -> None:
        self._transactions += 1
        if not self._is_cut_off:
            self.publish(self._world.snapshot(self._next()), 0.0)

    def _next(self) -> Revision:
        after = self._transactions + 1
        return Revision(_INCARNATION, after, after)

    def _foresee(self) -> Engine:
        """An engine that answers by what is about to be published."""
        engine = Engine(self.semantics, wall_clock=self._wall_clock)
        engine.publish(self._world.snapshot(self._next()), 0.0)
        return engine

    def _where(self, slug: str | None) -> Id:
        return self._world.tenant(self._tenant if slug is None else slug)

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
