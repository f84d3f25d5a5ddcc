"""Settings: where they come from, and everything that can be wrong with them."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from qeetid_authz.model import Semantics
from qeetid_authz_server.listening.addresses import (
    TcpAddress,
    UnixAddress,
    parse_address,
)
from qeetid_authz_server.loading import (
    SettingsError,
    load_settings,
    require_readable_keys,
)
from qeetid_authz_server.settings import PREFIX, CallerAuth, Settings
from tests.issuer import SigningKey
from tests.server.sidecars import sidecar

PEM = SigningKey().pem.decode()
PRIVATE = (
    SigningKey()
    .private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
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
    assert settings.jwks is None
    assert (settings.issuer, settings.audience) == ("qeet-id", "qeet-id")
    assert (settings.leeway, settings.max_token_life) == (0, 3600)
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
    monkeypatch.setenv("QEETID_AUTHZ_LEEWAY", "-1")
    monkeypatch.setenv("QEETID_AUTHZ_MAX_TOKEN_LIFE", "0")

    found = problems(
        config,
        database_url="postgresql://reader:s3cret%zz@db.test/qeetid",
        semantics="loose",
        jwks="ftp://issuer.test/keys",
        issuer="",
        audience="",
        caller_auth="off",
        log_level="loud",
        drain_timeout=float("inf"),
    )

    assert found == (
        (
            "QEETID_AUTHZ_DATABASE_URL can't be read; write one like"
            " `postgresql://user@host:5432/qeetid`, and percent-encode what a password"
            " has of `/`, `@`, `%` and blanks"
        ),
        (
            "QEETID_AUTHZ_PLAINTEXT `False` keeps credentials from travelling"
            " unencrypted, and other machines come to QEETID_AUTHZ_LISTEN `0.0.0.0:80`;"
            " give QEETID_AUTHZ_TLS_CERTIFICATE and QEETID_AUTHZ_TLS_KEY, or say `true`"
            " where a proxy in front ends TLS"
        ),
        "QEETID_AUTHZ_SEMANTICS `loose` must be 'strict' or 'mirror'",
        (
            "QEETID_AUTHZ_MAX_STALENESS `soon` must be a valid number, unable to parse"
            " string as a number"
        ),
        "QEETID_AUTHZ_POLL_INTERVAL `-1` must be greater than 0",
        (
            "QEETID_AUTHZ_JWKS is no source of keys: keys come from an `http:` or"
            " `https:` URL, from PEM or from a path, and not from a URL of `ftp:`"
        ),
        "QEETID_AUTHZ_ISSUER `` must not be empty; leave it out for the default",
        "QEETID_AUTHZ_AUDIENCE `` must not be empty; leave it out for the default",
        "QEETID_AUTHZ_LEEWAY `-1` must be greater than or equal to 0",
        "QEETID_AUTHZ_MAX_TOKEN_LIFE `0` must be greater than 0",
        (
            "QEETID_AUTHZ_CALLER_AUTH `off` lets every machine ask on QEETID_AUTHZ_LISTEN"
            " `0.0.0.0:80`; require authentication, or listen on a loopback address or a"
            " Unix socket"
        ),
        "QEETID_AUTHZ_BATCH_LIMIT `0` must be greater than or equal to 1",
        "QEETID_AUTHZ_LOG_LEVEL `loud` must be 'debug', 'info', 'warning' or 'error'",
        "QEETID_AUTHZ_DRAIN_TIMEOUT `inf` must be a finite number",
        (
            "`port` is no setting; there are database_url, listen, tls_certificate,"
            " tls_key, plaintext, semantics, max_staleness, poll_interval, jwks, issuer,"
            " audience, leeway, max_token_life, caller_auth, batch_limit,"
            " public_url, authzen_key, authzen_instances, authzen_subject_id, fast_path,"
            " routes, cookie, proxy_secret, log_level, at_least_timeout, snapshot_dir,"
            " snapshot_key, drain_timeout, upstream"
        ),
    )


@pytest.mark.parametrize("jwks", ["file:///x.pem", "file://host/x.pem", "s3://k/x"])
def test_a_url_of_another_scheme(jwks: str) -> None:
    """What else than HTTP is meant is said before anything about the host."""
    (problem,) = problems(database_url=DSN, jwks=jwks)

    scheme = jwks.partition("//")[0]
    assert problem.endswith(
        "keys come from an `http:` or `https:` URL, from PEM or from a path, and not"
        f" from a URL of `{scheme}`"
    )


def test_the_longest_token_life() -> None:
    """Revoked sessions are remembered for a year, so no token may live longer."""
    year = 31_622_400
    assert load_settings(database_url=DSN, max_token_life=year).max_token_life == year
    for life, rule in (
        (year + 1, f"must be less than or equal to {year}"),
        ("inf", "must be a finite number"),
        ("nan", "must be a finite number"),
    ):
        (problem,) = problems(database_url=DSN, max_token_life=life)
        assert problem == f"QEETID_AUTHZ_MAX_TOKEN_LIFE `{life}` {rule}"


@pytest.mark.parametrize("dsn", ["", "s3cret", "postgresql://u:s3cret@h:x%/d", "a="])
def test_a_dsn_is_never_repeated(dsn: str) -> None:
    """A DSN that can't be read is not quoted, as it holds a password."""
    (problem,) = problems(database_url=dsn)

    assert problem.startswith("QEETID_AUTHZ_DATABASE_URL can't be read")
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    "jwks",
    [
        "",
        " ",
        "https://u:s3cret@/keys",
        "https://u:s3cret@host:x/keys",
        "s3cret://u:s3cret@host/keys",
        '{"keys": "s3cret"}',
        "s3cret\n-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_source_of_keys_is_never_repeated(jwks: str) -> None:
    """What can't hold keys isn't quoted, as a password or a key may be in it."""
    (problem,) = problems(database_url=DSN, jwks=jwks)

    assert problem.startswith("QEETID_AUTHZ_JWKS is no source of keys: ")
    assert "u:s3cret" not in problem
    assert "PRIVATE" not in problem


def test_a_snapshot_key_that_is_short_is_refused_and_never_repeated() -> None:
    """Who could guess it could make what is believed; the message tells the rule only."""
    with pytest.raises(SettingsError) as raised:
        load_settings(database_url=DSN, snapshot_key="short")

    rule = "QEETID_AUTHZ_SNAPSHOT_KEY must have at least 16 characters"
    assert (rule,) == raised.value.problems


@pytest.mark.parametrize(
    ("secret", "rule"),
    [
        ("short", "must have at least 16 characters"),
        ("sixteen blanks !!", "must match pattern '^[!-~]+$'"),
        ("é" * 16, "must match pattern '^[!-~]+$'"),
    ],
)
def test_a_proxys_secret_of_no_use_is_refused_and_never_repeated(
    secret: str, rule: str
) -> None:
    """It must be long, and of what a header can hold."""
    assert problems(database_url=DSN, proxy_secret=secret) == (
        f"QEETID_AUTHZ_PROXY_SECRET {rule}",
    )
    good = load_settings(database_url=DSN, proxy_secret="s3cret-s3cret-s3cret")
    assert "s3cret" not in repr(good)


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"])
def test_proxies_are_known_by_a_secret_where_others_come(listen: str) -> None:
    """Who isn't the proxy could ask as if it were, but on this machine alone."""
    given: dict[str, Any] = {"routes": "r.yaml", "plaintext": True}
    given["database_url"] = DSN
    (problem,) = problems(listen=listen, **given)

    assert problem.startswith("QEETID_AUTHZ_PROXY_SECRET is missing: other machines")
    load_settings(listen=listen, proxy_secret="x" * 16, **given)
    for local in ("127.0.0.1:80", "unix:/x"):
        load_settings(listen=local, database_url=DSN, routes="r.yaml")


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "é"])
def test_what_is_no_name_of_a_cookie(name: str) -> None:
    """Only what HTTP calls a token."""
    (problem,) = problems(database_url=DSN, cookie=name)

    assert problem.startswith(f"QEETID_AUTHZ_COOKIE `{name}` must ")


