"""`/metrics`: what is counted, and that Prometheus can read it."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open,
)
from prometheus_client.parser import text_string_to_metric_families as parse

from qeetid_authz_server.app import make_app
from qeetid_authz_server.loading import load_settings
from qeetid_authz_server.telemetry.metrics import PREFIX
from tests.server.bearers import Office
from tests.server.sidecars import Wire, eventually, request, sidecar
from tests.server.test_batch import batch, send
from tests.server.town import ACME, ACME_KEY, ANN, EVE, KEY, target

UNITS = ("_seconds", "_bytes", "_total", "_info", "_ratio")
DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def scrape(base_url: str) -> dict[str, float]:
    """Samples by name and labels, as they are written."""
    reply = request(base_url, "/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (
        reply.status,
        reply.header("Content-Type"),
    )
    return {
        sample.name.removeprefix(PREFIX)
        + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in parse(reply.body.decode())
        for sample in family.samples
    }


def risen(base_url: str, act: Callable[[], object]) -> dict[str, float]:
    """By how much which of our counters rose while something was done."""
    before = scrape(base_url)
    act()
    after = scrape(base_url)
    return {
        name: after[name] - before.get(name, 0)
        for name in after
        if after[name] != before.get(name, 0)
        and name.startswith(
            ("decisions", "http_requests_total", "fast_path", "authentic")
        )
        and "/metrics" not in name
    }


def ask(base_url: str, user: str = ANN, **more: str) -> bool:
    """Ask once whether a user may, in a form that the fast path takes."""
    header = {"Authorization": f"ApiKey {ACME_KEY}"} | more
    reply = request(base_url, target(user_id=user), **header)  # type: ignore[arg-type]
    assert reply.status == 200
    return b"true" in reply.body


def test_the_fast_path_is_counted_like_the_framework(strict: str) -> None:
    """Which of the two answers makes no difference to decisions and requests."""
    ask(strict)  # Now the key is known.
    same = {
        "decisions_total,api=check,reason=granted,result=allow": 1,
        "decisions_total,api=check,reason=no_grant,result=deny": 1,
        "http_requests_total,code=200,method=GET,route=/v1/check": 2,
    }
    fast = risen(strict, lambda: (ask(strict), ask(strict, EVE)))
    slow = risen(
        strict,
        lambda: (
            ask(strict, Proxy_Connection="x"),
            ask(strict, EVE, Proxy_Connection="x"),
        ),
    )

    assert fast == same | {"fast_path_requests_total,route=/v1/check": 2}
    assert slow == same | {"authentications_total,result=ok": 2}


def test_checks_that_come_together_are_counted_once(strict: str) -> None:
    """Those answered are counted each; those left to the framework not twice."""
    head = f"GET {target()} HTTP/1.1\r\nHost: s\r\nAuthorization: ApiKey {ACME_KEY}"
    plain = f"{head}\r\n\r\n".encode()
    last = f"{head}\r\nProxy-Connection: x\r\n\r\n".encode()

    def send_each(*requests: bytes) -> None:
        with Wire(strict) as wire:
            wire.send(b"".join(requests))
            for _ in requests:
                assert wire.receive().status == 200

    send_each(plain)
    together = risen(strict, lambda: send_each(plain, plain, plain))
    mixed = risen(strict, lambda: send_each(plain, plain, last))

    granted = "decisions_total,api=check,reason=granted,result=allow"
    assert (3, 3) == (together[granted], mixed[granted])
    assert together["fast_path_requests_total,route=/v1/check"] == 3
    assert "fast_path_requests_total,route=/v1/check" not in mixed


def test_batches_explanations_and_refusals_are_counted(strict: str) -> None:
    """Each kind of question by itself; a refusal is a request, and no decision."""
    assert risen(strict, lambda: send(strict, batch([(ANN, KEY), (EVE, KEY)]))) == {
        "decisions_total,api=batch,reason=granted,result=allow": 1,
        "decisions_total,api=batch,reason=unstated,result=deny": 1,
        "http_requests_total,code=200,method=POST,route=/v1/check/batch": 1,
        "authentications_total,result=ok": 1,
    }
    explained = risen(
        strict, lambda: request(strict, target(explain="true"), key=ACME_KEY)
    )
    assert explained["decisions_total,api=explain,reason=granted,result=allow"] == 1
    assert risen(strict, lambda: request(strict, target(), key="qk_x.y")) == {
        "http_requests_total,code=401,method=GET,route=/v1/check": 1,
        "authentications_total,result=api_key_unknown": 1,
    }
    assert risen(strict, lambda: request(strict, target())) == {
        "http_requests_total,code=401,method=GET,route=/v1/check": 1,
        "authentications_total,result=credential_missing": 1,
    }


def test_what_nobody_knows_has_no_label_of_its_own(strict: str) -> None:
    """Paths, methods and ids that callers invent add no series."""
    path = f"/v1/users/{ANN}/tenants/{ACME}/permissions"
    template = "/v1/users/{user}/tenants/{tenant}/permissions"

    assert risen(strict, lambda: request(strict, "/v2/x", method="PROPFIND")) == {
        "http_requests_total,code=403,method=_OTHER,route=unmatched": 1
    }
    assert risen(strict, lambda: request(strict, "*\x7f")) == {
        "http_requests_total,code=400,method=_OTHER,route=unmatched": 1
    }
    known = risen(strict, lambda: request(strict, path, key=ACME_KEY))
    assert known[f"http_requests_total,code=200,method=GET,route={template}"] == 1


def test_no_secret_and_no_id_is_exposed(strict: str) -> None:
    """Whatever was asked before, by whomever."""
    ask(strict)
    request(strict, f"/v1/users/{ANN}/tenants/{ACME}/permissions", key=ACME_KEY)
    text = request(strict, "/metrics").body.decode()

    for secret in (ANN, ACME, KEY, *ACME_KEY.split(".")):
        assert secret not in text


def test_introspections_and_keys(strict_office: Office) -> None:
    """Both ways to answer an introspection count it; keys tell when they came."""
    base_url = strict_office.base_url
    form = strict_office.user().replace("Bearer ", "token=").encode()

    def introspect() -> None:
        reply = request(
            base_url,
            "/oauth/introspect",
            method="POST",
            body=form,
            key=ACME_KEY,
            Content_Type="application/x-www-form-urlencoded",
        )
        assert b'"active":true' in reply.body

    counted = {
        "decisions_total,api=introspect,reason=granted,result=allow": 1,
        "http_requests_total,code=200,method=POST,route=/oauth/introspect": 1,
    }
    slow, fast = risen(base_url, introspect), risen(base_url, introspect)
    assert slow == counted | {"authentications_total,result=ok": 1}
    assert fast == counted | {"fast_path_requests_total,route=/oauth/introspect": 1}

    samples = scrape(base_url)
    assert samples["key_refreshes_total,result=ok"] >= 1
    assert samples["key_refreshes_total,result=failed"] == 0
    assert samples["key_refresh_last_success_timestamp_seconds"] > 1_700_000_000


def test_the_replica_and_its_index(town: str, connection: psycopg.Connection) -> None:
    """Gauges follow the feed: how many there are, how old it is, what polls found."""
    with sidecar(town) as base_url:
        before = scrape(base_url)
        connection.execute("DELETE FROM rbac.user_roles")
        connection.execute('DELETE FROM "user".users WHERE id = %s', (EVE,))
        connection.commit()
        users = before["index_entries,kind=users"] - 1
        eventually(lambda: scrape(base_url)["index_entries,kind=users"] == users)
        after = scrape(base_url)

        assert (before["ready"], before["unready,cause=stale"]) == (1, 0)
        assert before["resyncs_total,cause=start"] == 1
        assert after["polls_total,result=changed"] >= 1
        assert after["polls_total,result=loaded"] == 1
        assert after["replica_xmin"] > before["replica_xmin"]
        assert (
            0 <= after["replica_age_seconds"] < after["replica_max_staleness_seconds"]
        )

        connection.execute("ALTER TABLE rbac.roles DISABLE TRIGGER ALL")
        connection.commit()
        eventually(lambda: scrape(base_url)["unready,cause=stale"] == 1)
        stale = scrape(base_url)
        assert stale["ready"] == 0
        assert stale["poll_failures_total,code=feed_disarmed"] >= 1
        assert stale["polls_total,result=failed"] >= 1


async def test_metrics_before_anything_is_loaded() -> None:
    """There are figures without a revision, and every counter is there at zero."""
    app = make_app(load_settings(database_url="host=/nonexistent"))
    app.cleanup_ctx.clear()
    async with TestClient(TestServer(app)) as client:
        reply = await client.get("/metrics")
        text = await reply.text()

    assert reply.status == 200
    assert f'{PREFIX}unready{{cause="loading"}} 1.0' in text
    assert f"{PREFIX}replica_age_seconds" not in text
    assert f'{PREFIX}resyncs_total{{cause="rewound"}} 0.0' in text


@pytest.fixture
def families(strict_office: Office) -> dict[str, tuple[str, str]]:
    """Types and help of our metrics by name, each with the suffix of its samples."""
    text = request(strict_office.base_url, "/metrics").body.decode()
    return {
        name: (kind, re.search(rf"# HELP {name} (.*)", text)[1])  # type: ignore[index]
        for name, kind in re.findall(rf"# TYPE ({PREFIX}\S+) (\S+)", text)
        if not name.endswith("_created")
    }


def test_names_are_as_prometheus_has_them(
    families: dict[str, tuple[str, str]],
) -> None:
    """Base units, `_total` for counters alone, a sentence of help each."""
    for name, (kind, text) in families.items():
        assert re.fullmatch(rf"{PREFIX}[a-z]+(_[a-z]+)*", name)
        assert (kind == "counter") is name.endswith("_total"), name
        assert not re.search(r"_(ms|millis|minutes|percent|count|sum)(_|$)", name)
        assert (kind == "histogram") is name.endswith("_duration_seconds"), name
        assert text.endswith("."), name


def test_every_metric_is_in_the_documentation(
    families: dict[str, tuple[str, str]],
) -> None:
    """The table names all there are with their types, and no other."""
    rows = re.findall(
        rf"\| `({PREFIX}\w+)(?:{{[^`]*}})?` \| (\w+) \|", DOCUMENT.read_text()
    )

    assert {name: kind for name, (kind, _) in families.items()} == dict(rows)


def test_promtool_has_nothing_to_say(strict_office: Office) -> None:
    """Its linter passes where it is installed; both formats can be parsed everywhere."""
    plain = request(strict_office.base_url, "/metrics")
    other = request(
        strict_office.base_url, "/metrics", Accept="application/openmetrics-text"
    )

    assert list(parse(plain.body.decode()))
    assert other.body.endswith(b"# EOF\n")
    assert list(parse_open(other.body.decode()))  # type: ignore[no-untyped-call]
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run(
            [promtool, "check", "metrics"],
            input=plain.body,
            capture_output=True,
            check=False,
        )
        assert (0, b"") == (done.returncode, done.stderr)
