"""Starting, listening and stopping, as a process does."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from qeetid_authz.errors import NotMigratedError, SchemaError, UnreachableError
from qeetid_authz.postgres.migrate import migrate, remove
from qeetid_authz_server.listening.listener import ListenError
from tests.server.sidecars import Wire, eventually, exchange, request, sidecar
from tests.server.test_batch import batch
from tests.server.test_check import ask
from tests.server.test_health import says
from tests.server.town import ACME_KEY, ANN, KEY

PROGRAM = (
    "from qeetid_authz_server.serving import run;"
    "from qeetid_authz_server.loading import load_settings;"
    "run(load_settings())"
)
PATIENT = "from qeetid_authz_server.incoming import bodies; bodies.PATIENCE = 600.0;"
BODY = batch([(ANN, KEY)])
HEAD = (
    "POST /v1/check/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    f"Authorization: ApiKey {ACME_KEY}\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()


class Program:
    """A sidecar in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.base_url = ""
        self.log: list[dict[str, object]] = []

    def read_until(self, event: str) -> dict[str, object]:
        """Read its log until an event; returns that line."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self.log.append(json.loads(text))
            if self.log[-1]["event"] == event:
                return self.log[-1]
        raise AssertionError(f"no {event} in {self.log}")

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(10)


@contextmanager
def started(database: str, source: str = PROGRAM, **settings: str) -> Iterator[Program]:
    """Start a sidecar with settings from the environment."""
    given = {"DATABASE_URL": database, "LISTEN": "127.0.0.1:0"} | settings
    environment = {f"QEETID_AUTHZ_{name}": value for name, value in given.items()}
    with subprocess.Popen(
        [sys.executable, "-c", source],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


@contextmanager
def program(database: str, source: str = PROGRAM, **settings: str) -> Iterator[Program]:
    """The same, once it serves."""
    with started(database, source, **settings) as running:
        running.base_url = str(running.read_until("serving")["url"])
        yield running


def is_refused(base_url: str) -> bool:
    """Whether nobody listens there any more."""
    try:
        Wire(base_url).__exit__()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # The listener closed while we came; the next is refused.
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_at_once_when_idle(town_database: str, number: int) -> None:
    """A signal ends an idle sidecar with status 0, connections kept alive or not."""
    with program(town_database) as running, Wire(running.base_url) as wire:
        wire.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.receive().status == 200
        running.signal(number)

        assert running.wait() == 0
        assert wire.is_closed()


def test_finishes_what_is_in_flight(town_database: str) -> None:
    """While draining, the request begun is answered, readiness denied, no one let in."""
    with (
        program(town_database) as running,
        Wire(running.base_url) as slow,
        Wire(running.base_url) as watching,
    ):
        watching.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert watching.receive().status == 200
        slow.send(HEAD + BODY[:10])
        eventually(lambda: ask(running.base_url).status == 200)
        running.signal()
        assert running.read_until("draining")["in_flight"] == 1
        eventually(partial(is_refused, running.base_url))

        watching.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        unready = watching.receive()
        assert unready.status == 503
        assert json.loads(unready.body)["cause"] == "draining"
        assert unready.header("Connection") == "close"

        slow.send(BODY[10:])
        answered = slow.receive()
        assert answered.status == 200
        assert json.loads(answered.body)["results"] == [{"allowed": True}]
        assert running.wait() == 0


def test_many_connections_at_once_wait_for_a_busy_sidecar(town_database: str) -> None:
    """A thousand connect while it can accept none; the first is answered after."""
    with (
        program(town_database, CALLER_AUTH="off") as running,
        ExitStack() as stack,
    ):
        running.signal(signal.SIGSTOP)
        wires = [stack.enter_context(Wire(running.base_url)) for _ in range(1000)]
        running.signal(signal.SIGCONT)
        wires[0].send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")

        assert wires[0].receive().status == 200


def test_a_drain_has_an_end(town_database: str) -> None:
    """Past the drain timeout, what is in flight is dropped, and the exit clean."""
    with (
        program(town_database, DRAIN_TIMEOUT="0.2") as running,
        Wire(running.base_url) as slow,
    ):
        slow.send(HEAD + BODY[:10])
        eventually(lambda: ask(running.base_url).status == 200)
        running.signal()

        assert running.read_until("drain_timed_out")["in_flight"] == 1
        assert running.wait() == 0


def test_a_second_signal_ends_the_drain(town_database: str) -> None:
    """A second signal doesn't wait for what is in flight."""
    with (
        program(town_database, DRAIN_TIMEOUT="600") as running,
        Wire(running.base_url) as slow,
    ):
        slow.send(HEAD + BODY[:10])
        eventually(lambda: ask(running.base_url).status == 200)
        running.signal()
        running.read_until("draining")
        running.signal(signal.SIGINT)

        assert running.wait() == 0
        assert slow.is_closed()  # unanswered


def test_a_drain_waits_for_no_silent_client(town_database: str) -> None:
    """A body of which nothing more comes is given up long before the drain's end."""
    with (
        program(town_database, PATIENT + PROGRAM, DRAIN_TIMEOUT="600") as running,
        Wire(running.base_url) as silent,
    ):
        silent.send(HEAD + BODY[:10])
        eventually(lambda: ask(running.base_url).status == 200)
        running.signal()

        refused = silent.receive()
        assert (refused.status, b"takes too long" in refused.body) == (400, True)
        assert silent.is_closed()
        assert running.wait() == 0


