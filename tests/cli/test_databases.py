"""The commands for a database: migrate, import, export, version."""

import json
import os
import pty
import stat
import subprocess
from io import BytesIO, TextIOWrapper
from pathlib import Path

import psycopg
import pytest

from tests.cli.running import COMMAND, DEMO, PATIENCE, Cli, environment, write


def count(dsn: str, table: str) -> int:
    """How many rows a table has."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_migrate_says_what_it_did(cli: Cli, empty_database: str) -> None:
    """First it installs, then there is nothing to do, then it repairs."""
    first = cli("migrate", "--bootstrap", dsn=empty_database)
    second = cli("migrate", dsn=empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("ALTER TABLE rbac.roles DISABLE TRIGGER ALL")
    third = cli("migrate", dsn=empty_database)

    assert [answer.code for answer in (first, second, third)] == [0, 0, 0]
    assert first.out.endswith(": installed version 4\n")
    assert second.out.endswith(": version 4 is in place, nothing to do\n")
    assert "triggers put in place again: " in third.out
    assert "rbac.roles" in third.out


def test_migrate_check_finds_nothing_wrong(cli: Cli, database: str) -> None:
    """The exit code tells a program, two sentences a person."""
    assert cli("migrate", "--check", dsn=database) == (
        0,
        "schema qeetid_authz has version 4\nall triggers are in place and enabled\n",
        "",
    )


def test_migrate_check_finds_a_disabled_trigger(cli: Cli, database: str) -> None:
    """It names the trigger, and repairs nothing."""
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE rbac.roles DISABLE TRIGGER ALL")
    for _ in range(2):
        answer = cli("migrate", "--check", dsn=database)

        assert answer.code == 1
        assert "triggers that are missing or disabled:\n  - " in answer.out
        assert "rbac.roles" in answer.out


def test_migrate_check_finds_nothing_at_all(cli: Cli, empty_database: str) -> None:
    """An empty database lacks our schema, and every table of Qeet ID."""
    answer = cli("migrate", "--check", dsn=empty_database)
    body = cli("migrate", "--check", "--json", dsn=empty_database).json

    assert answer.code == 1
    assert "isn't installed; run `qeetid-authz migrate`\n" in answer.out
    assert "  - table rbac.permissions is missing\n" in answer.out
    assert (body["ready"], body["version"], body["latest"]) == (False, None, 4)


def test_migrate_remove_leaves_the_tables(cli: Cli, database: str) -> None:
    """Our schema is gone, Qeet ID's tables aren't; a second time is an error."""
    first = cli("migrate", "--remove", dsn=database)
    second = cli("migrate", "--remove", "--json", dsn=database)

    assert (first.code, "removed from" in first.out) == (0, True)
    assert (second.code, second.error["code"]) == (2, "not_migrated")
    assert count(database, "rbac.roles") == 0


def test_migrate_takes_one_instruction(cli: Cli, database: str) -> None:
    """Installing and removing at once is refused before anything is done."""
    answer = cli("migrate", "--check", "--remove", dsn=database)

    assert (answer.code, "exclude each other" in answer.err) == (2, True)
    assert cli("migrate", "--check", dsn=database).code == 0


def test_import_reports_what_it_wrote(cli: Cli, database: str) -> None:
    """A table for people, counts for programs; a second time nothing changes."""
    first = cli("import", DEMO, dsn=database)
    second = cli("import", DEMO, "--json", dsn=database)
    rows = {line.rsplit(maxsplit=3)[0]: line for line in first.out.splitlines()}

    assert (first.code, first.err) == (0, "")
    assert rows["tenants"].split() == ["tenants", "3", "0", "0"]
    assert {tuple(each.values()) for each in second.json["counts"].values()} == {
        (0, 0, 0)
    }


def test_import_reads_standard_input(
    cli: Cli, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` needs to be told the format."""
    data = b'{"permissions": [{"key": "p"}]}'
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data)))
    untold = cli("import", "-", dsn=database)
    told = cli("import", "-", "--format", "json", dsn=database)

    assert (untold.code, "say --format" in untold.err) == (2, True)
    assert (told.code, count(database, "rbac.permissions")) == (0, 1)


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_an_export_can_be_imported(
    cli: Cli, demo_database: str, tmp_path: Path, suffix: str
) -> None:
    """Importing what was exported changes nothing, in either format."""
    file = tmp_path / f"export.{suffix}"
    exported = cli("export", file, dsn=demo_database)
    imported = cli("import", file, "--json", dsn=demo_database)

    assert exported == (0, "", "")
    assert file.read_text("utf-8").startswith("{" if suffix == "json" else "permis")
    assert {tuple(each.values()) for each in imported.json["counts"].values()} == {
        (0, 0, 0)
    }


