"""A sidecar that can't be asked: whatever it does, everything is denied in time."""

import logging
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qeetid_authz import PermissionDenied, Reason
from qeetid_authz.engine.published import NO_REVISION
from qeetid_authz.errors import SidecarUnavailableError, StaleError
from qeetid_authz.sidecar.messages import Unanswered
from qeetid_authz.sidecar.outages import EVERY, Outages
from tests.server.sidecars import eventually, sidecar
from tests.server.test_serving import program
from tests.server.town import ACME, ACME_KEY, ANN, KEY
from tests.sidecar.asked import QUESTIONS, ann, narrow
from tests.sidecar.clients import hurry, of_every_kind
from tests.sidecar.conftest import Opening
from tests.sidecar.scripted import RESET, REVISION, Scripted, reply

IN_TIME = 2.0
"""Seconds in which a question with the default timeout is surely over."""


def assert_denied(client: Any) -> None:
    """Whatever is asked is denied as it is by a stale replica, and in time."""
    began = time.monotonic()
    assert client.can(ann, KEY) is False
    assert client.can(narrow, KEY) is False
    decision = client.check(ann, KEY)
    assert (False, Reason.STALE) == (decision.allowed, decision.reason)
    assert (NO_REVISION, inf) == (decision.revision, decision.age)
    many = client.check_many([(ann, KEY), (narrow, KEY)])
    assert [Reason.STALE] * 2 == [each.reason for each in many]
    explanation = client.explain(ann, KEY)
    assert (False, KEY, Reason.STALE) == (
        explanation.allowed,
        explanation.permission,
        explanation.reason,
    )
    assert [] == client.effective_permissions(ann)
    assert [] == list(client.who_can(ACME, KEY))
    with pytest.raises(PermissionDenied, match="staleness bound"):
        client.require(ann, KEY)
    assert time.monotonic() - began < 8 * IN_TIME


def assert_unavailable(client: Any, cause: str) -> None:
    """What isn't a question of who may what says why it can't be told."""
    asking: list[Callable[[], Any]] = [
        lambda: client.authenticate("Bearer x"),
        lambda: client.wait_for("000000000000@790"),
        lambda: client.revision,
        lambda: client.age,
    ]
    for ask in asking:
        with pytest.raises(SidecarUnavailableError) as caught:
            ask()
        assert (cause, "sidecar_unavailable") == (caught.value.cause, caught.value.code)


def test_one_that_dies_and_comes_back(settled_database: str, tmp_path: Path) -> None:
    """Killed it denies everything; started again it is asked again, with no other step."""
    at = f"unix:{tmp_path}/socket"
    with (
        program(settled_database, LISTEN=at) as first,
        of_every_kind(at, api_key=ACME_KEY) as clients,
    ):
        assert all(client.can(ann, KEY) for client in clients)
        first.signal(signal.SIGKILL)
        first.process.wait()
        for client in clients:
            assert_denied(client)
            assert_unavailable(client, "unreachable")
        with program(settled_database, LISTEN=at):
            for client in clients:
                assert client.can(ann, KEY)
                assert client.check(ann, KEY)


def test_one_that_hangs(settled_database: str) -> None:
    """Stopped it denies everything within the timeout; going on it is asked again."""
    with (
        program(settled_database) as running,
        of_every_kind(running.base_url, api_key=ACME_KEY) as clients,
    ):
        running.signal(signal.SIGSTOP)
        for client in clients:
            hurry(client)
            assert_denied(client)
            hurry(client, 10)
        running.signal(signal.SIGCONT)
        for client in clients:
            eventually(partial(client.can, ann, KEY))


@pytest.mark.parametrize("listens", [True, False])
def test_nobody_there(opening: Opening, tmp_path: Path, listens: bool) -> None:
    """A client isn't opened where nobody answers, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"127.0.0.1:{silent.getsockname()[1] if listens else 1}"
        addresses = [f"http://{at}", f"https://{at}"]
        for address in addresses if listens else [*addresses, f"unix:{tmp_path}/x"]:
            with (
                pytest.raises(SidecarUnavailableError) as caught,
                opening(address, timeout=0.05 if listens else 10),
            ):
                pass
            assert ("timeout" if listens else "unreachable") == caught.value.cause


JUDGED = '{"decisions":[%s],' + REVISION.decode() + "}"
SAYINGS: dict[str, tuple[bytes | None, str]] = {
    "nothing": (None, "timeout"),
    "half of it": (reply(b'{"allowed":true}')[:-5], "timeout"),
    "good-bye": (b"", "broken"),
    "reset": (RESET, "broken"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", "garbled"),
    "no JSON": (reply(b'{"allowed":true}', kind="text/html"), "garbled"),
    "broken JSON": (reply(b'{"allowed":tru'), "garbled"),
    "broken text": (reply(b'{"allowed":"\xff"}'), "garbled"),
    "another type": (reply(b'{"allowed":"true"}'), "garbled"),
    "two answers": (reply(b'{"allowed":true}') * 2, "garbled"),
    "other decisions": (
        reply((JUDGED % '{"allowed":true,"reason":"granted"}, 1').encode()),
        "garbled",
    ),
    "a redirect": (reply(b"{}", 302), "unexpected"),
    "not found": (reply(b"404 page not found\n", 404, "text/plain"), "unexpected"),
    "forbidden by others": (reply(b"<html>", 403, "text/html"), "unexpected"),
    "forbidden otherwise": (reply(b'{"error":"csrf_failed"}', 403), "unexpected"),
    "a proxy's 502": (reply(b"<html>", 502, "text/html"), "failed"),
    "a fault": (
        reply(b'{"error":{"code":"internal","message":"x"}}', 500),
        "failed",
    ),
    "not ready": (
        reply(b'{"error":{"code":"unavailable","message":"x"}}', 503),
        "unavailable",
    ),
}


@pytest.mark.parametrize(("said", "cause"), SAYINGS.values(), ids=SAYINGS)
def test_one_that_says_something_else(
    opening: Opening, said: bytes | None, cause: str
) -> None:
    """Whatever isn't the answer to the question is none, and never allows."""
    options = {"at_least_timeout": 0.05}
    with Scripted() as scripted, opening(scripted.url, **options) as client:
        scripted.says = lambda _: said
        hurry(client, 0.05 if cause == "timeout" else 10)
        assert_denied(client)
        assert_unavailable(client, cause)


