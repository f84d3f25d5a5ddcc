"""Writing for people and for programs."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


class _Console(Console):
    """A console that leaves a closed pipe to its caller."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the error


def console(*, stderr: bool = False) -> Console:
    """For people: coloured on a terminal, unless `NO_COLOR` is set.

    Lines are never broken, so that each can be searched for and pasted.
    """
    return _Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)


def write_json(value: object) -> None:
    """For programs: one line, out at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """Text from outside, in which no character can command a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )


def table(*columns: str) -> Table:
    """A table; columns named like `name>` are aligned to the right."""
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        drawn.add_column(column.rstrip(">"), justify="right" if right else "left")
    return drawn


def write_members(members: Mapping[str, Any]) -> None:
    """Names and values, one pair a line."""
    width = max(map(len, members), default=0)
    for name, value in members.items():
        console().print(f"{name:<{width}}  {printable(_text(value))}")


def write_list(title: str, items: Iterable[str]) -> None:
    """A title and its items, one a line."""
    console().print(title)
    for item in items:
        console().print(f"  - {printable(item)}")


def _text(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()
