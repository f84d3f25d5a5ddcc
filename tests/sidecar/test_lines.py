"""Connections: kept, bounded, replaced when they were closed, and never shared."""

import asyncio
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qeetid_authz import AsyncSidecarClient, NotOpenError, Reason, SidecarClient
from qeetid_authz.clocks import steady
from qeetid_authz.sidecar import asynclines, lines
from qeetid_authz.sidecar import opening as opening_module
from qeetid_authz.sidecar.messages import Unanswered
from qeetid_authz.sidecar.options import parse_address
from tests.server.bearers import Office
from tests.server.town import ACME_KEY, KEY, UNHELD_KEY
from tests.sidecar.asked import ann, narrow
from tests.sidecar.clients import catch_up, hurry, of_threads
from tests.sidecar.conftest import Opening
from tests.sidecar.scripted import ALLOWED, Scripted, answer_well


class Gate:
    """Holds a question until it is opened."""

    def __init__(self) -> None:
        self._asked, self._opened = threading.Event(), threading.Event()
        self.open = self._opened.set

    def hold(self, _: bytes) -> bytes:
        """Say yes, but not yet."""
        self._asked.set()
        assert self._opened.wait(10)
        return ALLOWED

    def wait(self) -> None:
        """Wait for the question."""
        assert self._asked.wait(10)


def test_one_connection_serves_them_all(opening: Opening) -> None:
    """Questions one after the other, the first included, use the same."""
    with Scripted() as scripted, opening(scripted.url) as client:
        for _ in range(20):
            assert client.can(ann, KEY)

    assert (1, 21) == (scripted.connections, len(scripted.requests))