@pytest.mark.parametrize(
    "judged",
    [
        '{"allowed":true,"reason":"no_grant"}',
        '{"allowed":false,"reason":"granted"}',
        '{"allowed":true,"reason":"because"}',
        '{"allowed":true}',
        "",
        '{"allowed":true,"reason":"granted"},{"allowed":true,"reason":"granted"}',
    ],
)
def test_decisions_that_contradict_themselves(opening: Opening, judged: str) -> None:
    """They are denials, as are more or fewer of them than were asked for."""
    with Scripted() as scripted, opening(scripted.url) as client:
        scripted.says = lambda _: reply((JUDGED % judged).encode())
        assert client.can(narrow, KEY) is False
        assert Reason.STALE is client.check(ann, KEY).reason
        assert Reason.STALE is client.explain(ann, KEY).reason


@pytest.mark.parametrize(
    "body",
    [
        '{"kind":"user","id":"x","tenant_id":"x"}',
        f'{{"kind":"root","id":"{ANN}","tenant_id":"{ACME}"}}',
        f'{{"kind":"user","id":"{ANN}","tenant_id":"{ACME}","except":[]}}',
    ],
)
def test_a_principal_that_is_none(opening: Opening, body: str) -> None:
    """Nobody is made of an answer that isn't understood in full."""
    with Scripted() as scripted, opening(scripted.url) as client:
        scripted.says = lambda _: reply(body.encode())
        with pytest.raises(SidecarUnavailableError) as caught:
            client.authenticate("Bearer x")
    assert "garbled" == caught.value.cause


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_raising_in_place_of_denying(
    opening: Opening, ask: Callable[[Any], Any]
) -> None:
    """With `raises_stale` nothing is denied that can't be told."""
    with Scripted() as scripted, opening(scripted.url, raises_stale=True) as client:
        scripted.says = lambda _: b""
        with pytest.raises(StaleError, match=f"`{scripted.url}` can't be asked"):
            ask(client)


@pytest.mark.parametrize("caller_auth", ["off", "required"])
def test_one_that_is_stale(
    town: str, connection: psycopg.Connection, caller_auth: str
) -> None:
    """A sidecar that has lost its database is one that can't be asked."""
    with (
        sidecar(town, caller_auth=caller_auth, max_staleness=600.0) as base_url,
        of_every_kind(base_url, api_key=ACME_KEY, timeout=5) as quiet,
        of_every_kind(base_url, api_key=ACME_KEY, timeout=5, raises_stale=True) as loud,
    ):
        assert all(client.can(ann, KEY) for client in [*quiet, *loud])
        connection.execute("DROP SCHEMA qeetid_authz CASCADE")
        eventually(lambda: _is_stale(loud[0]))
        for client in loud:
            for ask in QUESTIONS.values():
                with pytest.raises(StaleError):
                    ask(client)
        for client in quiet:
            assert Reason.STALE is client.check(ann, KEY).reason
            assert Reason.STALE is client.explain(narrow, KEY).reason
            assert not client.can(ann, KEY)
            assert not client.can(narrow, KEY)
            assert [] == client.effective_permissions(ann)
            assert [] == list(client.who_can(ACME, KEY))


def _is_stale(client: Any) -> bool:
    try:
        client.can(ann, KEY)
    except StaleError:
        return True
    return False


def test_half_a_list_is_none(opening: Opening) -> None:
    """A page that doesn't come is told, and one that leads in a circle is none."""
    page = f'{{"ids":["{ANN}"],"next":"{ANN}",{REVISION.decode()}}}'
    with Scripted() as scripted, opening(scripted.url) as client:
        scripted.says = lambda _: reply(page.encode())
        with pytest.raises(StaleError, match="its pages lead nowhere"):
            list(client.who_can(ACME, KEY))


def test_the_log_tells_of_it_once(
    opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    """Of many questions one line, with the cause; no credential is in it."""
    key = "qk_secretAA.hunter2hunter2hunter2"
    with (
        caplog.at_level(logging.INFO, "qeetid_authz"),
        Scripted() as scripted,
        opening(scripted.url, api_key=key) as client,
    ):
        scripted.says = lambda _: b""
        for _ in range(7):
            assert not client.can(ann, KEY)
    (line,) = (each.__dict__ for each in caplog.records)

    assert ("sidecar_failed", "broken", 1) == (
        line["event"],
        line["cause"],
        line["unanswered"],
    )
    assert scripted.url in caplog.text
    assert "hunter2" not in caplog.text


def test_the_log_tells_how_many_were_unanswered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once, and from then on one line in so many seconds, of all since the last."""
    times = iter([0.0, 1.0, EVERY - 0.1, EVERY, EVERY + 1, 3 * EVERY])
    outages = Outages("http://x:1", lambda: next(times))
    for _ in range(6):
        outages.note(Unanswered("timeout", "it doesn't answer in time"))

    told = [each.__dict__["unanswered"] for each in caplog.records]
    assert [1, 3, 2] == told
