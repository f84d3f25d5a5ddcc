"""The commands for the sidecar: serve, status, healthcheck."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from qeetid_authz_server.settings import Settings
from tests.cli.running import PATIENCE, PREFIX, Cli, run_process, running

TEXTS = {
    *("issuer", "audience", "tls_certificate", "tls_key", "snapshot_dir"),
    *("routes", "cookie"),
}
"""Settings of which any text but none will do."""


@contextmanager
def serving(dsn: str, listen: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A sidecar that answers, and the address at which it does."""
    settings = {f"{PREFIX}DATABASE_URL": dsn, f"{PREFIX}LISTEN": listen}
    with running("serve", **settings) as process:
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "serving":
                yield process, event["url"]
                return
        raise AssertionError(process.wait(PATIENCE))


@pytest.fixture
def unix(tmp_path: Path) -> str:
    """The address of a Unix socket."""
    return f"unix:{tmp_path}/sidecar.sock"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_running_sidecar_tells_how_it_is(
    cli: Cli, database: str, unix: str, kind: str
) -> None:
    """Status speaks to people and programs, healthcheck through its exit code."""
    listen = unix if kind == "unix" else "127.0.0.1:0"
    with serving(database, listen) as (_, url):
        status = cli("status", "--url", url)
        body = cli("status", "--url", url, "--json").json
        healthcheck = cli("healthcheck", "--url", url)
        verbose = cli("healthcheck", "-v", "--url", url)

    assert (status.code, status.err) == (0, "")
    assert status.out.startswith("ready\n")
    assert (body["ready"], body["status"]) == (True, "ready")
    assert body["address"] == url.removeprefix("http://")
    assert body["revision"] in status.out
    assert (body["semantics"], body["entries"]["users"]) == ("strict", 0)
    shown = dict(line.split(maxsplit=1) for line in status.out.splitlines()[1:])
    assert shown.keys() == (body.keys() | body["entries"].keys()) - {"entries", "ready"}
    assert (shown["semantics"], shown["users"]) == ("strict", "0")
    assert healthcheck == (0, "", "")
    assert (verbose.code, body["revision"] in verbose.out) == (0, True)


def test_the_address_is_a_setting(
    cli: Cli, database: str, unix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's health check needs no arguments, and no database."""
    monkeypatch.setenv("QEETID_AUTHZ_LISTEN", unix)
    with serving(database, unix):
        assert cli("healthcheck").code == 0
        assert cli("status").code == 0


def test_a_sidecar_that_is_not_ready(cli: Cli, database: str, unix: str) -> None:
    """Where the feed can't be trusted any more it says so."""
    with serving(database, unix) as (_, url):
        with psycopg.connect(database) as connection:
            connection.execute("ALTER TABLE rbac.roles DISABLE TRIGGER ALL")
        status = until_unready(cli, url)
        healthcheck = cli("healthcheck", "--url", url)

    assert status.startswith("not ready\n")
    assert "feed_disarmed" in status
    assert healthcheck == (1, "", "")


def until_unready(cli: Cli, url: str) -> str:
    """What status says once it doesn't say that all is well."""
    while True:
        answer = cli("status", "--url", url)
        if answer.code != 0:
            assert answer.code == 1
            return answer.out


def test_serve_ends_well_when_told_to(database: str, unix: str) -> None:
    """SIGTERM is the ordinary end of a sidecar."""
    with serving(database, unix) as (process, _):
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out) == (0, "")


@pytest.mark.parametrize(
    ("dsn", "code"),
    [("host=/nonexistent", "database_unreachable"), (None, "schema_mismatch")],
)
def test_serve_does_not_start_without_a_database(
    empty_database: str, dsn: str | None, code: str
) -> None:
    """The last line on stderr is the error, in JSON when asked for."""
    given = {f"{PREFIX}DATABASE_URL": dsn or empty_database}
    answer = run_process("serve", "--json", "--listen", "127.0.0.1:0", **given)

    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    assert json.loads(answer.err.splitlines()[-1])["error"]["code"] == code


def test_serve_does_not_start_without_its_keys(database: str, tmp_path: Path) -> None:
    """A key file that isn't there is a wrong setting, named by its path."""
    missing = tmp_path / "keys.pem"
    given = {f"{PREFIX}DATABASE_URL": database, f"{PREFIX}LISTEN": "127.0.0.1:0"}
    answer = run_process("serve", "--jwks", missing, "--json", **given)
    error = json.loads(answer.err.splitlines()[-1])["error"]

    assert (answer.code, answer.out) == (2, "")
    assert error["code"] == "settings_invalid"
    assert error["problems"] == [
        f"QEETID_AUTHZ_JWKS is no source of keys: the key file `{missing}` can't be"
        " read: No such file or directory"
    ]


NEVER_FLAGS = {"snapshot_key", "proxy_secret"}
"""Secrets: everybody on the machine is shown the flags of its processes."""


def test_every_setting_is_a_flag(database: str) -> None:
    """What is wrong with any flag of `serve` is told at once, each by its name."""
    flags = [
        f"--{name.replace('_', '-')}={'' if name in TEXTS else 'x'}"
        for name in Settings.model_fields
        if name not in {"database_url", "jwks", *NEVER_FLAGS}
    ]
    answer = run_process(
        "--database-url", database, "serve", *flags, "--jwks=ftp://x/y", "--json"
    )
    problems = json.loads(answer.err.splitlines()[-1])["error"]["problems"]

    assert answer.code == 2
    assert [problem.split()[0] for problem in problems] == [
        PREFIX + name.upper()
        for name in Settings.model_fields
        if name not in {"database_url", *NEVER_FLAGS}
    ]


def test_serve_does_not_take_an_address_from_another(database: str) -> None:
    """An address in use is an error that names it."""
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        address = f"127.0.0.1:{occupant.getsockname()[1]}"
        given = {f"{PREFIX}DATABASE_URL": database}
        answer = run_process("serve", "--listen", address, **given)

    assert (answer.code, answer.out) == (2, "")
    assert f"error: can't listen on `{address}`" in answer.err


def test_a_sidecar_that_does_not_run(cli: Cli, unix: str) -> None:
    """To status that is an error, to a health check just not ready."""
    status = cli("status", "--url", unix, "--json")
    healthcheck = cli("healthcheck", "--url", unix)
    verbose = cli("healthcheck", "--url", unix, "-v")

    assert (status.code, status.error["code"]) == (2, "sidecar_unreachable")
    assert f"the sidecar at `{unix}` doesn't answer" in status.error["message"]
    assert healthcheck == (1, "", "")
    assert (verbose.code, verbose.err) == (1, status.error["message"] + "\n")


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "is no sidecar (HTTP 404)"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "is no sidecar (HTTP 200)"),
        (b"220 smtp ready\r\n", "doesn't answer (220 smtp ready"),
    ],
)
def test_what_answers_is_no_sidecar(cli: Cli, response: bytes, said: str) -> None:
    """Another server at the address isn't taken for one."""
    with answering(response) as address:
        answer = cli("status", "--url", f"http://{address}/")

    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


@contextmanager
def answering(response: bytes) -> Iterator[str]:
    """The address of a server that gives one response, whatever it is asked."""

    def respond() -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=respond)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()
