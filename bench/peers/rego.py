"""OPA and rego-cpp, both in our process behind a binding, over the same policy and data.

Input and answer cross the binding as JSON. What that costs is told by OPA with the
answers worked out before: a lookup is the least that it can evaluate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.peers.peer import Peer, Product, required
from bench.peers.relations import Relations, relations
from bench.synthesis import Tenancy
from qeetid_authz.principal import Principal

_POLICY = """
package authz

import rego.v1

default allow := false

user := data.tenants[input.tenant].users[input.user]

allow if {
    some role in user.roles
    data.granted[role][input.permission]
}

allow if {
    some group in user.groups
    some role in data.carried[group]
    data.granted[role][input.permission]
}
"""


_LOOKUP = """
package authz

import rego.v1

default allow := false

allow if data.held[input.user][input.permission]
"""


class Opa:
    """OPA's engine, the real one in Go."""

    def __init__(self, opa: Any, policy: str, data: dict[str, Any]) -> None:
        self._engine = opa.OpaEngine()
        self._engine.add_policy("authz.rego", policy)
        self._engine.add_data(data)

    def asker(self, principal: Principal) -> dict[str, str]:
        """The part of the input that is about the user."""
        return {"user": principal.id, "tenant": principal.tenant_id}

    def can(self, asker: dict[str, str], permission: str) -> bool:
        """The document `allow`."""
        asked = {**asker, "permission": permission}
        allowed: bool = self._engine.eval_document("authz.allow", asked)
        return allowed


class RegoCpp:
    """rego-cpp, its policy compiled to a bundle."""

    def __init__(self, regopy: Any, told: Relations) -> None:
        self._engine = regopy.Interpreter()
        self._input = regopy.Input
        self._engine.add_module("authz", _POLICY)
        self._engine.add_data(_data(told))
        self._bundle = self._engine.build(None, ["authz/allow"])

    def asker(self, principal: Principal) -> dict[str, str]:
        """The part of the input that is about the user."""
        return {"user": principal.id, "tenant": principal.tenant_id}

    def can(self, asker: dict[str, str], permission: str) -> bool:
        """The entry point `allow`."""
        self._engine.set_input(self._input({**asker, "permission": permission}))
        said = self._engine.query_bundle_entrypoint(self._bundle, "authz/allow")
        allowed: bool = said[0].expressions[0]
        return allowed


def _data(told: Relations) -> dict[str, Any]:
    users = {
        user: {"roles": told.direct[user], "groups": groups}
        for user, groups in told.groups.items()
    }
    return {
        "tenants": {told.tenant: {"users": users}},
        "carried": told.carried,
        "granted": {
            role: dict.fromkeys(keys, True) for role, keys in told.granted.items()
        },
    }


def _held(told: Relations) -> dict[str, Any]:
    """All that each user holds, worked out."""
    return {
        "held": {
            user: {key: True for role in told.roles(user) for key in told.granted[role]}
            for user in told.direct
        }
    }


@contextmanager
def _opa(tenancy: Tenancy) -> Iterator[Peer]:
    yield Opa(_opa_bindings(), _POLICY, _data(relations(tenancy)))


@contextmanager
def _opa_lookup(tenancy: Tenancy) -> Iterator[Peer]:
    yield Opa(_opa_bindings(), _LOOKUP, _held(relations(tenancy)))


def _opa_bindings() -> Any:
    return required("opa_bindings", "opa-golib-python-bindings")


@contextmanager
def _rego_cpp(tenancy: Tenancy) -> Iterator[Peer]:
    yield RegoCpp(required("regopy", "regopy"), relations(tenancy))


OPA = Product("OPA by its binding", "in process, in Go", _opa)
OPA_LOOKUP = Product(
    "OPA by its binding, worked out before",
    "in process, in Go, which leaves the crossing and a lookup",
    _opa_lookup,
)
REGO_CPP = Product("rego-cpp", "in process, in C++", _rego_cpp)
