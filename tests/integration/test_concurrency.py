"""Many threads and tasks ask while changes are applied; every answer was true."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from threading import Event, Thread
from time import monotonic, sleep
from uuid import UUID

import pytest

from qeetid_authz import AsyncAuthorizer, Authorizer, Principal
from qeetid_authz.postgres.embedded import Server
from qeetid_authz.revision import Revision
from tests.faults.checking import History
from tests.faults.town import (
    DISTRICTS,
    KEYS,
    NAMES,
    PERMISSIONS,
    QUESTIONS,
    Author,
    Statement,
    build,
)
from tests.fixtures.postgres import new_database
from tests.integration.answers import Answer, Checker
from tests.truth import Grant

SECONDS = 4.0
THREADS = 6
TASKS = 6
PAIR = DISTRICTS[0].users[:2]
"""Users of the first tenant that get and lose a role together."""

Told = tuple[Iterable[Grant], Iterable[Grant], Iterable[Revision]]
"""What was asked, what holds of it, and at which revisions that was said."""


class Reader:
    """Asks at random in every way there is, and remembers what it was told."""

    def __init__(self, authz: Authorizer | AsyncAuthorizer, seed: int) -> None:
        self._authz = authz
        self._random = Random(seed)
        self._ways: tuple[Callable[[], Told], ...] = (
            self.can,
            self.check,
            self.check_many,
            self.explain,
            self.effective_permissions,
            self.who_can,
        )
        self.answers: list[Answer] = []

    def ask(self) -> None:
        """Ask once."""
        way = self._random.choice(self._ways)
        began = monotonic()
        age = self._authz.age
        asked, held, revisions = way()
        ended = monotonic()
        facts = frozenset(asked), frozenset(held), frozenset(revisions)
        self.answers.append(Answer(way.__name__, began, ended, age, *facts))

    def can(self) -> Told:
        who, key = self._random.choice(QUESTIONS)
        held = self._authz.can(who, key)
        return [_fact(who, key)], [_fact(who, key)] * held, []

    def check(self) -> Told:
        who, key = self._random.choice(QUESTIONS)
        said = self._authz.check(who, key)
        return [_fact(who, key)], [_fact(who, key)] * said.allowed, [said.revision]

    def explain(self) -> Told:
        who, key = self._random.choice(QUESTIONS)
        said = self._authz.explain(who, key)
        return [_fact(who, key)], [_fact(who, key)] * said.allowed, [said.revision]

    def check_many(self) -> Told:
        said = self._authz.check_many(QUESTIONS)
        asked = [_fact(who, key) for who, key in QUESTIONS]
        held = [fact for fact, one in zip(asked, said, strict=True) if one]
        return asked, held, [one.revision for one in said]

    def effective_permissions(self) -> Told:
        who, _ = self._random.choice(QUESTIONS)
        held = self._authz.effective_permissions(who)
        return [_fact(who, k) for k in KEYS], [_fact(who, k) for k in held], []

    def who_can(self) -> Told:
        tenant, key = self._random.choice(NAMES), self._random.choice(KEYS)
        held = [(tenant, who, key) for who in self._authz.who_can(tenant, key)]
        whose = [who for who, _ in QUESTIONS if who.tenant_id == tenant]
        return [_fact(who, key) for who in whose], held, []


def _fact(who: Principal, key: str) -> Grant:
    return who.tenant_id, who.id, key


@pytest.fixture
def town(cluster: Server) -> Iterator[str]:
    """The DSN of a database with a small town."""
    with new_database(cluster) as name:
        build(cluster.dsn(name))
        yield cluster.dsn(name)


class Pairing(Thread):
    """Has two users get and lose everything together, each time in one transaction."""

    def __init__(self, author: Author, over: Event) -> None:
        super().__init__(daemon=True)
        self._author = author
        self._over = over
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._author.write(*_permitted())
            while not self._over.is_set():
                self._author.write(*map(_got, PAIR))
                self._author.write(*map(_lost, PAIR))
        except BaseException as error:  # noqa: BLE001  (raised in the test)
            self.failure = error


def _permitted() -> list[Statement]:
    """The role of the pair grants all."""
    role = UUID(bytes=DISTRICTS[0].roles[0])
    return [
        (
            "INSERT INTO rbac.role_permissions (role_id, permission_id)"
            " VALUES (%(role)s, %(permission)s) ON CONFLICT DO NOTHING",
            {"role": role, "permission": UUID(bytes=permission)},
        )
        for permission in PERMISSIONS
    ]


def _got(user: bytes) -> Statement:
    return (
        "INSERT INTO rbac.user_roles (tenant_id, user_id, role_id)"
        " VALUES (%(tenant)s, %(user)s, %(role)s) ON CONFLICT DO NOTHING",
        {
            "tenant": UUID(bytes=DISTRICTS[0].tenant),
            "user": UUID(bytes=user),
            "role": UUID(bytes=DISTRICTS[0].roles[0]),
        },
    )


def _lost(user: bytes) -> Statement:
    return (
        "DELETE FROM rbac.user_roles WHERE user_id = %(user)s",
        {"user": UUID(bytes=user)},
    )


@contextmanager
def written(dsn: str, history: History) -> Iterator[None]:
    """All three tenants are written, the first in pairs and the others at random."""
    over = Event()
    authors = [Author(history, dsn, district) for district in DISTRICTS]
    pairing = Pairing(authors[0], over)
    writers: list[Thread] = [pairing, *authors[1:]]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        over.set()
        pairing.join()
        for author in authors:
            author.stop()
    assert pairing.failure is None, pairing.failure
    assert [] == [error for author in authors for error in author.errors]


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns so often that any two lines may come apart."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_are_told_what_was_true(town: str) -> None:
    """Whatever threads were told while changes were applied was true meanwhile."""
    history = History()
    over = Event()

    def asking(reader: Reader) -> None:
        while not over.is_set():
            reader.ask()
            sleep(0.001)

    with written(town, history), Authorizer.open(town, poll_interval=0.005) as authz:
        readers = [Reader(authz, seed) for seed in range(THREADS)]
        threads = [Thread(target=asking, args=[reader]) for reader in readers]
        for thread in threads:
            thread.start()
        sleep(SECONDS)
        over.set()
        for thread in threads:
            thread.join()
    assert_right(history, readers)


def test_tasks_are_told_what_was_true(town: str) -> None:
    """Whatever tasks were told while changes were applied was true meanwhile."""
    history = History()

    async def asking(reader: Reader, until: float) -> None:
        while monotonic() < until:
            reader.ask()
            await asyncio.sleep(0.001)

    async def main() -> list[Reader]:
        async with await AsyncAuthorizer.open(town, poll_interval=0.005) as authz:
            readers = [Reader(authz, seed) for seed in range(TASKS)]
            until = monotonic() + SECONDS
            await asyncio.gather(*(asking(reader, until) for reader in readers))
        return readers

    with written(town, history):
        readers = asyncio.run(main())
    assert_right(history, readers)


def assert_right(history: History, readers: list[Reader]) -> None:
    """No reader was told anything wrong, and there was enough to be wrong about."""
    checker = Checker(history)
    assert [] == [fault for each in readers for fault in checker.check(each.answers)]
    revisions = {
        revision
        for each in readers
        for answer in each.answers
        for revision in answer.revisions
    }
    assert len(revisions) > 20
    assert min(len(each.answers) for each in readers) > 100
    assert min(map(len, history.lines.values())) > 20
