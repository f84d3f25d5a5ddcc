"""Commands for the database: migrate, import, export."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from qeetid_authz.document import Format, encode_document
from qeetid_authz.postgres import migrate as migrations
from qeetid_authz.postgres.connecting import connect, describe
from qeetid_authz.postgres.exporting import export_document
from qeetid_authz.postgres.importing import Progress as Watcher
from qeetid_authz.postgres.importing import import_document
from qeetid_authz_server.cli.exits import Exit
from qeetid_authz_server.cli.files import (
    STANDARD,
    document_path,
    format_of,
    format_option,
    read_file,
    write_file,
)
from qeetid_authz_server.cli.output import (
    console,
    printable,
    table,
    write_json,
    write_list,
)
from qeetid_authz_server.cli.state import State, with_state


@click.command()
@click.option("--bootstrap", is_flag=True, help="Make Qeet ID's tables if none exist.")
@click.option("--check", is_flag=True, help="Only say what is installed.")
@click.option("--remove", is_flag=True, help="Take everything out again.")
@with_state
def migrate(state: State, /, *, bootstrap: bool, check: bool, remove: bool) -> int:
    """Install the change feed in a database, or update it.

    Everything lives in schema qeetid_authz, besides triggers on the tables that are
    followed. Running it again repairs what was dropped or disabled. The exit code of
    --check is 1 when something is missing.
    """
    if bootstrap + check + remove > 1:
        raise click.UsageError("--bootstrap, --check and --remove exclude each other")
    dsn = state.settings().database_url
    if remove:
        migrations.remove(dsn)
        _say(state, {"removed": True}, f"removed from {describe(dsn)}")
        return 0
    found = migrations.status(dsn)
    if check:
        return _report_check(state, found)
    now = migrations.migrate(dsn, bootstrap=bootstrap)
    _say(state, _body(now), f"{describe(dsn)}: {_what_was_done(found, now)}")
    return 0


def _report_check(state: State, found: migrations.Status) -> int:
    if state.as_json:
        write_json(_body(found))
    else:
        _print_status(found)
    return 0 if found.is_ready else Exit.NOT_READY


def _print_status(found: migrations.Status) -> None:
    if found.version is None:
        console().print(
            "schema qeetid_authz isn't installed; run `qeetid-authz migrate`"
        )
    else:
        later = "" if found.version == found.latest else f", not {found.latest}"
        console().print(f"schema qeetid_authz has version {found.version}{later}")
    if found.differences:
        write_list("the tables aren't Qeet ID's:", found.differences)
    if found.disarmed:
        write_list("triggers that are missing or disabled:", found.disarmed)
    if found.is_ready:
        console().print("all triggers are in place and enabled")


def _what_was_done(before: migrations.Status, now: migrations.Status) -> str:
    if before.version is None:
        return f"installed version {now.version}"
    if before.version != now.version:
        return f"brought from version {before.version} to {now.version}"
    if before.disarmed:
        return f"triggers put in place again: {', '.join(before.disarmed)}"
    return f"version {now.version} is in place, nothing to do"


def _body(status: migrations.Status) -> dict[str, object]:
    return {"ready": status.is_ready, **asdict(status)}


def _say(state: State, body: object, text: str) -> None:
    if state.as_json:
        write_json(body)
    else:
        console().print(printable(text))


@click.command("import")
@click.argument("path", metavar="FILE", type=document_path)
@format_option
@with_state
def import_(state: State, /, *, path: Path, format_: Format | None) -> None:
    """Write a document into the database, whole or not at all.

    FILE is YAML or JSON; `-` is standard input, which needs --format. What the
    document doesn't name stays as it is.
    """
    with console(stderr=True).status("reading the document"):
        document = read_file(path, format_)
    with connect(state.settings().database_url) as connection, _bar() as progress:
        report = import_document(connection, document, progress=progress)
    if state.as_json:
        write_json({"counts": {k: v._asdict() for k, v in report.counts.items()}})
        return
    written = table("", "added>", "changed>", "removed>")
    for kind, counts in report.counts.items():
        written.add_row(kind.replace("_", " "), *map(str, counts))
    console().print(written)


@contextmanager
def _bar() -> Iterator[Watcher | None]:
    err = console(stderr=True)
    if not err.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("reading")
        yield lambda label, done, total: progress.update(
            task, description=label, completed=done, total=total
        )


@click.command()
@click.argument("path", metavar="[FILE]", type=document_path, default=STANDARD)
@format_option
@with_state
def export(state: State, /, *, path: Path, format_: Format | None) -> None:
    """Write the database as a document, as of one snapshot.

    FILE is YAML or JSON by its suffix, and is replaced only when all is written;
    without it the document goes to standard output, as YAML if not told otherwise.
    """
    chosen = format_of(path, format_ or ("json" if state.as_json else None))
    dsn = state.settings().database_url
    with connect(dsn) as connection, console(stderr=True).status("reading") as busy:
        document, notes = export_document(connection)
        busy.update("writing the document")
        data = encode_document(document, format=chosen)
    if path == STANDARD:
        sys.stdout.buffer.write(data)
    else:
        write_file(path, data)
    for note in notes:
        console(stderr=True).print(printable(note))