def test_a_signal_while_it_loads(town: str, connection: psycopg.Connection) -> None:
    """A sidecar that is still loading stops, too."""
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with connection.transaction():
        connection.execute("LOCK TABLE rbac.roles IN ACCESS EXCLUSIVE MODE")
        with started(town) as running:
            eventually(lambda: connection.execute(waiting).fetchone() is not None)
            running.signal()

            assert running.wait() == 0


def test_logs_without_secrets(town_database: str) -> None:
    """Every line is one JSON object, and none holds a key or a permission."""
    with program(town_database, LOG_LEVEL="debug") as running:
        assert ask(running.base_url).status == 200
        request(running.base_url, "/v1/check", key=ACME_KEY, X_Request_Id="mine")
        bad = f"GET / HTTP/1.1\r\nAuthorization ApiKey {ACME_KEY}\r\n\r\n"
        assert exchange(running.base_url, bad.encode()).status == 400
        assert request(running.base_url, "/x?permission=secret").status == 404
        with Wire(running.base_url) as wire:
            wire.send(HEAD + BODY[:10])
        running.signal()
        running.read_until("stopped")

    requests = [line for line in running.log if line["event"] == "request"]
    assert [line["level"] for line in requests] == ["debug", "info", "info", "info"]
    assert requests[2]["path"] == "/x"
    assert list(requests[1]) == [
        "ts",
        "level",
        "event",
        "method",
        "path",
        "status",
        "duration_ms",
        "request_id",
    ]
    assert (requests[1]["path"], requests[1]["request_id"]) == ("/v1/check", "mine")
    assert "request_unparsable" in {line["event"] for line in running.log}
    text = json.dumps(running.log)
    assert "exception" not in text
    assert "secret" not in text
    assert KEY not in text


def test_quiet_by_default(town_database: str) -> None:
    """At the default level a decision leaves no line, a refusal does."""
    with program(town_database) as running:
        ask(running.base_url)
        ask(running.base_url, permission="")
        running.signal()
        running.read_until("stopped")

    requests = [line for line in running.log if line["event"] == "request"]
    assert [line["status"] for line in requests] == [400]


def test_unix_socket(town_database: str, tmp_path: Path) -> None:
    """A Unix socket is for owner and group, and gone when the sidecar is."""
    path = tmp_path / "authz.sock"
    with program(town_database, LISTEN=f"unix:{path}", CALLER_AUTH="off") as running:
        assert running.base_url == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert ask(running.base_url).body == b'{"allowed":true}\n'
        running.signal()
        assert running.wait() == 0

    assert not path.exists()


def test_unix_socket_left_behind(town_database: str, tmp_path: Path) -> None:
    """A socket whose listener died is replaced; one that answers is not."""
    path = tmp_path / "authz.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    with sidecar(town_database, listen=f"unix:{path}") as base_url:
        assert ask(base_url).status == 200
        with (
            pytest.raises(ListenError, match="another process listens on"),
            sidecar(town_database, listen=f"unix:{path}"),
        ):
            pass
        assert ask(base_url).status == 200


def test_something_in_the_way(town_database: str, tmp_path: Path) -> None:
    """A file that is no socket is never removed."""
    path = tmp_path / "precious"
    path.write_text("data")

    with (
        pytest.raises(ListenError, match=f"`{path}` is in the way and no socket"),
        sidecar(town_database, listen=f"unix:{path}"),
    ):
        pass

    assert path.read_text() == "data"


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("unix:{tmp}/no/such.sock", "no such file or directory"),
        ("unix:{tmp}/" + "x" * 200, "path too long"),
        ("192.0.2.1:4010", "cannot assign requested address"),
        ("nowhere.invalid:4010", "[Nn]ame|[Aa]ddress|[Tt]emporary"),
    ],
)
def test_nowhere_to_listen(
    town_database: str, tmp_path: Path, listen: str, said: str
) -> None:
    """An address that can't be had is named, with what is wrong with it."""
    where = listen.format(tmp=tmp_path)
    with (
        pytest.raises(ListenError, match=said) as refused,
        sidecar(town_database, listen=where, plaintext=not where.startswith("unix:")),
    ):
        pass

    assert str(refused.value).startswith(f"can't listen on `{where}` (")


def test_port_taken(town_database: str, strict: str) -> None:
    """A port that somebody else has is refused by its name."""
    taken = strict.removeprefix("http://")
    with (
        pytest.raises(ListenError, match=f"`{taken}` .address already in use"),
        sidecar(town_database, listen=taken),
    ):
        pass


def test_ipv6(town_database: str) -> None:
    """An IPv6 address is listened on, and written in brackets."""
    with sidecar(town_database, listen="[::1]:0") as base_url:
        assert base_url.startswith("http://[::1]:")
        assert ask(base_url).status == 200


def test_database_that_cant_be_followed(empty_database: str) -> None:
    """What is wrong with the database comes out as it is."""
    with pytest.raises(UnreachableError), sidecar("host=/nowhere dbname=x"):
        pass
    with pytest.raises((NotMigratedError, SchemaError)), sidecar(empty_database):
        pass
    migrate(empty_database, bootstrap=True)
    remove(empty_database)
    with pytest.raises(NotMigratedError), sidecar(empty_database):
        pass


def test_ready_again_after_a_restart(town_database: str) -> None:
    """A sidecar that stopped can be started on the same address."""
    with sidecar(town_database) as base_url:
        assert says(base_url, 200, status="ready")
    with sidecar(town_database, listen=base_url.removeprefix("http://")) as again:
        assert again == base_url
        assert ask(again).status == 200
