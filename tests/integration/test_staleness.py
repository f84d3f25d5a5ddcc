"""Past its bound everything is refused, whatever has died, hung or was turned back."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from qeetid_authz import Principal
from qeetid_authz.authorizer import AsyncAuthorizer, Authorizer
from qeetid_authz.errors import NotOpenError, StaleError
from tests.integration.following import eventually
from tests.server.town import ACME, ANN, KEY, build

ann = Principal.user(ANN, ACME)
QUESTIONS: dict[str, Callable[[Authorizer], Any]] = {
    "can": lambda authz: authz.can(ann, KEY),
    "check": lambda authz: authz.check(ann, KEY),
    "check_many": lambda authz: authz.check_many([(ann, KEY)]),
    "can_many": lambda authz: authz.can_many(ann.tenant, [(ann.subject, KEY)]),
    "explain": lambda authz: authz.explain(ann, KEY),
    "require": lambda authz: authz.require(ann, KEY),
    "account": lambda authz: authz.account(ann),
    "effective_permissions": lambda authz: authz.effective_permissions(ann),
    "who_can": lambda authz: list(authz.who_can(ACME, KEY)),
}


@pytest.fixture
def town(connection: psycopg.Connection) -> psycopg.Connection:
    """A connection to a database where Ann is a clerk."""
    build(connection)
    return connection


@pytest.fixture
def silence(town: psycopg.Connection, database: str) -> Iterator[Callable[[], None]]:
    """Lets the database say nothing any more, though its connections stand."""
    with psycopg.connect(database) as blocker:

        def silence() -> None:
            blocker.execute("LOCK TABLE qeetid_authz.meta")

        yield silence


@pytest.mark.parametrize("question", QUESTIONS)
def test_who_wants_to_be_told_is_told(
    silence: Callable[[], None], database: str, question: str
) -> None:
    """Each question raises instead of denying, with the age and what to look for."""
    with Authorizer.open(database, max_staleness=0.3, raises_stale=True) as authz:
        QUESTIONS[question](authz)
        silence()
        eventually(lambda: authz._expired)
        with pytest.raises(StaleError, match=r"0\.\d seconds old.*followed"):
            QUESTIONS[question](authz)


def test_a_watch_that_dies_takes_all_answers_with_it(
    town: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `can` would go by what it knew for ever, should the feed die as well."""
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: died.set())
    with Authorizer.open(database) as authz:
        assert authz.can(ann, KEY)

        def fail() -> None:
            raise MemoryError

        monkeypatch.setattr(authz, "expire_credentials", fail)
        assert died.wait(20)
        for ask in (QUESTIONS["can"], QUESTIONS["check"]):
            with pytest.raises(NotOpenError, match="watches"):
                ask(authz)


def test_a_feed_whose_thread_is_dead_denies_in_time(
    town: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error on the feed's thread, not even its end, lets answers outlive the bound."""
    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: died.set())
    with Authorizer.open(database, max_staleness=0.3) as authz:
        monkeypatch.setattr(authz._follower, "_act", lambda _: sys.exit())
        authz._thread.join(20)
        assert not authz._thread.is_alive()
        eventually(lambda: not authz.can(ann, KEY))
        assert "stale" == authz.check(ann, KEY).reason


async def test_a_loop_that_is_blocked_denies_in_time(
    town: psycopg.Connection, database: str
) -> None:
    """The watch needs no event loop: who blocks it finds stale answers."""
    async with await AsyncAuthorizer.open(database, max_staleness=0.3) as authz:
        assert authz.can(ann, KEY)
        time.sleep(0.5)  # noqa: ASYNC251  (that is the fault)
        assert not authz.can(ann, KEY)
        assert "stale" == authz.check(ann, KEY).reason


async def test_a_task_that_was_cancelled_from_outside_denies_in_time(
    town: psycopg.Connection, database: str
) -> None:
    """An application that cancels every task of its loop gets no stale grants."""
    async with await AsyncAuthorizer.open(database, max_staleness=0.3) as authz:
        authz._task.cancel()
        await asyncio.sleep(0.6)
        assert not authz.can(ann, KEY)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_the_wall_clock_makes_nothing_older_or_younger(
    silence: Callable[[], None],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    jump: float,
) -> None:
    """An hour either way neither trips the bound nor puts it off."""
    real = time.time
    with Authorizer.open(database, max_staleness=1.0) as authz:
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        assert authz.check(ann, KEY)
        assert 0.0 <= authz.age < 1.0
        silence()
        eventually(lambda: "stale" == authz.check(ann, KEY).reason)
        assert 1.0 < authz.age < 30.0


def test_turning_the_clock_back_revives_no_credential(
    town: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a credential is judged by the database's clock where that is later."""
    real = time.time
    with Authorizer.open(database) as authz:
        before = authz._wall_clock()
        monkeypatch.setattr(time, "time", lambda: real() - 3600.0)
        assert before <= authz._wall_clock() < before + 60.0
