"""Secrets stay inside: nothing that a sidecar says or shows holds a piece of one."""

import ast
import traceback
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import make_conninfo

import qeetid_authz
import qeetid_authz_server
from qeetid_authz.errors import AuthzError, DatabaseError
from qeetid_authz.postgres.connecting import connect, describe
from qeetid_authz_server.cli.main import run
from qeetid_authz_server.loading import load_settings
from qeetid_authz_server.settings import PREFIX
from tests.issuer import Issuer, user_claims
from tests.keyserver import KeyServer
from tests.server.bearers import now
from tests.server.sidecars import exchange, request
from tests.server.test_serving import program
from tests.server.town import ACME, ACME_KEY, ANN, target

PIECE = 12  # characters
PASSWORD = "Zx8kQw3vRt7nLp2mJb"


def shown(secrets: Iterable[str], text: str) -> set[str]:
    """The pieces of secrets that a text holds."""
    return {
        piece
        for secret in secrets
        for piece in (secret[i : i + PIECE] for i in range(len(secret) - PIECE + 1))
        if piece in text
    }


def basic(secret: str) -> str:
    """A client's credentials in a header."""
    return f"Basic {b64encode(f'qci_nobody:{secret}'.encode()).decode()}"


def test_a_sidecar_tells_no_secret(settled_database: str) -> None:
    """At level debug neither its log, its answers nor its command line hold a piece."""
    issuer, stranger = Issuer(), Issuer()
    claims = user_claims(ANN, ACME, now())
    good = issuer.sign(claims)
    tokens = [
        good,
        good[:-8] + "AAAAAAAA",
        stranger.sign(claims, header={"kid": issuer.keys[-1].kid}),
        issuer.sign({**claims, "exp": 1}),
        issuer.sign({**claims, "aud": "Gf5hYk9sWd1eXc6u"}),
        "Vb3nHt8jKl5zMq0wEr7y",
    ]
    secret = "Pq4wSx7cDe1rFv9tGb"
    keys = [ACME_KEY, f"qk_acmeAAAA.{secret}", f"qk_nobody0.{secret}", secret]
    headers = [
        *(f"Bearer {token}" for token in tokens),
        *(f"ApiKey {key}" for key in keys),
        basic(secret),
        f"Basic {secret}",
        f"Digest {secret}",
        f"ApiKey \udcff{secret}",
    ]
    heads = [
        f"GET {at} HTTP/1.1\r\nHost: x\r\nAuthorization: {header}\r\n\r\n"
        for header in headers
        for at in (target(), "/v1/whoami")
    ]
    heads += [  # which nobody can read
        f"GET / HTTP/1.1\r\nAuthorization ApiKey {secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: ApiKey {secret}\x00\r\n\r\n",
        f"{secret} / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/9.{secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nExpect: {secret}\r\n\r\n",
        f"GET {target()}&key={secret} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET {target()} HTTP/1.1\r\nHost: x\r\nCookie: s={secret}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nA: {secret * 9000}\r\n\r\n",
    ]
    forms = [
        {"token": token, "client_id": "qci_nobody", "client_secret": secret}
        for token in (*tokens, secret)
    ]
    with KeyServer() as endpoint:
        endpoint.serve(issuer.as_jwks())
        jwks = endpoint.url.replace("//", f"//reader:{PASSWORD}@")
        with program(settled_database, LOG_LEVEL="debug", JWKS=jwks) as running:
            told = [
                exchange(running.base_url, head.encode("utf-8", "surrogateescape"))
                for head in heads
                for _ in range(2)  # the second may be recognised
            ]
            told += [
                request(
                    running.base_url,
                    "/oauth/introspect",
                    method="POST",
                    body=urlencode(form).encode(),
                    Content_Type="application/x-www-form-urlencoded",
                    **more,
                )
                for form in forms
                for more in ({}, {"Authorization": basic(secret)}, {"key": ACME_KEY})
            ]
            process = Path(f"/proc/{running.process.pid}")
            command, limits = (process / "cmdline").read_text(), process / "limits"
            (core,) = (x for x in limits.read_text().splitlines() if "core" in x)
            running.signal()
            running.read_until("stopped")

    secrets = [*tokens, *keys, basic(secret).partition(" ")[2], PASSWORD]
    secrets += [part for token in tokens for part in token.split(".")]
    assert {200, 400, 401} <= {reply.status for reply in told}
    assert 100 < len(running.log)
    assert not shown(secrets, repr(running.log))
    assert not shown(secrets, repr(told))
    assert not shown(secrets, command)
    assert core.split()[4:6] == ["0", "0"]


