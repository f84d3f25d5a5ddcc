"""What bad input gets: one clear error, exit code 2, and nothing half done."""

import errno
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from qeetid_authz_server.cli import versions
from qeetid_authz_server.cli.main import run
from tests.cli.running import (
    COMMAND,
    DEMO,
    PATIENCE,
    Cli,
    environment,
    run_process,
    running,
    write,
)

QUESTION = ("mara@lumen.example", "lumen-press", "billing:write")
DATABASE_COMMANDS = [
    ("migrate",),
    ("migrate", "--check"),
    ("migrate", "--remove"),
    ("import", DEMO),
    ("export",),
    ("check", *QUESTION),
    ("explain", *QUESTION),
    ("permissions", *QUESTION[:2]),
    ("who-can", *QUESTION[1:]),
    ("demo",),
]


@pytest.fixture
def dead_dsn() -> str:
    """The DSN of a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"postgresql://me:secret@127.0.0.1:{port}/qeetid"


@pytest.mark.parametrize("command", DATABASE_COMMANDS, ids=lambda each: each[0])
def test_a_dsn_that_does_not_answer(cli: Cli, dead_dsn: str, command: object) -> None:
    """The message names the place, not the password, and says what to check."""
    assert isinstance(command, tuple)
    answer = cli(*command, dsn=dead_dsn)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: database `qeetid` at 127.0.0.1:")
    assert "doesn't answer" in answer.err
    assert "check the address" in answer.err
    assert "secret" not in answer.err


@pytest.mark.parametrize("command", DATABASE_COMMANDS, ids=lambda each: each[0])
def test_a_dsn_that_is_none(cli: Cli, command: object) -> None:
    """It is refused before anything is connected, and isn't repeated."""
    assert isinstance(command, tuple)
    answer = cli(*command, dsn="postgres//me:secret@host/qeetid")

    assert (answer.code, answer.out) == (2, "")
    assert "DATABASE_URL can't be read; write one like `postgresql://" in answer.err
    assert "secret" not in answer.err


@pytest.mark.parametrize("command", DATABASE_COMMANDS[:-1], ids=lambda each: each[0])
def test_no_dsn(cli: Cli, command: object) -> None:
    """The message names the setting that is missing."""
    assert isinstance(command, tuple)
    answer = cli(*command, "--json")

    assert (answer.code, answer.out) == (2, "")
    assert answer.error == {
        "code": "settings_invalid",
        "message": "the settings are invalid: QEETID_AUTHZ_DATABASE_URL is missing;"
        " give the DSN of the Qeet ID database",
        "problems": [
            "QEETID_AUTHZ_DATABASE_URL is missing; give the DSN of the Qeet ID database"
        ],
    }


@pytest.mark.parametrize("command", DATABASE_COMMANDS[3:-1], ids=lambda each: each[0])
def test_a_database_that_is_not_qeet_ids(
    cli: Cli, empty_database: str, command: object
) -> None:
    """Whatever is asked of it, it isn't answered."""
    assert isinstance(command, tuple)
    answer = cli(*command, "--json", dsn=empty_database)

    assert (answer.code, answer.out) == (2, "")
    assert answer.error["code"] in {"schema_mismatch", "not_migrated"}


def test_migrating_a_database_that_is_not_qeet_ids(
    cli: Cli, empty_database: str
) -> None:
    """Each table that is missing, and each column of another type, has its line."""
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE SCHEMA rbac")
        connection.execute("CREATE TABLE rbac.roles (id integer)")
    answer = cli("migrate", "--bootstrap", dsn=empty_database)
    first, *problems = answer.err.splitlines()

    assert (answer.code, first) == (2, "error: this is no Qeet ID database:")
    assert "  - column rbac.roles.id is integer, not uuid" in problems
    assert "  - column rbac.roles.name is missing" in problems
    assert "  - table tenant.tenants is missing" in problems


def test_a_database_that_is_not_migrated(cli: Cli, database: str) -> None:
    """The message says what to run."""
    assert cli("migrate", "--remove", dsn=database).code == 0
    cli("import", DEMO, dsn=database)
    answer = cli("check", *QUESTION, dsn=database)

    assert (answer.code, answer.out) == (2, "")
    assert "`qeetid-authz migrate`" in answer.err


