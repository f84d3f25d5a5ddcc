"""What of the SDKs' calls only the hosted API answers: passed on, or refused clearly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qeetid_authz_server.loading import load_settings
from qeetid_authz_server.settings import PREFIX, Settings
from tests.sdks.client import SDKS, Sdk, SdkError
from tests.server.sidecars import sidecar
from tests.server.town import ACME, ACME_KEY, ANN, KEY
from tests.server.upstreams import OK, Upstream

SNIPPETS = Path(__file__).parents[2] / "docs" / "integrations" / "sdks"
CREATING = [name for name in SDKS if name != "python"]


@pytest.fixture(scope="module")
def _door(settled_database: str, upstream: Upstream) -> Iterator[str]:
    with sidecar(settled_database, upstream=upstream.base_url) as base_url:
        yield base_url


@pytest.fixture
def through(name: str, _door: str, upstream: Upstream) -> Sdk:
    """An SDK whose base URL is that of a sidecar that passes on."""
    upstream.answer = OK
    upstream.requests.clear()
    return Sdk(name, _door, ACME_KEY)


def answer(status: str, body: bytes, *fields: str) -> bytes:
    """An answer of the hosted API."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_without_an_upstream(sdk: Sdk) -> None:
    """A management call says at once what is wrong, so that a log shows it."""
    with pytest.raises(SdkError) as refused:
        sdk.call("permissions")

    assert (404, "hosted_only") == (refused.value.status, refused.value.code)
    assert b"QEETID_AUTHZ_UPSTREAM" in sdk.replies[0].body
    assert (1, []) == (len(sdk.replies), sdk.waits)


def test_writes_without_an_upstream(sdk: Sdk) -> None:
    """They meet the gate that they meet on the hosted server, as forged."""
    with pytest.raises(SdkError) as exchanged:
        sdk.exchange("to.k.en", "client", "secret")
    assert (403, "http_403") == (exchanged.value.status, exchanged.value.code)
    if sdk.name in CREATING:
        with pytest.raises(SdkError) as created:
            sdk.call("create")
        assert (403, "http_403") == (created.value.status, created.value.code)
    assert [] == sdk.waits


def test_one_base_url_serves_everything(through: Sdk, upstream: Upstream) -> None:
    """Checks are answered here; the catalogue comes from upstream, as it was asked."""
    upstream.answer = answer("200 OK", b'{"items":[{"id":"1","key":"k"}]}')
    assert through.check(ANN, ACME, KEY)
    assert [] == upstream.requests
    assert [{"id": "1", "key": "k"}] == through.call("permissions")["items"]
    assert "GET /v1/permissions HTTP/1.1" == upstream.head[0]
    assert [f"ApiKey {ACME_KEY}"] == upstream.fields("Authorization")
    (agent,) = upstream.fields("User-Agent")
    assert agent.encode() in through.recorded("permissions")
    assert ["application/json"] == upstream.fields("Accept")


def test_a_token_is_exchanged_upstream(through: Sdk, upstream: Upstream) -> None:
    """With the client's own credentials and the form as it was."""
    upstream.answer = answer("200 OK", b'{"access_token":"t","expires_in":600}')
    assert "t" == through.exchange("to.k.en", "client", "secret")["access_token"]
    assert "POST /v1/oauth/token HTTP/1.1" == upstream.head[0]
    assert ["Basic Y2xpZW50OnNlY3JldA=="] == upstream.fields("Authorization")
    recorded = through.recorded(
        "exchange", token="to.k.en", basic="Y2xpZW50OnNlY3JldA=="
    )
    assert recorded.partition(b"\r\n\r\n")[2] == upstream.body


@pytest.mark.parametrize("name", CREATING)
def test_a_write_goes_upstream(through: Sdk, upstream: Upstream) -> None:
    """Once: an answer of 500 isn't repeated by anybody."""
    upstream.answer = answer("201 Created", b'{"id":"1"}')
    assert {"id": "1"} == through.call("create")
    assert b'{"name":"finance"}' == upstream.body

    upstream.answer = answer("500 Internal Server Error", b"")
    upstream.requests.clear()
    with pytest.raises(SdkError) as failed:
        through.call("create")
    assert (500, "http_500") == (failed.value.status, failed.value.code)
    assert 1 == len(upstream.requests)


def test_the_hosted_limit_comes_through(through: Sdk, upstream: Upstream) -> None:
    """A 429, with its empty body, is upstream's own: waited for and asked again."""
    upstream.answer = answer("429 Too Many Requests", b"", "Retry-After: 2")
    with pytest.raises(SdkError) as limited:
        through.call("permissions")

    assert (429, "http_429", 2) == (
        limited.value.status,
        limited.value.code,
        limited.value.retry_after,
    )
    assert [2, 2] == through.waits
    assert 3 == len(upstream.requests)


def test_an_upstream_that_is_away(name: str, settled_database: str) -> None:
    """An error that an SDK reads as such, after which checks go on."""
    with sidecar(settled_database, upstream="http://127.0.0.1:9") as base_url:
        sdk = Sdk(name, base_url, ACME_KEY)
        with pytest.raises(SdkError) as failed:
            sdk.call("permissions")
        assert (502, "upstream_failed") == (failed.value.status, failed.value.code)
        assert failed.value.request_id
        assert [1, 1] == sdk.waits
        assert sdk.check(ANN, ACME, KEY)


def test_the_documented_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are settings, and lead to one hosted API for keys and all else."""
    for field in Settings.model_fields:
        monkeypatch.delenv(PREFIX + field.upper(), raising=False)
    settings = load_settings(SNIPPETS / "sidecar.toml", database_url="dbname=x")

    assert settings.upstream is not None
    assert f"{settings.upstream}/.well-known/jwks.json" == settings.jwks
    assert f"`http://{settings.listen}`" in SNIPPETS.with_suffix(".md").read_text()