def test_sources_of_keys() -> None:
    """A URL, a path and PEM are taken as they are, and shown to nobody."""
    for jwks in ("https://u:s3cret@host/keys", "keys.json", PEM):
        settings = load_settings(database_url=DSN, jwks=jwks)
        assert settings.jwks == jwks
        assert jwks not in repr(settings)


def startup_problem(jwks: str) -> str:
    """Why keys of no use are refused at start."""
    with pytest.raises(SettingsError) as refused:
        require_readable_keys(load_settings(database_url=DSN, jwks=jwks))
    (problem,) = refused.value.problems
    return problem.removeprefix("QEETID_AUTHZ_JWKS is no source of keys: ")


def test_keys_are_read_at_start(tmp_path: Path) -> None:
    """A file must be there and hold keys, PEM must be keys; an endpoint may be down."""
    missing, broken, good = (tmp_path / name for name in ("missing", "broken", "good"))
    broken.write_text("no keys")
    good.write_text(PEM)

    missing_file = f"the key file `{missing}` can't be read: No such file or directory"
    assert startup_problem(str(missing)) == missing_file
    assert startup_problem(str(tmp_path)).endswith("is no regular file")
    assert startup_problem(str(broken)).startswith("the key set ")
    assert startup_problem(PRIVATE).endswith("must be public, without its private part")
    for jwks in (str(good), PEM, "http://127.0.0.1:9/keys", None):
        require_readable_keys(load_settings(database_url=DSN, jwks=jwks))


