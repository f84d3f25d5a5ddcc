"""The benchmark's SQL, read from its files."""

import re
from importlib.resources import files

from psycopg import Connection

_HEADING = re.compile(rb"^-- name: (\w+)$", re.MULTILINE)


def statements(file: str) -> list[bytes]:
    """The statements of `sql/FILE.sql`, in order."""
    return [each for each in _read(file).split(b";\n") if each.strip()]


def queries(file: str) -> dict[str, bytes]:
    """The statements of `sql/FILE.sql` by the names they stand under."""
    _, *parts = _HEADING.split(_read(file))
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {name.decode(): text.strip() for name, text in pairs}


def run(connection: Connection, file: str) -> None:
    """Execute the statements of `sql/FILE.sql`."""
    for statement in statements(file):
        connection.execute(statement)


def _read(file: str) -> bytes:
    return (files("bench") / "sql" / f"{file}.sql").read_bytes()
