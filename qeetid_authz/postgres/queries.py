"""SQL as data: the files of this package, whole or by named query.

A query stands under a heading `-- name: NAME`; what comes before the first is prose.
"""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_HEADING = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load(file: str) -> dict[str, LiteralString]:
    """The queries of `sql/FILE.sql` by name."""
    _, *parts = _HEADING.split(script(file))
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {name: cast("LiteralString", text.strip()) for name, text in pairs}


def script(file: str) -> LiteralString:
    """The whole of `sql/FILE.sql`; literal, as it is part of the distribution."""
    path = files("qeetid_authz.postgres") / "sql" / f"{file}.sql"
    text: LiteralString = path.read_text("utf-8")
    return text