def test_a_sidecar_wont_start_on_keys_of_no_use(town: str, tmp_path: Path) -> None:
    """A sidecar whose key file isn't there ends before it serves."""
    with (
        pytest.raises(SettingsError, match="No such file"),
        sidecar(town, jwks=str(tmp_path / "missing")),
    ):
        raise AssertionError


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
    given["plaintext"] = True
    if is_fine:
        assert load_settings(**given, caller_auth="off").listen == listen
    else:
        (problem,) = problems(**given, caller_auth="off")
        assert "QEETID_AUTHZ_CALLER_AUTH `off`" in problem
        assert load_settings(**given).listen == listen


@pytest.mark.parametrize(
    "url", ["https://authz.example", "https://a.example:8443/x/y-z", "https://[::1]:1"]
)
def test_a_public_url(url: str) -> None:
    """With a port and a plain path, if it has them."""
    assert url == load_settings(database_url=DSN, public_url=url).public_url


@pytest.mark.parametrize(
    "url",
    [
        "http://authz.example",
        "https://",
        "https://authz.example/",
        "https://authz.example/x/",
        "https://authz.example/a//b",
        "https://authz.example/a/../b",
        "https://authz.example/%41",
        "https://authz.example?",
        "https://authz.example?q=1",
        "https://authz.example#f",
        "https://user@authz.example",
        "https://Authz.example",
        "https://authz.example:",
        "https://authz.example:99999",
        "https://authz.example\n",
        "authz.example",
    ],
)
def test_no_public_url(url: str) -> None:
    """What could be written in another way, or be reached in plain text."""
    (problem,) = problems(database_url=DSN, public_url=url)

    assert f"QEETID_AUTHZ_PUBLIC_URL `{url}`" in problem


@pytest.mark.parametrize(
    "pattern", ["{type}:{action}", "{action}-of-{type}", "x{type}.{action}y"]
)
def test_a_key_pattern(pattern: str) -> None:
    """Both placeholders, parted, in either order."""
    settings = load_settings(database_url=DSN, authzen_key=pattern)

    assert pattern == settings.authzen_key


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "{type}",
        "{action}",
        "{type}{action}",
        "{type}:{type}",
        "{type}:{id}:{action}",
        "{type}:{action}:{action}",
        "{type}:{action}}",
        "{type}\t{action}",
        "{type!r}:{action}",
    ],
)
def test_no_key_pattern(pattern: str) -> None:
    """One that leaves something out, or that isn't read in one way only."""
    (problem,) = problems(database_url=DSN, authzen_key=pattern)

    assert problem.startswith(
        f"QEETID_AUTHZ_AUTHZEN_KEY `{pattern}` must have `{{type}}`"
    )


def test_keys_of_types_and_instances_are_told_apart() -> None:
    """Where instances count, no pattern may make keys of three parts."""
    given: dict[str, Any] = {"database_url": DSN, "authzen_instances": True}

    (problem,) = problems(**given, authzen_key="app:{type}:{action}")
    assert problem.startswith("QEETID_AUTHZ_AUTHZEN_INSTANCES `True` takes every key")
    for pattern in ("{type}:{action}", "app:x:{type}:{action}", "app.{type}.{action}"):
        assert load_settings(**given, authzen_key=pattern).authzen_instances
