"""Where a sidecar is, and what its client can be told."""

from pathlib import Path
from typing import Any

import pytest

from qeetid_authz import AsyncSidecarClient, SidecarClient
from qeetid_authz.sidecar.options import Address, ClientOptions, parse_address

SECRET = "qk_secretAA.hunter2hunter2hunter2"


@pytest.mark.parametrize(
    ("text", "address", "authority"),
    [
        ("http://127.0.0.1:4010", ("127.0.0.1", 4010, "", False), "127.0.0.1:4010"),
        ("http://[::1]:4010/", ("::1", 4010, "", False), "[::1]:4010"),
        ("http://Localhost", ("localhost", 80, "", False), "localhost:80"),
        (
            "https://authz.example",
            ("authz.example", 443, "", True),
            "authz.example:443",
        ),
        ("unix:/run/authz.sock", ("", 0, "/run/authz.sock", False), "localhost"),
    ],
)
def test_addresses(text: str, address: Any, authority: str) -> None:
    """A URL of a host and a port, or a Unix socket, as the sidecar says it listens."""
    assert parse_address(text) == Address(text.rstrip("/"), *address)
    assert authority == parse_address(text).authority


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:4010",
        "ftp://a:1",
        "http://",
        "http://a:0",
        "http://a:99999",
        "http://a:x",
        "http://a/v1",
        "http://a?x",
        "http://a#x",
        "http://é",
        "http://[::1",
        "unix:relative",
        "unix:/a\0b",
        "unix:",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """It is refused, and what would do is named."""
    with pytest.raises(ValueError, match="is `http://host:port`"):
        parse_address(text)


def test_a_password_in_an_address_is_not_quoted() -> None:
    """It is refused, and not said again."""
    with pytest.raises(ValueError, match="no user or password") as caught:
        SidecarClient(f"http://x:{SECRET}@a:1")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"timeout": 0}, "timeout `0`"),
        ({"timeout": float("inf")}, "timeout `inf`"),
        ({"at_least_timeout": -1}, "at_least_timeout `-1`"),
        ({"connections": 0}, "connections `0`"),
        ({"api_key": ""}, "api_key must be"),
        ({"api_key": f"ApiKey {SECRET}"}, "api_key must be"),
        ({"api_key": f"{SECRET}\r\nX: y"}, "api_key must be"),
        ({"api_key": SECRET.encode()}, "api_key must be"),
        ({"ca_file": __file__}, "ca_file is for `https:`"),
    ],
)
def test_options_that_make_no_sense(given: Any, rule: str) -> None:
    """The refusal names the option and the rule, and no key."""
    with pytest.raises(ValueError, match=rule) as caught:
        SidecarClient("http://127.0.0.1:1", **given)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("file", ["/nowhere/at/all", __file__])
def test_a_file_without_certificates(file: str) -> None:
    """It is named, and what it must be."""
    with pytest.raises(ValueError, match=f"ca_file `{file}` must be a PEM file"):
        SidecarClient("https://127.0.0.1:1", ca_file=Path(file))


def test_an_address_must_be_text() -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(TypeError, match="must be a string"):
        SidecarClient(b"http://127.0.0.1:1")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [SidecarClient, AsyncSidecarClient])
def test_nothing_shown_of_a_client_is_secret(kind: Any) -> None:
    """It is shown by its address, and its options without the key."""
    client = kind("http://127.0.0.1:1", api_key=SECRET)

    assert f"{kind.__name__}('http://127.0.0.1:1')" == repr(client)
    assert "hunter2" not in repr(ClientOptions(api_key=SECRET))
