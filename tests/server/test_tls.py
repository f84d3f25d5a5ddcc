"""TLS on the listener: who may be listened for without it, and what it carries."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from qeetid_authz_server.cli.probing import Door, ask_health
from qeetid_authz_server.listening.tls import client_context
from qeetid_authz_server.loading import SettingsError, load_settings
from tests.server.sidecars import Wire, sidecar
from tests.server.test_fastcheck import Counted
from tests.server.town import ACME_KEY, target


class Pair(NamedTuple):
    """The files of a certificate and of its key, as the settings name them."""

    tls_certificate: str
    tls_key: str


def make_pair(directory: Path, name: str = "sidecar", password: bytes = b"") -> Pair:
    """A certificate of 127.0.0.1 that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, SHA256())
    )
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    pair = Pair(*(str(directory / f"{name}.{kind}") for kind in ("crt", "key")))
    Path(pair.tls_certificate).write_bytes(certificate.public_bytes(Encoding.PEM))
    Path(pair.tls_key).write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    )
    return pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A certificate and its key."""
    return make_pair(tmp_path_factory.mktemp("tls"))


class TlsWire(Wire):
    """A connection to a sidecar over TLS, by the context that is given."""

    def __init__(self, base_url: str, context: ssl.SSLContext) -> None:
        super().__init__(base_url.replace("https://", "http://"))
        self._file.close()
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self._file = self.socket.makefile("rb")


def trusting(pair: Pair) -> ssl.SSLContext:
    """What trusts one certificate, for its name."""
    return ssl.create_default_context(cafile=pair.tls_certificate)


HEAD = f"GET {target()} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {ACME_KEY}\r\n\r\n"


def test_both_paths_answer_over_tls(
    town_database: str, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The framework and the fast path answer over TLS as they do without."""
    counted = Counted(monkeypatch)
    with (
        sidecar(town_database, **pair._asdict()) as base_url,
        TlsWire(base_url, trusting(pair)) as wire,
    ):
        assert base_url.startswith("https://127.0.0.1:")
        replies = []
        for _ in range(3):
            wire.send(HEAD.encode())
            replies.append(wire.receive())
        wire.send(HEAD.encode() * 40)  # answers of more than one TLS record
        replies += [wire.receive() for _ in range(40)]

    assert {(200, b'{"allowed":true}\n')} == {(r.status, r.body) for r in replies}
    names = [[name for name, _ in reply.headers] for reply in replies]
    assert all(each == names[0] for each in names)
    assert counted.answers >= 40


def test_a_certificate_is_recognised(town_database: str, pair: Pair) -> None:
    """A health check knows the sidecar by its certificate, and no other."""
    with sidecar(town_database, **pair._asdict()) as base_url:
        address = load_settings(
            database_url=town_database, listen=base_url.removeprefix("https://")
        ).address
        mine = client_context(pair.tls_certificate)
        others = client_context(make_pair(Path(pair[0]).parent, "other")[0])

        assert ask_health(Door(address, mine)).ready
        for context in (others, client_context(None), None):
            with pytest.raises(Exception, match="doesn't answer"):
                ask_health(Door(address, context))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_versions_are_refused(town_database: str, pair: Pair) -> None:
    """Who speaks nothing newer than TLS 1.1 isn't spoken with."""
    old = trusting(pair)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1_1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    recent = trusting(pair)
    recent.maximum_version = ssl.TLSVersion.TLSv1_2
    with sidecar(town_database, **pair._asdict()) as base_url:
        with TlsWire(base_url, recent) as wire:
            assert wire.socket.version() == "TLSv1.2"  # type: ignore[attr-defined]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            TlsWire(base_url, old)


def test_discovery_says_https(town_database: str, pair: Pair) -> None:
    """The URLs that callers follow are those of the scheme that was asked by."""
    from tests.issuer import SigningKey  # noqa: PLC0415

    pem = SigningKey().pem.decode()
    with (
        sidecar(town_database, jwks=pem, **pair._asdict()) as base_url,
        TlsWire(base_url, trusting(pair)) as wire,
    ):
        host = base_url.removeprefix("https://")
        path = "/.well-known/openid-configuration"
        wire.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert json.loads(wire.receive().body)["issuer"] == base_url


DSN = "host=db.test"


def problem(**flags: Any) -> str:
    """The one thing that is wrong with such settings."""
    with pytest.raises(SettingsError) as refused:
        load_settings(database_url=DSN, **flags)
    (only,) = refused.value.problems
    return only


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "box.test:1"])
def test_other_machines_come_over_tls(listen: str, pair: Pair) -> None:
    """An address that other machines reach wants a certificate, or a word of it."""
    said = problem(listen=listen)

    assert f"other machines come to QEETID_AUTHZ_LISTEN `{listen}`" in said
    assert "QEETID_AUTHZ_TLS_CERTIFICATE and QEETID_AUTHZ_TLS_KEY" in said
    load_settings(database_url=DSN, listen=listen, **pair._asdict())
    load_settings(database_url=DSN, listen=listen, plaintext="true")


def test_what_goes_together(pair: Pair) -> None:
    """Half a pair, a pair on a Unix socket, and a pair without TLS are refused."""
    both = "go together; give both or neither"
    assert both in problem(tls_certificate=pair.tls_certificate)
    assert both in problem(tls_key=pair.tls_key)
    assert "no use on a Unix socket" in problem(listen="unix:/a", **pair._asdict())
    assert "contradicts" in problem(plaintext=True, **pair._asdict())


def test_a_pair_of_no_use(town_database: str, pair: Pair, tmp_path: Path) -> None:
    """A sidecar doesn't start on such files, and says which and why."""
    other, locked = make_pair(tmp_path), make_pair(tmp_path, "locked", b"s3cret")
    broken = tmp_path / "broken"
    broken.write_text("no PEM")
    certificate = pair.tls_certificate
    for given, said in (
        (Pair(f"{tmp_path}/missing", pair.tls_key), "No such file"),
        (Pair(certificate, f"{tmp_path}/missing"), "TLS_KEY .*No such file"),
        (Pair(certificate, other.tls_key), "isn't the key of that certificate"),
        (Pair(certificate, str(broken)), "aren't both PEM"),
        (Pair(str(broken), pair.tls_key), "aren't both PEM"),
        (locked, "is encrypted"),
    ):
        with (
            pytest.raises(SettingsError, match=said),
            sidecar(town_database, **given._asdict()),
        ):
            raise AssertionError
    with pytest.raises(SettingsError, match="no certificate in PEM"):
        client_context(str(broken))
