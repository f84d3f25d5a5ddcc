"""cedarpy, policies and entities parsed once, the request made for each question.

Users are entities in groups and roles, groups in roles. As Cedar's documentation has
it, each role has a policy with its actions. Another way is quicker: each role is in the
permissions it grants, and the one policy asks whether the user is in the permission.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.peers.peer import Peer, Product, required
from bench.peers.relations import Relations, relations
from bench.synthesis import Tenancy
from qeetid_authz.principal import Principal

_AT_LEAST = 400
_MEMBERSHIP = """
permit (principal, action == Action::"check", resource) when { principal in resource };
"""


class ByRole:
    """A policy for each role: an action is a permission, the resource the tenant."""

    def __init__(self, cedar: Any, told: Relations) -> None:
        self._ask = cedar.is_authorized
        policies = (_policy(role, keys) for role, keys in told.granted.items())
        self._policies = cedar.PolicySet.from_str("\n".join(policies))
        entities = [*_members(told), *(_entity("Role", each) for each in told.granted)]
        self._entities = cedar.Entities.from_json_str(json.dumps(entities))
        self._tenant = _uid("Tenant", told.tenant)

    def asker(self, principal: Principal) -> dict[str, str]:
        """The principal's entity."""
        return _uid("User", principal.id)

    def can(self, asker: dict[str, str], permission: str) -> bool:
        """Whether the decision is Allow."""
        request = {
            "principal": asker,
            "action": {"type": "Action", "id": permission},
            "resource": self._tenant,
        }
        allowed: bool = self._ask(request, self._policies, self._entities).allowed
        return allowed


class ByMembership:
    """One policy for all: a permission is what its holders are in."""

    def __init__(self, cedar: Any, told: Relations) -> None:
        self._ask = cedar.is_authorized
        self._policies = cedar.PolicySet.from_str(_MEMBERSHIP)
        roles = (
            _entity("Role", role, *(_uid("Permission", key) for key in keys))
            for role, keys in told.granted.items()
        )
        permissions = (_entity("Permission", each) for each in told.permissions)
        entities = [*_members(told), *roles, *permissions]
        self._entities = cedar.Entities.from_json_str(json.dumps(entities))
        self._action = _uid("Action", "check")

    def asker(self, principal: Principal) -> dict[str, str]:
        """The principal's entity."""
        return _uid("User", principal.id)

    def can(self, asker: dict[str, str], permission: str) -> bool:
        """Whether the decision is Allow."""
        request = {
            "principal": asker,
            "action": self._action,
            "resource": {"type": "Permission", "id": permission},
        }
        allowed: bool = self._ask(request, self._policies, self._entities).allowed
        return allowed


def _members(told: Relations) -> Iterator[dict[str, Any]]:
    for user, groups in told.groups.items():
        within = [_uid("Group", each) for each in groups]
        yield _entity(
            "User", user, *within, *(_uid("Role", each) for each in told.direct[user])
        )
    for group, roles in told.carried.items():
        yield _entity("Group", group, *(_uid("Role", each) for each in roles))


def _policy(role: str, keys: Sequence[str]) -> str:
    actions = ", ".join(f"Action::{json.dumps(key)}" for key in keys)
    return f'permit (principal in Role::"{role}", action in [{actions}], resource);'


def _entity(kind: str, id_: str, *parents: dict[str, str]) -> dict[str, Any]:
    return {"uid": _uid(kind, id_), "attrs": {}, "parents": parents}


def _uid(kind: str, id_: str) -> dict[str, str]:
    return {"type": kind, "id": id_}


@contextmanager
def _by_role(tenancy: Tenancy) -> Iterator[Peer]:
    yield ByRole(required("cedarpy", "cedarpy"), relations(tenancy))


@contextmanager
def _by_membership(tenancy: Tenancy) -> Iterator[Peer]:
    yield ByMembership(required("cedarpy", "cedarpy"), relations(tenancy))


CEDAR = Product("cedarpy, a policy a role", "in process", _by_role, _AT_LEAST)
CEDAR_TUNED = Product("cedarpy, one policy", "in process", _by_membership)
