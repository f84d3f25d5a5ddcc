"""The base URL of the hosted API: one that credentials may be sent to, or refused."""

import pytest

from qeetid_authz_server.hosted.origins import Origin, parse_origin
from qeetid_authz_server.loading import SettingsError, load_settings

DSN = "postgresql://reader@db.test/qeetid"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://api.id.qeet.in", Origin("https", "api.id.qeet.in", None, "")),
        ("https://api.id.qeet.in/", Origin("https", "api.id.qeet.in", None, "")),
        ("https://h:8443/a/b//", Origin("https", "h", 8443, "/a/b")),
        ("http://127.0.0.1:1", Origin("http", "127.0.0.1", 1, "")),
        ("http://[::1]:1/x", Origin("http", "::1", 1, "/x")),
        ("http://localhost", Origin("http", "localhost", None, "")),
    ],
)
def test_a_base_url(text: str, origin: Origin) -> None:
    """HTTPS anywhere, plain HTTP on this machine."""
    assert origin == parse_origin(text)
    assert text == load_settings(database_url=DSN, upstream=text).upstream


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must not be empty"),
        ("api.id.qeet.in", "must be a URL like https://api.id.qeet.in"),
        ("ftp://secret.test", "must be a URL"),
        ("https:///secret", "must be a URL"),
        ("https://secret.test/ x", "must be a URL"),
        ("https://secret.test/\r\nX: y", "must be a URL"),
        ("https://secret.test\\@evil.test", "must be a URL"),
        ("https://secret.test/é", "must be a URL"),
        ("https://u:secret@h.test", "must hold no credentials"),
        ("https://secret@h.test", "must hold no credentials"),
        ("https://@h.test", "must hold no credentials"),
        ("https://h.test/?key=secret", "must have no query"),
        ("https://h.test/#secret", "must have no query"),
        ("https://h.test/secret/../x", "must have no query, no fragment and no dot"),
        (
            "https://h.test/secret/%2e%2e/x",
            "must have no query, no fragment and no dot",
        ),
        ("http://secret.test", "must be https"),
        ("http://10.0.0.1/secret", "must be https"),
        ("https://secret.test:x", "must have a port from 0 to 65535"),
        ("https://secret.test:65536", "must have a port from 0 to 65535"),
        ("https://[secret", "must be a URL"),
    ],
)
def test_what_is_none_is_refused_and_not_repeated(text: str, rule: str) -> None:
    """It may hold what nobody is to read in a log."""
    with pytest.raises(SettingsError) as refused:
        load_settings(database_url=DSN, upstream=text)
    (problem,) = refused.value.problems

    assert problem.startswith("QEETID_AUTHZ_UPSTREAM")
    assert rule in problem
    assert "secret" not in problem