def test_a_second_migration_at_the_same_time(cli: Cli, database: str) -> None:
    """It doesn't wait, and what the first does stays its own."""
    with psycopg.connect(database) as first:
        first.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('qeetid_authz migrate', 0))"
        )
        answers = [
            cli("migrate", *more, "--json", dsn=database) for more in ([], ["--remove"])
        ]

    assert [answer.code for answer in answers] == [2, 2]
    assert {answer.error["code"] for answer in answers} == {"migration_busy"}
    assert cli("migrate", "--check", dsn=database).code == 0


def test_a_document_with_problems(cli: Cli, database: str, tmp_path: Path) -> None:
    """All are told at once, each with its place, and nothing is written."""
    document = {
        "users": [{"email": "a"}, {"email": "A"}, {"email": "b", "id": "7"}],
        "tenants": [
            {
                "slug": "t",
                "roles": [{"name": "r", "permissions": ["p"]}],
                "assignments": [{"user": "a", "roles": ["s"]}],
            }
        ],
    }
    file = write(tmp_path / "broken.json", json.dumps(document))
    answer = cli("import", file, dsn=database)
    as_json = cli("import", file, "--json", dsn=database).error
    first, *problems = answer.err.splitlines()

    assert (answer.code, answer.out) == (2, "")
    assert first == "error: the document is invalid:"
    assert [f"  - {problem}" for problem in as_json["problems"]] == problems
    for place in ("users[1].email", "users[2].id", "assignments[0].roles[0]"):
        assert place in answer.err
    assert cli("export", "--json", dsn=database).json == {}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "cycle.yaml",
            "tenants: &a\n- slug: t\n  roles: *a\n",
            "a cycle of references",
        ),
        ("shape.yaml", "tenants: 7\n", "`tenants`"),
        ("member.json", '{"user": []}', "`user`"),
        ("syntax.yaml", "users: [\n", "this is no YAML"),
        ("syntax.json", '{\n"users": [,]}', "line 2"),
        ("bytes.json", "\ud800", "no UTF-8"),
    ],
)
def test_a_document_that_is_none(
    cli: Cli, tmp_path: Path, name: str, text: str, said: str
) -> None:
    """The place and the rule are named, before any database is asked."""
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    imported = cli("import", file, dsn="host=/nonexistent")
    asked = cli("check", *QUESTION, "--facts", file)

    assert (imported.code, imported.out) == (2, "")
    assert imported.err.startswith("error: the document is invalid: ")
    assert said in imported.err
    assert imported.err.count("\n") == 1
    assert asked == imported


def test_a_document_that_contradicts_the_database(
    cli: Cli, demo_database: str, tmp_path: Path
) -> None:
    """The import is refused whole."""
    document = {
        "permissions": [{"key": "new"}],
        "tenants": [{"slug": "lumen-press", "id": "0" * 32}],
    }
    file = write(tmp_path / "other.json", json.dumps(document))
    before = cli("export", dsn=demo_database)
    answer = cli("import", file, "--json", dsn=demo_database)

    assert (answer.code, answer.error["code"]) == (2, "import_conflict")
    assert "`lumen-press`" in answer.error["message"]
    assert cli("export", dsn=demo_database) == before


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("import", "/nonexistent.yaml"), "can't read `/nonexistent.yaml`: No such"),
        (("import", "facts.txt"), "`facts.txt` doesn't end in .json, .yaml or .yml"),
        (("export", "facts.txt"), "`facts.txt` doesn't end in .json, .yaml or .yml"),
        (("export", "/nonexistent/x.json"), "can't write `/nonexistent/x.json`: No su"),
        (("--config", "/nonexistent.toml", "export"), "'/nonexistent.toml' does not"),
    ],
)
def test_a_file_that_does_not_serve(
    cli: Cli, database: str, args: tuple[str, ...], said: str
) -> None:
    """The message names the file and what is wrong with it."""
    answer = cli(*args, dsn=database)

    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("chek",), "no such command 'chek'"),
        (("check", "a"), "missing argument 'TENANT'; see `qeetid-authz check --help`"),
        (("check", "--semantics", "lax", *QUESTION), "'lax' is not one of"),
        (("check", "a", "t", "\udcff"), "`\\udcff` is no UTF-8 text"),
        (("status", "--url", "ftp://x"), "--url `ftp://x` must"),
    ],
)
def test_a_command_line_that_is_wrong(
    cli: Cli, args: tuple[str, ...], said: str
) -> None:
    """It is an error like any other, for people and for programs."""
    answer = cli(*args)
    as_json = cli("--json", *args)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert (as_json.code, as_json.error["code"]) == (2, "usage")