def test_as_many_connections_as_questions_at_once(opening: Opening) -> None:
    """And no more than are allowed; who finds none free in time is denied."""
    barrier = threading.Barrier(3, timeout=5)

    def meet(_: bytes) -> bytes:
        barrier.wait()
        return ALLOWED

    with (
        Scripted() as scripted,
        opening(scripted.url, connections=3) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        scripted.says = meet
        for _ in range(3):
            assert all(pool.map(lambda _: client.can(ann, KEY), range(3)))
        assert 3 == scripted.connections


def test_no_connection_is_free(
    opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for one until its time is over is denied, and nothing is sent."""
    gate = Gate()
    with (
        Scripted() as scripted,
        opening(scripted.url, connections=1) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        scripted.says = gate.hold
        holding = pool.submit(client.can, ann, KEY)
        gate.wait()
        hurry(client)
        sent = len(scripted.requests)
        assert client.can(ann, KEY) is False
        assert sent == len(scripted.requests)
        gate.open()
        assert holding.result(5)

    assert ["busy"] == [each.__dict__["cause"] for each in caplog.records]


def test_a_connection_that_was_closed_is_replaced(opening: Opening) -> None:
    """What the sidecar closed while nobody asked costs no answer."""
    with Scripted() as scripted, opening(scripted.url) as client:
        for number in range(1, 4):
            assert client.can(ann, KEY)
            assert number == scripted.connections
            scripted.hang_up()
            catch_up(client)


def test_a_question_is_sent_once(opening: Opening) -> None:
    """No connection that breaks makes it ask again."""
    with Scripted() as scripted, opening(scripted.url) as client:
        assert client.can(ann, KEY)
        scripted.says = lambda _: b""
        sent = len(scripted.requests)
        assert not client.can(ann, KEY)
        assert sent + 1 == len(scripted.requests)


def test_a_connection_that_gets_old_is_left(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the sidecar closes it under a question."""
    monkeypatch.setattr(lines, "IDLE", 0.0)
    monkeypatch.setattr(asynclines, "IDLE", 0.0)
    with Scripted() as scripted, opening(scripted.url) as client:
        assert client.can(ann, KEY)
        assert 2 == scripted.connections


def test_the_last_answer_of_a_connection(opening: Opening) -> None:
    """A sidecar that says it closes is believed."""
    last = ALLOWED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with Scripted() as scripted, opening(scripted.url) as client:
        scripted.says = lambda _: last
        assert client.can(ann, KEY)
        assert client.can(ann, KEY)
        assert 2 == scripted.connections


def test_what_nobody_asked_for_is_nobodys_answer(
    opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection on which something came unasked is closed without ado, not read."""
    with Scripted() as scripted, opening(scripted.url) as client:
        assert client.can(ann, KEY)
        scripted.push(ALLOWED)
        catch_up(client)
        scripted.says = lambda request: answer_well(request).replace(b"true", b"false")
        assert not client.can(ann, KEY)
        assert 2 == scripted.connections

    assert [] == caplog.records


def test_an_answer_that_comes_late_is_nobodys(opening: Opening) -> None:
    """The next question isn't answered by what was meant for the one before."""
    late = threading.Event()

    def slow(request: bytes) -> bytes:
        late.wait(0.2)
        return ALLOWED

    with Scripted() as scripted, opening(scripted.url) as client:
        scripted.says = slow
        hurry(client)
        assert not client.can(ann, KEY)
        hurry(client, 10)
        scripted.says = lambda _: ALLOWED.replace(b"true", b"none")
        time.sleep(0.3)
        assert not client.can(ann, KEY)


def test_an_answer_that_drips_has_no_more_time(opening: Opening) -> None:
    """The timeout is for the whole of it, however many pieces it comes in."""
    with Scripted() as scripted, opening(scripted.url) as client:
        scripted.drips = True
        hurry(client, 0.15)
        began = time.monotonic()
        assert not client.can(ann, KEY)
        assert time.monotonic() - began < 1


def test_threads_get_their_own_answers(here: Office) -> None:
    """Many threads with different questions on few connections."""
    with (
        SidecarClient.open(
            here.base_url, api_key=ACME_KEY, connections=3, timeout=10
        ) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        asked = [(ann, KEY), (ann, UNHELD_KEY), (narrow, KEY), (narrow, UNHELD_KEY)]
        said = list(pool.map(lambda at: client.can(*asked[at % 4]), range(400)))

    assert [True, False, True, False] * 100 == said


async def test_tasks_get_their_own_answers(here: Office) -> None:
    """Many tasks with different questions on few connections, some given up."""
    async with await AsyncSidecarClient.open(
        here.base_url, api_key=ACME_KEY, connections=3, timeout=10
    ) as client:
        asked = [(ann, KEY), (ann, UNHELD_KEY), (narrow, KEY), (narrow, UNHELD_KEY)]
        tasks = [asyncio.create_task(client.can(*asked[at % 4])) for at in range(400)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in tasks[::5]:
            task.cancel()
        said = await asyncio.gather(*tasks, return_exceptions=True)

    expected = [True, False, True, False] * 100
    for at, (each, wanted) in enumerate(zip(said, expected, strict=True)):
        assert (
            isinstance(each, asyncio.CancelledError) if at % 5 == 0 else each is wanted
        )


def test_a_forked_child_asks_nothing(here: Office) -> None:
    """Its connections are the parent's, whose answers it would take."""
    with of_threads(here.base_url, api_key=ACME_KEY) as client:
        assert client.can(ann, KEY)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # we have threads
            child = os.fork()
        if child == 0:
            try:
                client.can(ann, KEY)
            except NotOpenError as error:
                os._exit(0 if "before a fork" in str(error) else 1)
            os._exit(2)
        _, status = os.waitpid(child, 0)

        assert 0 == os.waitstatus_to_exitcode(status)
        assert client.can(ann, KEY)
        opening_module._shut_all()  # as it is called there
        with pytest.raises(NotOpenError, match="before a fork"):
            client.can(ann, KEY)


async def test_what_is_not_awaited_allows_nothing(here: Office) -> None:
    """A forgotten `await` is an error where the answer counts, and no permission."""
    async with await AsyncSidecarClient.open(here.base_url, api_key=ACME_KEY) as client:
        question = client.can(ann, UNHELD_KEY)
        with pytest.raises(TypeError, match="must be awaited"):
            bool(question)
        assert not await question
        assert await asyncio.create_task(client.can(ann, KEY))
        given_up = client.can(ann, KEY)
        given_up.close()
        failing: Any = client.check(ann, KEY)
        with pytest.raises(KeyError):
            failing.throw(KeyError("x"))
        assert (await client.check(ann, UNHELD_KEY)).reason is Reason.NO_GRANT


def test_closing_while_a_question_is_under_way(opening: Opening) -> None:
    """It is answered yet, and its connection closed then."""
    gate = Gate()
    with (
        Scripted() as scripted,
        opening(scripted.url) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        scripted.says = gate.hold
        under_way = pool.submit(client.can, ann, KEY)
        gate.wait()
        client.close()
        gate.open()
        assert under_way.result(5)
        assert scripted.is_left()


def test_no_time_left() -> None:
    """Nothing is sent after the deadline."""
    with Scripted() as scripted:
        kept = lines.Lines(parse_address(scripted.url), None, 1)
        with pytest.raises(Unanswered) as caught:
            kept.exchange(b"GET / HTTP/1.1\r\n\r\n", steady() - 1)

    assert ("timeout", 0) == (caught.value.cause, len(scripted.requests))
