"""Decision tables: facts, questions, and the decision, reason and paths expected.

Each file in `tests/cases` has its `tables`, things by name, and `cases`. A question is
[tenant, user, key]. `explained` stands where an explanation differs from the check.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from qeetid_authz.engine.engine import Engine
from qeetid_authz.model import Owned, Semantics
from qeetid_authz.principal import Kind, Principal
from tests.tables import Tables, named

FILES = sorted((Path(__file__).parents[1] / "cases").glob("*.yaml"))


def read_tables(spec: dict[str, Any]) -> Tables:
    """Tables from their names."""

    def rows(name: str, second: str, third: str) -> set[tuple[bytes, bytes, bytes]]:
        return {
            (named("tenant", tenant), named(second, a), named(third, b))
            for tenant, a, b in spec[name]
        }

    return Tables(
        permissions={named("permission", key): key for key in spec["permissions"]},
        roles=_owned("role", spec["roles"]),
        groups=_owned("group", spec["groups"]),
        tenants={named("tenant", slug): s for slug, s in spec["tenants"].items()},
        users={named("user", name): s for name, s in spec["users"].items()},
        role_permissions={
            (named("role", name), named("permission", key))
            for name, role in spec["roles"].items()
            for key in role["permissions"]
        },
        user_roles=rows("user_roles", "user", "role"),
        group_members=rows("group_members", "user", "group"),
        group_roles=rows("group_roles", "group", "role"),
    )


def _owned(kind: str, spec: dict[str, Any]) -> dict[bytes, Owned]:
    return {
        named(kind, name): Owned(named("tenant", entry["tenant"]), name)
        for name, entry in spec.items()
    }


def all_cases() -> Iterator[Any]:
    """Every case in either semantics."""
    for file in FILES:
        spec = yaml.safe_load(file.read_text())
        for case in spec["cases"]:
            for how in Semantics:
                name = f"{file.stem}: {case['it']} [{how}]"
                yield pytest.param(file, how, case["ask"], case[how], id=name)


@cache
def engine_over(file: Path, how: Semantics) -> Engine:
    """An engine over a file's tables."""
    engine = Engine(how)
    engine.publish(
        read_tables(yaml.safe_load(file.read_text())["tables"]).snapshot(), 0.0
    )
    return engine


@pytest.mark.parametrize(("file", "how", "ask", "expected"), list(all_cases()))
def test_case(
    file: Path, how: Semantics, ask: list[str], expected: dict[str, Any]
) -> None:
    """The decision, its reason, its grant paths and what is missing are as written."""
    engine = engine_over(file, how)
    tenant, user, key = ask
    who = Principal.of(Kind.USER, named("user", user), named("tenant", tenant))

    decision = engine.check(who, key)
    explanation = engine.explain(who, key)

    assert expected["allowed"] is decision.allowed is engine.can(who, key)
    assert expected["reason"] == decision.reason
    assert expected.get("explained", expected["allowed"]) is explanation.allowed
    paths = [f"{path.granted_by} {path.via}" for path in explanation.paths]
    assert expected.get("paths", []) == paths
    assert expected.get("missing", []) == [role.role for role in explanation.missing]
