"""Who there is, in few words; an engine answers by it at once."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from qeetid_authz.engine.engine import Engine
from qeetid_authz.ids import Id
from qeetid_authz.model import ApiKey, Semantics
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision, RevisionToken
from qeetid_authz.testing.grants import grant
from qeetid_authz.testing.world import World, derive

if TYPE_CHECKING:
    from qeetid_authz.document import Document

_INCARNATION = "7e577e577e57"
_BEGINNING = 1_000_000_000.0  # seconds; past, so that nothing ends unasked


class Building(Engine):
    """An engine over facts that are made in few words.

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

    def _where(self, slug: str | None) -> Id:
        return self._world.tenant(self._tenant if slug is None else slug)
