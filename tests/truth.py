"""What is true according to Postgres: the semantics as SQL of the tests' own."""

import re
from collections.abc import Collection, Iterable
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


def grants_of(connection: Connection[Any], users: Collection[str]) -> set[Grant]:
    """Everything that is allowed to some users, under strict semantics."""
    query = sql.SQL("SELECT * FROM ({}) granted WHERE user_id = ANY(%s::uuid[])")
    inner = sql.SQL(cast("Any", _QUERIES["strict"].strip().rstrip(";")))
    rows = connection.execute(query.format(inner), [list(users)]).fetchall()
    return {(str(tenant), str(user), key) for tenant, user, key in rows}


def answers(connection: Connection[Any], questions: Iterable[Grant]) -> list[bool]:
    """The strict answers to questions, for which an index on members is made."""
    with connection.transaction(force_rollback=True):
        connection.execute("CREATE INDEX ON tenant.group_members (user_id)")
        connection.execute(_query("asked"))
        copying = "COPY asked (at, tenant_id, user_id, key) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            for at, question in enumerate(questions):
                copy.write_row((at, *question))
        connection.execute("ANALYZE asked")
        rows = connection.execute(_query("strict_answers")).fetchall()
    return [allowed for (allowed,) in rows]


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
