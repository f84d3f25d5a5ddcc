"""What is true according to Postgres: the semantics as SQL of the tests' own."""

import re
from pathlib import Path
from typing import Any, cast

from psycopg import Connection, sql

_FILE = Path(__file__).parent / "sql" / "semantics.sql"
_, *_PARTS = re.split(r"-- name: (\w+)\n", _FILE.read_text())
_QUERIES = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))

Grant = tuple[str, str, str]
"""Tenant and user, canonical, and the key."""


def grants(connection: Connection[Any], semantics: str) -> set[Grant]:
    """Everything that is allowed."""
    rows = connection.execute(_query(semantics)).fetchall()
    return {(str(tenant), str(user), key) for tenant, user, key in rows}


def mirror_paths(connection: Connection[Any]) -> dict[Grant, list[tuple[str, str]]]:
    """By grant the paths of the hosted server's explain: via and role, sorted."""
    found: dict[Grant, list[tuple[str, str]]] = {}
    for tenant, user, key, role, group in connection.execute(
        _query("mirror_explained")
    ):
        via = "direct" if group is None else f"group:{group}"
        found.setdefault((str(tenant), str(user), key), []).append(
            (via, f"role:{role}")
        )
    return {grant: sorted(paths) for grant, paths in found.items()}


def _query(name: str) -> sql.SQL:
    return sql.SQL(cast("Any", _QUERIES[name]))
