"""How secrets are recognised: what it costs, and when it has to be paid again."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from qeetid_authz.credentials import secretchecks
from qeetid_authz.credentials.authentication import run, run_async
from qeetid_authz.credentials.hashes import DUMMY_HASH
from qeetid_authz.credentials.secretchecks import PENDING_A_NAME, SecretChecks
from qeetid_authz.errors import NotOpenError, OverloadedError
from qeetid_authz.ids import Id
from qeetid_authz.model import ApiKey
from tests.tables import named

ONE, TWO = named("key", 1), named("key", 2)


def row(secret: str = "secret") -> ApiKey:
    """A key's row; the stored hash of these tests is the secret itself."""
    return ApiKey(named("tenant", 1), None, "qk", secret, (), None, False)


KNOWN = [(ONE, row())]


class Verifier:
    """Compares in the clear, remembers what it was asked, waits while it is held."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.free = Event()
        self.free.set()

    def __call__(self, stored: str, secret: str) -> bool:
        self.asked.append((stored, secret))
        assert self.free.wait(10)
        return stored == secret


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    """A verifier that lets go at the end of the test."""
    verifier = Verifier()
    yield verifier
    verifier.free.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """One thread, on which secrets are verified one after the other."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def checks(verifier: Verifier, pool: ThreadPoolExecutor) -> SecretChecks[ApiKey]:
    """Checks that have verified nothing yet."""
    return SecretChecks(pool, verifier)


async def find(
    checks: SecretChecks[ApiKey],
    secret: str = "secret",
    candidates: list[tuple[Id, ApiKey]] = KNOWN,
) -> tuple[Id, ApiKey] | None:
    """Verify a secret, as if nobody had recognised it."""
    digest = checks.digest(secret)
    return await run_async(checks.find(digest, candidates, secret))


async def test_hashed_once(checks: SecretChecks[ApiKey], verifier: Verifier) -> None:
    """A secret that comes many times at once is hashed once, and recognised later."""
    verifier.free.clear()
    waiting = [asyncio.create_task(find(checks)) for _ in range(20)]
    await asyncio.sleep(0)
    verifier.free.set()
    found = await asyncio.gather(*waiting)

    assert found == KNOWN * 20
    assert checks.recognise(checks.digest("secret")) == KNOWN[0]
    assert verifier.asked == [("secret", "secret")]


async def test_one_who_leaves_takes_nobody_along(
    checks: SecretChecks[ApiKey], verifier: Verifier
) -> None:
    """Of two who wait for the same verification one may give up."""
    verifier.free.clear()
    first = asyncio.create_task(find(checks))
    second = asyncio.create_task(find(checks))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    verifier.free.set()

    assert await second == KNOWN[0]
    assert first.cancelled()
    assert len(verifier.asked) == 1


def test_each_candidate_may_be_meant(
    checks: SecretChecks[ApiKey], verifier: Verifier
) -> None:
    """Of several rows with one name the secret tells which."""
    candidates = [(ONE, row("one")), (TWO, row("two"))]

    found = run(checks.find(checks.digest("two"), candidates, "two"))

    assert found == candidates[1]
    assert verifier.asked == [("one", "two"), ("two", "two")]


async def test_an_unknown_name_costs_a_hash_too(
    checks: SecretChecks[ApiKey], verifier: Verifier
) -> None:
    """Whether a name exists can't be told from the time an answer takes."""
    assert await find(checks, "x", []) is None

    assert verifier.asked == [(DUMMY_HASH, "x")]


async def test_wrong_secrets_are_not_remembered(
    checks: SecretChecks[ApiKey], verifier: Verifier
) -> None:
    """A wrong secret is hashed each time, and never recognised."""
    for _ in range(2):
        assert await find(checks, "wrong") is None
        assert checks.recognise(checks.digest("wrong")) is None

    assert len(verifier.asked) == 2


async def test_too_many_of_a_name_are_sent_away(
    checks: SecretChecks[ApiKey], verifier: Verifier
) -> None:
    """Beyond the bound of one name nobody waits; other names go on."""
    verifier.free.clear()
    waiting = [
        asyncio.create_task(find(checks, f"wrong {n}")) for n in range(PENDING_A_NAME)
    ]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await find(checks, "one more")
    other = asyncio.create_task(find(checks, "two", [(TWO, row("two"))]))
    await asyncio.sleep(0)

    verifier.free.set()
    assert await asyncio.gather(*waiting) == [None] * PENDING_A_NAME
    assert await other == (TWO, row("two"))
    assert await find(checks, "one more") is None


async def test_too_many_names_are_sent_away(
    checks: SecretChecks[ApiKey], verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound of all names nobody waits."""
    monkeypatch.setattr(secretchecks, "PENDING_LIMIT", 3)
    verifier.free.clear()
    waiting = [
        asyncio.create_task(find(checks, f"{n}", [(named("key", n), row())]))
        for n in range(3)
    ]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await find(checks, "x", [(TWO, row("two"))])

    assert checks.waiting == 3
    verifier.free.set()
    assert await asyncio.gather(*waiting) == [None] * 3
    assert checks.waiting == 0


async def test_memory_is_bounded(
    pool: ThreadPoolExecutor, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more secrets are remembered than the limit says, the latest ones."""
    monkeypatch.setattr(secretchecks, "RECOGNISED_LIMIT", 3)
    checks: SecretChecks[ApiKey] = SecretChecks(pool, verifier)
    for n in range(4):
        assert await find(checks, f"{n}", [(ONE, row(f"{n}"))])

    recognised = [checks.recognise(checks.digest(f"{n}")) for n in range(4)]
    assert [each is not None for each in recognised] == [False, True, True, True]


async def test_closing_ends_what_waits(
    checks: SecretChecks[ApiKey], pool: ThreadPoolExecutor, verifier: Verifier
) -> None:
    """Who waits when the pool closes is told so, and so is who comes later."""
    verifier.free.clear()
    tasks = [asyncio.create_task(find(checks, f"{n}")) for n in range(2)]
    while not verifier.asked:
        await asyncio.sleep(0.001)
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(NotOpenError):
        await tasks[1]
    with pytest.raises(NotOpenError):
        await find(checks)

    verifier.free.set()
    assert await tasks[0] is None


def test_a_digest_is_keyed(checks: SecretChecks[ApiKey]) -> None:
    """The same text has another digest in another process, or only elsewhere."""
    assert checks.digest("a") == checks.digest("a")
    assert checks.digest("a") != checks.digest("b")
    assert checks.digest("a") != SecretChecks[ApiKey](checks._pool).digest("a")
