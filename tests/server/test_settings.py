"""Settings: where they come from, and everything that can be wrong with them."""

from pathlib import Path
from typing import Any

import pytest

from qeetid_authz.model import Semantics
from qeetid_authz_server.addresses import TcpAddress, UnixAddress, parse_address
from qeetid_authz_server.settings import (
    PREFIX,
    CallerAuth,
    Settings,
    SettingsError,
    load_settings,
)

DSN = "postgresql://reader:s3cret@db.test/qeetid"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def problems(config: Path | None = None, **flags: Any) -> tuple[str, ...]:
    """Everything that is wrong with such settings."""
    with pytest.raises(SettingsError) as refused:
        load_settings(config, **flags)
    return refused.value.problems


def test_defaults() -> None:
    """Only the database has to be named."""
    settings = load_settings(database_url=DSN)

    assert settings.address == TcpAddress("127.0.0.1", 4010)
    assert settings.semantics is Semantics.STRICT
    assert settings.caller_auth is CallerAuth.REQUIRED
    assert settings.batch_limit == 10_000
    assert "s3cret" not in repr(settings)


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag wins over the environment, the environment over the file."""
    config = tmp_path / "qeetid-authz.toml"
    config.write_text(
        f'database_url = "{DSN}"\nlisten = "127.0.0.1:1"\nbatch_limit = 1\n'
        "max_staleness = 1\n"
    )
    monkeypatch.setenv("QEETID_AUTHZ_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("QEETID_AUTHZ_BATCH_LIMIT", "2")
    monkeypatch.setenv("QEETID_AUTHZ_SEMANTICS", "")

    settings = load_settings(config, listen="127.0.0.1:3", semantics=None)

    assert settings.listen == "127.0.0.1:3"
    assert settings.batch_limit == 2
    assert settings.max_staleness == 1
    assert settings.semantics is Semantics.STRICT


def test_settings_dont_change() -> None:
    """Settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings(database_url=DSN).listen = "x"


def test_polls_must_be_sooner_than_staleness() -> None:
    """A replica that looks more rarely than its bound would flap: it is refused."""
    assert problems(None, database_url=DSN, max_staleness=1, poll_interval=3) == (
        "QEETID_AUTHZ_POLL_INTERVAL `3` must be less than QEETID_AUTHZ_MAX_STALENESS"
        " `1.0`",
    )


def test_all_problems_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each problem has its own sentence: the setting, the value and the rule."""
    config = tmp_path / "x.toml"
    config.write_text('port = 4010\nlisten = "0.0.0.0:80"\nbatch_limit = 0\n')
    monkeypatch.setenv("QEETID_AUTHZ_MAX_STALENESS", "soon")
    monkeypatch.setenv("QEETID_AUTHZ_POLL_INTERVAL", "-1")

    found = problems(
        config,
        database_url="postgresql://reader:s3cret%zz@db.test/qeetid",
        semantics="loose",
        caller_auth="off",
        log_level="loud",
        drain_timeout=float("inf"),
    )

    assert found == (
        (
            "QEETID_AUTHZ_DATABASE_URL can't be read; write one like"
            " `postgresql://user@host:5432/qeetid`"
        ),
        "QEETID_AUTHZ_SEMANTICS `loose` must be 'strict' or 'mirror'",
        (
            "QEETID_AUTHZ_MAX_STALENESS `soon` must be a valid number, unable to parse"
            " string as a number"
        ),
        "QEETID_AUTHZ_POLL_INTERVAL `-1` must be greater than 0",
        (
            "QEETID_AUTHZ_CALLER_AUTH `off` lets every machine ask on QEETID_AUTHZ_LISTEN"
            " `0.0.0.0:80`; require authentication, or listen on a loopback address or a"
            " Unix socket"
        ),
        "QEETID_AUTHZ_BATCH_LIMIT `0` must be greater than or equal to 1",
        "QEETID_AUTHZ_LOG_LEVEL `loud` must be 'debug', 'info', 'warning' or 'error'",
        "QEETID_AUTHZ_DRAIN_TIMEOUT `inf` must be a finite number",
        (
            "`port` is no setting; there are database_url, listen, semantics,"
            " max_staleness, poll_interval, caller_auth, batch_limit, log_level,"
            " drain_timeout"
        ),
    )


@pytest.mark.parametrize("dsn", ["", "s3cret", "postgresql://u:s3cret@h:x%/d", "a="])
def test_a_dsn_is_never_repeated(dsn: str) -> None:
    """A DSN that can't be read is not quoted, as it holds a password."""
    (problem,) = problems(database_url=dsn)

    assert problem.startswith("QEETID_AUTHZ_DATABASE_URL can't be read")
    assert "s3cret" not in problem


def test_no_database() -> None:
    """A missing database is named as such, next to other problems."""
    assert problems(batch_limit=True) == (
        "QEETID_AUTHZ_DATABASE_URL is missing; give the DSN of the Qeet ID database",
        "QEETID_AUTHZ_BATCH_LIMIT `True` must be a number",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"listen = ", "Invalid value"),
        (b"\xff", "can't decode byte"),
    ],
)
def test_unreadable_file(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A file that isn't there, or is no TOML, is one problem among others."""
    config = tmp_path / "x.toml"
    if content is not None:
        config.write_bytes(content)

    (only,) = problems(config, database_url=DSN)
    from_file, from_flag = problems(config, database_url=DSN, batch_limit=0)

    assert from_file.startswith(f"the file `{config}` can't be read (")
    assert said in from_file
    assert only == from_file
    assert "BATCH_LIMIT" in from_flag


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
        ("[::1]:65535", TcpAddress("::1", 65535)),
        ("localhost:80", TcpAddress("localhost", 80)),
        ("unix:/run/a.sock", UnixAddress(Path("/run/a.sock"))),
    ],
)
def test_addresses(text: str, address: TcpAddress | UnixAddress) -> None:
    """An address is read, and written back the same."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4010",
        ":4010",
        "host:",
        "host:65536",
        "host:-1",
        "host:٣",
        "::1:80",
        "[::1:80",
        "[host]:80",
        "a b:80",
        "http://host:80",
        "unix:",
        "unix:a.sock",
    ],
)
def test_no_addresses(text: str) -> None:
    """Anything else is a problem that quotes it."""
    (problem,) = problems(database_url=DSN, listen=text)

    assert problem.startswith(f"QEETID_AUTHZ_LISTEN `{text}` must ")


@pytest.mark.parametrize(
    ("listen", "is_fine"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/a.sock", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("sidecar.test:1", False),
    ],
)
def test_open_only_on_this_machine(listen: str, is_fine: bool) -> None:
    """Without authentication only this machine may be listened to."""
    given: dict[str, Any] = {"database_url": DSN, "listen": listen}
    if is_fine:
        assert load_settings(**given, caller_auth="off").listen == listen
    else:
        (problem,) = problems(**given, caller_auth="off")
        assert "QEETID_AUTHZ_CALLER_AUTH `off`" in problem
        assert load_settings(**given).listen == listen
