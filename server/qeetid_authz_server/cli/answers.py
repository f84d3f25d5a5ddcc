"""Explanations as people read them.

A body is that of `GET /v1/check?explain=true`, which `explain --json` writes too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from rich.text import Text
from rich.tree import Tree

from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz_server.cli.output import printable

Body: TypeAlias = Mapping[str, Any]


def verdict(user: str, tenant: str, permission: str, *, allowed: bool) -> Text:
    """The answer in one line."""
    word, style, may = (
        ("allowed", "bold green", "may")
        if allowed
        else ("denied", "bold red", "may not")
    )
    said = f"  {printable(user)} {may} {printable(permission)} in {printable(tenant)}"
    return Text.assemble((word, style), said)


def why_not(code: str) -> Text:
    """The reason of a denial, in words and as its code."""
    return Text.assemble(SENTENCES[Reason(code)], (f" ({code})", "dim"))


def grounds(body: Body, user: str) -> Iterator[Tree | Text]:
    """What an answer rests on: grant paths, or the reason and what would be enough."""
    if body["allowed"]:
        yield _paths(body["paths"], user)
        return
    yield why_not(body["code"])
    if "missing" in body:
        yield _enough(body["missing"])


def _paths(paths: list[Body], user: str) -> Tree:
    tree = Tree(Text(printable(user), "bold"))
    groups: dict[str | None, Tree] = {None: tree}
    for path in paths:
        group = path.get("group_id")
        if group not in groups:
            groups[group] = tree.add(_node("group", path["via"].removeprefix("group:")))
        kind, _, name = path["granted_by"].partition(":")
        granting = groups[group].add(_node(kind, name))
        granting.add(Text(printable(path["permission"]), "green"))
    return tree


def _enough(missing: list[Body]) -> Tree | Text:
    if not missing:
        return Text("no role of this tenant carries this permission")
    tree = Tree("any of these would be enough:")
    for each in missing:
        role = tree.add(_node("role", each["role"]))
        for group in each["groups"]:
            role.add(_node("through group", group["group"]))
    return tree


def _node(kind: str, name: str) -> Text:
    return Text.assemble((f"{kind} ", "dim"), printable(name))
