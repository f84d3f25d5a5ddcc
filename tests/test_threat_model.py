"""The threat model names tests that exist."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "threat-model.md").read_text("utf-8")
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)


def names_in(file: str) -> set[str]:
    """The tests of a file."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def test_every_named_test_is_there() -> None:
    """A test that was renamed or removed takes its claim with it."""
    assert [] == [
        f"{file}::{test}" for file, test in NAMED if test not in names_in(file)
    ]


def test_every_claim_has_a_test() -> None:
    """Each row of a table of claims names one."""
    tables = re.findall(r"\| \w+ \| Test \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    rows = [row for table in tables for row in table.splitlines()]

    assert len(tables) == 6
    assert [] == [row for row in rows if "::test_" not in row]
    assert len(NAMED) >= len(rows) > 40