DSNS = [
    f"postgresql://reader:{PASSWORD}@127.0.0.1:1/qeetid",
    f"postgresql://reader:a/{PASSWORD}@127.0.0.1/qeetid",
    f"postgresql://reader:12/{PASSWORD}@127.0.0.1/qeetid",
    f"postgres://reader:{PASSWORD}/b@127.0.0.1/qeetid",
    f"postgresql://reader:a@{PASSWORD}@127.0.0.1/qeetid",
    f"postgresql://reader:a%zz{PASSWORD}@127.0.0.1/qeetid",
    f"postgresql://reader:a#?{PASSWORD}@127.0.0.1:1/qeetid",
    f"postgresql://reader:a?b@{PASSWORD}@127.0.0.1:1/qeetid",
    f"host=127.0.0.1 port=1 password=a {PASSWORD}",
    f"host=127.0.0.1 port=1 password='{PASSWORD}",
    f"host=127.0.0.1 port=1 pasword={PASSWORD}",
    f"host=127.0.0.1 port=1 sslpassword={PASSWORD} sslmode=loose",
    f"{PASSWORD}",
]


@pytest.mark.parametrize("dsn", DSNS)
def test_no_error_of_a_dsn_tells_its_password(
    dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the command nor the library's whole traceback holds a piece of one."""
    with pytest.raises(DatabaseError) as refused:
        connect(dsn)
    trace = "".join(traceback.format_exception(refused.value))
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", dsn)
    monkeypatch.setenv(f"{PREFIX}LISTEN", "127.0.0.1:0")

    assert run(["check", "a", "b", "c:d"]) == 2
    assert not shown([PASSWORD], trace + describe(dsn) + "".join(capsys.readouterr()))


def test_a_wrong_password_is_not_told(database: str) -> None:
    """What the server refuses is named by its user and address alone."""
    said = "let in"  # by a server that asks nobody
    try:
        connect(make_conninfo(database, password=PASSWORD)).close()
    except AuthzError:
        said = traceback.format_exc()

    assert not shown([PASSWORD], said)


@pytest.mark.parametrize(
    "flags",
    [
        ("--database-url", f"postgresql://reader:{PASSWORD}@127.0.0.1:1/x"),
        ("--database-url", f"host=127.0.0.1 port=1 password={PASSWORD}"),
        ("--jwks", f"https://reader:{PASSWORD}@keys.test/"),
    ],
)
def test_no_flag_of_a_server_holds_a_password(
    flags: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command line of a sidecar is for everybody to read: it doesn't start."""
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", "host=127.0.0.1 port=1")

    assert run(["serve", *flags]) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert "has a password in it" in said
    assert not shown([PASSWORD], said)


def test_settings_as_text_show_no_secret() -> None:
    """What may hold a password isn't in the settings' text."""
    settings = load_settings(
        database_url=f"host=x password={PASSWORD}", jwks=f"https://u:{PASSWORD}@h/k"
    )

    assert not shown([PASSWORD], f"{settings!r} {settings}")


SECRET = {"secret", "password", "credential", "digest", "presented", "signature"}
SECRET |= {"authorization", "api_key", "client_secret", "bearer", "block", "header"}


def compared(path: Path) -> list[str]:
    """Where a module compares by `==` what may be a secret."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            continue
        for side in (node.left, *node.comparators):
            match side:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    if name.lstrip("_") in SECRET:
                        found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
                case _:
                    pass
    return found


def test_secrets_are_compared_in_constant_time() -> None:
    """No module compares what was presented as a credential by `==`."""
    packages = (qeetid_authz, qeetid_authz_server)
    modules = [p for m in packages for p in Path(str(m.__file__)).parent.rglob("*.py")]

    assert 100 < len(modules)
    assert [] == [where for module in modules for where in compared(module)]
    assert len(compared(Path(__file__))) == 1


def test_the_search_for_comparisons_finds_one() -> None:
    """The test above fails where somebody compares so; this line is found by it."""
    secret = "a"
    assert secret == "a"
