"""What somebody is granted by itself: a user by a role of its own, others as scopes."""

from collections.abc import Iterable

from qeetid_authz.ids import Id
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.testing.world import World


def own(world: World, principal: Principal) -> list[str]:
    """The keys that were granted to somebody by itself.

    Raises:
        ValueError: an API key of a user's has nothing by itself, or there is nobody.
    """
    world.require(principal)
    subject = principal.subject
    if principal.kind is Kind.USER:
        return world.keys_of(_own_role(world, principal))
    if principal.kind is Kind.API_KEY:
        key = world.api_keys[subject]
        if key.user is not None:
            raise ValueError(
                f"the API key `{key.prefix}` may what its user may; grant to that"
            )
        return list(key.scopes)
    return list(world.machines(principal.kind)[subject].scopes)


def set_own(world: World, principal: Principal, keys: Iterable[str]) -> None:
    """Grant somebody exactly these keys by itself; as `own`."""
    subject, scopes = principal.subject, tuple(dict.fromkeys(keys))
    permissions = world.permissions(scopes)
    if principal.kind is Kind.USER:
        role = _own_role(world, principal)
        world.set_permissions(role, permissions)
        world.assign(principal.tenant, subject, role)
    elif principal.kind is Kind.API_KEY:
        world.api_keys[subject] = world.api_keys[subject]._replace(scopes=scopes)
    else:
        machines = world.machines(principal.kind)
        machines[subject] = machines[subject]._replace(scopes=scopes)


def grant(world: World, principal: Principal, keys: Iterable[str]) -> None:
    """Grant somebody more keys by itself; as `own`."""
    set_own(world, principal, [*own(world, principal), *keys])


def _own_role(world: World, principal: Principal) -> Id:
    name = world.names[principal.subject]
    return world.role(principal.tenant, f"granted to {name}")
