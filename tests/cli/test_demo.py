"""The demonstration: it runs on an empty machine, and leaves it empty."""

import json
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import psycopg
import pytest

from tests.cli.running import PATIENCE, Cli, run_process, running

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary directory that any account may enter, so that root's server can."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def fetch(url: str, credential: str) -> Any:
    """What the sidecar answers to who presents a credential."""
    request = urllib.request.Request(url, headers={"Authorization": credential})
    with _DIRECT.open(request, timeout=PATIENCE) as response:
        return json.load(response)


def ask(base_url: str, api_key: str, **query: str) -> Any:
    """What the sidecar answers."""
    return fetch(f"{base_url}/v1/check?{urlencode(query)}", f"ApiKey {api_key}")


def paste(line: str) -> Any:
    """What a `curl` line fetches, on machines without curl too."""
    command, silent, option, header, url = shlex.split(line)
    assert (command, silent, option) == ("curl", "-s", "-H")
    return fetch(url, header.removeprefix("Authorization: "))


def end(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """Send a signal, and what is written until the process ends well."""
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    return out, err


def servers(directory: Path) -> list[int]:
    """The processes whose command line names a directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(str(directory) in word for word in process.cmdline()):
                found.append(process.pid)
    return found


def assert_nothing_is_left(directory: Path) -> None:
    """No server runs out of a temporary directory, and it is empty."""
    assert servers(directory) == []
    assert list(directory.iterdir()) == []


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; the test's own timeout is the limit."""
    while not condition():
        time.sleep(0.01)


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line of standard output."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_settings_without_a_database_are_heeded(
    temporary: Path, tmp_path: Path
) -> None:
    """A file and an environment that name no database configure the sidecar only."""
    config = tmp_path / "demo.toml"
    config.write_text('listen = "127.0.0.1:0"\n')
    elsewhere = {
        "PGSSLMODE": "require",
        "PGHOSTADDR": "127.0.0.9",
        "PGOPTIONS": "-cx=1",
    }
    arguments = ("demo", "--json", "--config", str(config))
    with running(*arguments, TMPDIR=str(temporary), **elsewhere) as process:
        said = json.loads(read_line(process))
        end(process, signal.SIGTERM)

    assert not said["base_url"].endswith(":4010")
    assert_nothing_is_left(temporary)


def test_a_program_reads_one_line(temporary: Path) -> None:
    """Everything in it is true, and until SIGTERM the sidecar answers."""
    with running("demo", "--json", TMPDIR=str(temporary)) as process:
        said = json.loads(read_line(process))
        answers = [
            ask(
                said["base_url"],
                said["api_key"],
                user_id=check["user_id"],
                tenant_id=said["tenant_id"],
                permission=check["permission"],
            )
            for check in said["checks"]
        ]
        known = {
            name: fetch(f"{said['base_url']}/v1/whoami", credential)["kind"]
            for name, credential in said["credentials"].items()
        }
        with psycopg.connect(said["database_url"]) as connection:
            row = connection.execute("SELECT key_hash FROM auth.api_keys").fetchone()
        family = psutil.Process(process.pid).children(recursive=True)
        out, _ = end(process, signal.SIGTERM)

    assert ["base_url", "database_url", "api_key", "tenant_id"] == list(said)[:4]
    assert ["jwks", "credentials", "checks"] == list(said)[4:]
    assert known.pop("agent_for_user") == "user"
    assert set(known) == {"user", "api_key", "service", "agent"}
    assert all(name == kind for name, kind in known.items())
    assert answers == [{"allowed": check["allowed"]} for check in said["checks"]]
    assert {check["allowed"] for check in said["checks"]} == {True, False}
    assert row is not None
    assert row[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert out == ""
    assert family
    assert [each for each in family if each.is_running()] == []
    assert_nothing_is_left(temporary)


def test_people_read_questions_answers_and_what_to_try(temporary: Path) -> None:
    """The line to paste works, and Ctrl-C ends it all."""
    lines: list[str] = []
    with running("demo", TMPDIR=str(temporary)) as process:
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(read_line(process))
            assert lines[-1], process.stderr and process.stderr.read()
        asked, who = [line for line in lines if line.startswith("curl ")]
        body, acting = paste(asked), paste(who)
        end(process, signal.SIGINT)
    text = "".join(lines)

    assert text.count("\n   allowed  ") == 2
    assert text.count("\n   denied  ") == 3
    assert "└── group Finance" in text
    assert "└── through group Finance" in text
    assert "(user_inactive)" in text
    assert (body["allowed"], len(body["paths"])) == (True, 1)
    assert ["billing:read", "manuscripts:read"] == acting["permissions"]
    assert_nothing_is_left(temporary)


@pytest.mark.parametrize(
    ("number", "begun"),
    [
        (signal.SIGTERM, "qeetid-postgres-*/"),
        (signal.SIGINT, "qeetid-postgres-*/data/postmaster.pid"),
        (signal.SIGHUP, "qeetid-postgres-*/data/postmaster.pid"),
    ],
)
def test_a_signal_while_it_starts_leaves_nothing(
    temporary: Path, number: signal.Signals, begun: str
) -> None:
    """Whatever was begun by then is taken back, and that is no error."""
    with running("demo", "--json", TMPDIR=str(temporary)) as process:
        wait_until(lambda: any(temporary.glob(begun)))
        out, _ = end(process, number)

    assert out == ""
    assert_nothing_is_left(temporary)


def test_an_empty_database_serves_as_well(empty_database: str) -> None:
    """No server is started, a taken port is no obstacle, and the tenants stay."""
    with (
        taking_the_usual_port(),
        running("demo", "--json", QEETID_AUTHZ_DATABASE_URL=empty_database) as process,
    ):
        said = json.loads(read_line(process))
        family = psutil.Process(process.pid).children(recursive=True)
        end(process, signal.SIGTERM)
    with psycopg.connect(empty_database) as connection:
        row = connection.execute("SELECT count(*) FROM tenant.tenants").fetchone()
    again = run_process("demo", QEETID_AUTHZ_DATABASE_URL=empty_database)

    assert said["database_url"] == empty_database
    assert not said["base_url"].endswith(":4010")
    assert family == []
    assert row == (3,)
    assert (again.code, "isn't empty" in again.err) == (2, True)


@contextmanager
def taking_the_usual_port() -> Iterator[None]:
    """Port 4010 is taken, by us if not by somebody else."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 4010)))
        yield


def test_a_database_that_is_not_empty_is_refused(cli: Cli, database: str) -> None:
    """Nothing is mixed into what is there."""
    answer = cli("demo", "--json", dsn=database)

    assert (answer.code, answer.out) == (2, "")
    assert answer.error["code"] == "demo"
    assert "isn't empty" in answer.error["message"]
    assert cli("export", "--json", dsn=database).json == {}
