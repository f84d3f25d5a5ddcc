"""pycasbin, which looks at one rule after the other.

Roles are grants to `g`, of users to groups and roles and of groups to roles, in a domain
that is the tenant; a role's permissions are rules. Twice: as its documentation has it,
and as quick as it can be made, which looks at the rules about the key alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.peers.peer import Peer, Product, required
from bench.peers.relations import Relations, relations
from bench.synthesis import Tenancy
from qeetid_authz.principal import Principal

_DOCUMENTED = "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj"
_CHEAPEST_FIRST = "r.obj == p.obj && r.dom == p.dom && g(r.sub, p.sub, r.dom)"
_AT_LEAST = 5_000
_KEY_AND_TENANT = (2, 1)  # where a rule has them
_MODEL = """
[request_definition]
r = sub, dom, obj
[policy_definition]
p = sub, dom, obj
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = {matcher}
"""


class Asked:
    """An enforcer, which takes a user, the tenant and a key."""

    def __init__(self, enforcer: Any) -> None:
        self._enforce = enforcer.enforce

    def asker(self, principal: Principal) -> tuple[str, str]:
        """User and tenant."""
        return principal.id, principal.tenant_id

    def can(self, asker: tuple[str, str], permission: str) -> bool:
        """As it enforces."""
        allowed: bool = self._enforce(*asker, permission)
        return allowed


@contextmanager
def _documented(tenancy: Tenancy) -> Iterator[Peer]:
    casbin = required("casbin", "pycasbin")
    model = casbin.Model()
    model.load_model_from_text(_MODEL.format(matcher=_DOCUMENTED))
    yield _filled(casbin.Enforcer(model), relations(tenancy))


@contextmanager
def _tuned(tenancy: Tenancy) -> Iterator[Peer]:
    casbin = required("casbin", "pycasbin")
    model = required("casbin.model", "pycasbin").FastModel(_KEY_AND_TENANT)
    model.load_model_from_text(_MODEL.format(matcher=_CHEAPEST_FIRST))
    enforcer = casbin.FastEnforcer(model, cache_key_order=_KEY_AND_TENANT)
    yield _filled(enforcer, relations(tenancy))


def _filled(enforcer: Any, told: Relations) -> Asked:
    tenant = told.tenant
    enforcer.add_policies(
        [[role, tenant, key] for role, keys in told.granted.items() for key in keys]
    )
    enforcer.add_grouping_policies(
        [
            [member, of, tenant]
            for relation in (told.groups, told.direct, told.carried)
            for member, holds in relation.items()
            for of in holds
        ]
    )
    return Asked(enforcer)


CASBIN = Product("pycasbin", "in process", _documented, _AT_LEAST, loads_slowly=True)
CASBIN_TUNED = Product(
    "pycasbin, FastEnforcer", "in process", _tuned, loads_slowly=True
)