def test_export_writes_to_standard_output(cli: Cli, demo_database: str) -> None:
    """YAML if not told otherwise, JSON for programs."""
    as_yaml = cli("export", dsn=demo_database)
    as_json = cli("export", "--json", dsn=demo_database)

    assert as_yaml.out.startswith("permissions:\n- key: ")
    assert len(as_json.json["tenants"]) == 3
    assert cli("export", "--format", "json", dsn=demo_database) == as_json


def test_export_notes_what_it_leaves_out(cli: Cli, demo_database: str) -> None:
    """Rows that no document can name are counted on stderr."""
    with psycopg.connect(demo_database) as connection:
        connection.execute(
            "INSERT INTO rbac.user_roles (user_id, tenant_id, role_id)"
            " SELECT gen_random_uuid(), tenant_id, id FROM rbac.roles LIMIT 1"
        )
    answer = cli("export", "--json", dsn=demo_database)

    assert len(answer.json["tenants"]) == 3
    assert answer.err.startswith("left out of `rbac.user_roles`, as they name a user")


def test_export_replaces_a_file_whole(
    cli: Cli, demo_database: str, tmp_path: Path
) -> None:
    """The file keeps its mode, a link its place, and nothing else is left."""
    file = write(tmp_path / "export.yaml", "old")
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    answer = cli("export", link, dsn=demo_database)

    assert answer.code == 0
    assert link.is_symlink()
    assert file.read_text("utf-8").startswith("permissions:")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_export_leaves_a_device_in_place(
    cli: Cli, demo_database: str, tmp_path: Path
) -> None:
    """A pipe is written to, not replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        answer = cli("export", pipe, "--format", "json", dsn=demo_database)
        data = os.read(reader, 1_000_000)
    finally:
        os.close(reader)

    assert answer.code == 0
    assert pipe.is_fifo()
    assert len(json.loads(data)["tenants"]) == 3


def test_an_export_that_fails_leaves_the_file(
    cli: Cli, empty_database: str, tmp_path: Path
) -> None:
    """What was there before is still there."""
    file = write(tmp_path / "export.yaml", "old")
    answer = cli("export", file, dsn=empty_database)

    assert answer.code == 2
    assert file.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_version_names_the_server_when_asked(cli: Cli, database: str) -> None:
    """Without a DSN it connects to nothing."""
    alone = cli("version", "--json").json
    with_server = cli("version", "--json", dsn=database).json

    assert list(alone) == ["qeetid-authz", "python", "psycopg", "libpq"]
    assert {**alone, "postgres": with_server["postgres"]} == with_server
    assert cli("version").out.splitlines()[0].split() == [
        "qeetid-authz",
        alone["qeetid-authz"],
    ]


def test_import_draws_a_bar_on_a_terminal(database: str) -> None:
    """Long work can be watched; standard output has the report alone."""
    terminal, stderr = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "--database-url", database, "import", DEMO, "--json"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            timeout=PATIENCE,
            check=False,
            env=environment(TERM="xterm", COLUMNS="80"),
        )
        drawn = os.read(terminal, 1_000_000).decode()
    finally:
        os.close(terminal)
        os.close(stderr)

    assert json.loads(done.stdout)["counts"]["tenants"]["added"] == 3
    assert "━" in drawn