def test_settings_that_are_wrong_are_all_told(cli: Cli, tmp_path: Path) -> None:
    """Those of flags and those of the file, each on a line of its own."""
    config = write(tmp_path / "config.toml", "batch_limit = 0\nspeed = 7\n")
    answer = cli("--config", config, "serve", "--listen", "here", "--max-staleness", 0)
    first, *problems = answer.err.splitlines()

    assert (answer.code, first) == (2, "error: the settings are invalid:")
    assert {problem.split()[1].strip("`") for problem in problems} == {
        "QEETID_AUTHZ_DATABASE_URL",
        "QEETID_AUTHZ_LISTEN",
        "QEETID_AUTHZ_MAX_STALENESS",
        "QEETID_AUTHZ_BATCH_LIMIT",
        "speed",
    }


def test_no_command_is_asked_for_one() -> None:
    """The commands are listed, in an order that leads through them."""
    answer = run_process()
    listed = answer.err.partition("Commands:\n")[2].splitlines()

    assert (answer.code, answer.out) == (2, "")
    assert [line.split()[0] for line in listed] == [
        "demo",
        "serve",
        "migrate",
        "import",
        "export",
        "check",
        "explain",
        "permissions",
        "who-can",
        "status",
        "healthcheck",
        "version",
    ]


def test_a_defect_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even then no stack trace is shown, and the exit code isn't that of a denial."""
    monkeypatch.setattr(versions, "write_members", None)
    code = run(["version"])
    err = capsys.readouterr().err

    assert code == 2
    assert err.startswith("error: unexpected TypeError in versions.py:")
    assert err.count("\n") == 1


def test_a_disk_that_is_full(
    cli: Cli, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before stays, and nothing half written is left."""
    device = cli("export", "/dev/full", "--format", "json", dsn=database)
    file = write(tmp_path / "export.json", "old")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", raising(full))
    regular = cli("export", file, dsn=database)

    for answer, path in ((device, "/dev/full"), (regular, file)):
        assert answer.code == 2
        assert answer.err == f"error: can't write `{path}`: No space left on device\n"
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def raising(error: Exception) -> Callable[..., None]:
    """A function that fails."""

    def fail(*_: object) -> None:
        raise error

    return fail


def test_what_the_system_refuses_is_no_defect(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as too many open files, anywhere."""
    refusal = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr(versions, "write_members", raising(refusal))
    answer = cli("version")

    assert (answer.code, "the system refuses: " in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("absent", "command"), [("click", "version"), ("aiohttp", "serve")]
)
def test_an_extra_that_is_not_installed(absent: str, command: str) -> None:
    """The message says what to install."""
    program = (
        f"import sys; sys.modules[{absent!r}] = None;"
        "from qeetid_authz_server.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert f"`{absent}`" in done.stderr
    assert "`pip install 'qeetid-authz[cli]'`" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_output_that_is_closed_changes_no_answer(closed: str) -> None:
    """A command whose output was closed from the start ends as it would with it."""
    question = shlex.join([*COMMAND, "check", *QUESTION, "--facts", str(DEMO)])
    done = subprocess.run(
        ["sh", "-c", f"{question} {closed}"],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        env=environment(),
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "command", [("permissions", *QUESTION[:2]), ("check", *QUESTION)]
)
def test_a_closed_pipe_is_silent(command: tuple[str, ...]) -> None:
    """`permissions ... | head -1` ends without a word, and not as if denied."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, *command, "--facts", DEMO],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
            env=environment(),
        )
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (141, b"")


def test_an_interrupt_is_silent(tmp_path: Path) -> None:
    """Ctrl-C ends a command with 130 and without a stack trace."""
    pipe = tmp_path / "endless.json"
    os.mkfifo(pipe)
    with running("import", pipe) as process, pipe.open("w"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out, err.strip()) == (130, "", "")
