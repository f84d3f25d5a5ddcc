"""TLS: how connections to the sidecar are encrypted, and how it is recognised."""

from pathlib import Path
from ssl import (
    PROTOCOL_TLS_SERVER,
    VERIFY_X509_PARTIAL_CHAIN,
    SSLContext,
    SSLError,
    TLSVersion,
    create_default_context,
)
from typing import NoReturn

from qeetid_authz_server.loading import SettingsError
from qeetid_authz_server.settings import PREFIX, Settings


def server_context(settings: Settings) -> SSLContext | None:
    """What connections are encrypted by; None where they aren't.

    TLS 1.2 is the oldest version that is spoken (RFC 9325, section 3.1.1).

    Raises:
        SettingsError: the certificate or its key is of no use, and why.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    _require_readable("TLS_CERTIFICATE", certificate)
    _require_readable("TLS_KEY", key)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.minimum_version = TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, _refuse_to_ask)
    except SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            said = "isn't the key of that certificate"
        else:
            said = "and the certificate aren't both PEM that can be used"
        raise _useless("TLS_KEY", key, said) from None
    except _EncryptedKeyError:
        raise _useless("TLS_KEY", key, "is encrypted; store it without") from None
    return context


def client_context(certificate: str | None) -> SSLContext:
    """What a sidecar is recognised by.

    Args:
        certificate: the file of the one that it must have, whatever name it is asked
            by; None for one that the system trusts, of the name it is asked by.

    Raises:
        SettingsError: there is no certificate in it.
    """
    if certificate is None:
        return create_default_context()
    _require_readable("TLS_CERTIFICATE", certificate)
    try:
        context = create_default_context(cafile=certificate)
    except SSLError:
        said = "is no certificate in PEM"
        raise _useless("TLS_CERTIFICATE", certificate, said) from None
    context.check_hostname = False
    context.verify_flags |= VERIFY_X509_PARTIAL_CHAIN
    return context


class _EncryptedKeyError(Exception):
    """A password would be needed."""


def _refuse_to_ask() -> NoReturn:
    """Called for a password, which OpenSSL would else ask the terminal for."""
    raise _EncryptedKeyError


def _require_readable(setting: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        said = f"can't be read ({error.strerror})"
        raise _useless(setting, path, said) from None


def _useless(setting: str, path: str, said: str) -> SettingsError:
    return SettingsError([f"{PREFIX}{setting} `{path}` {said}"])
