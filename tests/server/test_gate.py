"""How keys are recognised: what it costs, and when it has to be paid again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from threading import Event

import pytest

from qeetid_authz.apikeys import ApiKeys
from qeetid_authz.model import ApiKey, Changes, Snapshot
from qeetid_authz.revision import DOCUMENT_REVISION
from qeetid_authz_server import callers
from qeetid_authz_server.callers import KeyGate
from qeetid_authz_server.problems import Code, Problem
from tests.tables import named

ONE, TWO = named("key", 1), named("key", 2)
HEADER = "ApiKey qk_one.secret"


def row(prefix: str, secret: str = "secret") -> ApiKey:
    """A key's row; the stored hash of these tests is the secret itself."""
    return ApiKey(named("tenant", 1), None, prefix, secret, (), None, False)


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
def keys() -> ApiKeys:
    """One key."""
    keys = ApiKeys()
    keys.publish(Snapshot(DOCUMENT_REVISION, api_keys={ONE: row("qk_one")}))
    return keys


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    """A verifier that lets go at the end of the test."""
    verifier = Verifier()
    yield verifier
    verifier.free.set()


@asynccontextmanager
async def gate_of(
    keys: ApiKeys, verifier: Verifier, pending_limit: int = 8
) -> AsyncIterator[KeyGate]:
    """A gate over keys, closed at the end."""
    gate = KeyGate(keys, verifier, pending_limit)
    yield gate
    gate.close()


async def refusal(gate: KeyGate, header: str = HEADER) -> Code:
    """Why a caller is refused."""
    with pytest.raises(Problem) as refused:
        await gate.identify(header)
    return refused.value.code


async def test_hashed_once(keys: ApiKeys, verifier: Verifier) -> None:
    """A key that comes many times at once, and later again, is hashed once."""
    async with gate_of(keys, verifier) as gate:
        rows = await asyncio.gather(*(gate.identify(HEADER) for _ in range(20)))
        rows.append(await gate.identify(HEADER))

    assert rows == [keys.row(ONE)] * 21
    assert verifier.asked == [("secret", "secret")]


async def test_a_caller_who_leaves_takes_nobody_along(
    keys: ApiKeys, verifier: Verifier
) -> None:
    """Of two who wait for the same verification one may give up."""
    verifier.free.clear()
    async with gate_of(keys, verifier) as gate:
        first = asyncio.create_task(gate.identify(HEADER))
        second = asyncio.create_task(gate.identify(HEADER))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        verifier.free.set()

        assert await second == keys.row(ONE)
        assert first.cancelled()


async def test_whatever_doesnt_touch_the_row_costs_nothing(
    keys: ApiKeys, verifier: Verifier
) -> None:
    """Changes of other keys, and loading the same row anew, keep it recognised."""
    async with gate_of(keys, verifier) as gate:
        await gate.identify(HEADER)
        keys.publish(Changes(DOCUMENT_REVISION, api_keys={TWO: row("qk_two")}))
        keys.publish(Changes(DOCUMENT_REVISION, api_keys={ONE: row("qk_one")}))
        keys.publish(Snapshot(DOCUMENT_REVISION, api_keys={ONE: row("qk_one")}))
        await gate.identify(HEADER)

    assert len(verifier.asked) == 1


async def test_a_row_that_changed_is_verified_anew(
    keys: ApiKeys, verifier: Verifier
) -> None:
    """A key whose row changed is hashed again, and judged by the new row."""
    async with gate_of(keys, verifier) as gate:
        await gate.identify(HEADER)
        scoped = row("qk_one")._replace(scopes=("a",))
        keys.publish(Changes(DOCUMENT_REVISION, api_keys={ONE: scoped}))
        assert await gate.identify(HEADER) is keys.row(ONE)
        assert len(verifier.asked) == 2

        other = row("qk_one", "other")
        keys.publish(Changes(DOCUMENT_REVISION, api_keys={ONE: other}))
        assert await refusal(gate) is Code.KEY_INVALID


async def test_revoked_while_it_is_verified(keys: ApiKeys, verifier: Verifier) -> None:
    """A change that arrives during the verification counts."""
    verifier.free.clear()
    async with gate_of(keys, verifier) as gate:
        waiting = asyncio.create_task(refusal(gate))
        while not verifier.asked:
            await asyncio.sleep(0.001)
        keys.publish(Changes(DOCUMENT_REVISION, api_keys={ONE: None}))
        verifier.free.set()

        assert await waiting is Code.KEY_INVALID


async def test_unknown_prefix_costs_a_hash_too(
    keys: ApiKeys, verifier: Verifier
) -> None:
    """Whether a prefix exists can't be told from the time an answer takes."""
    async with gate_of(keys, verifier) as gate:
        assert await refusal(gate, "ApiKey qk_unknown.x") is Code.KEY_INVALID

    ((stored, secret),) = verifier.asked
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert secret == "x"


async def test_wrong_secrets_are_not_remembered(
    keys: ApiKeys, verifier: Verifier
) -> None:
    """A wrong secret is hashed each time, and the right one still works."""
    async with gate_of(keys, verifier) as gate:
        for _ in range(2):
            assert await refusal(gate, "ApiKey qk_one.wrong") is Code.KEY_INVALID
        assert await gate.identify(HEADER)

    assert len(verifier.asked) == 3


async def test_too_many_are_sent_away(keys: ApiKeys, verifier: Verifier) -> None:
    """Beyond the bound nobody waits, and whoever is known passes."""
    async with gate_of(keys, verifier, pending_limit=2) as gate:
        await gate.identify(HEADER)
        verifier.free.clear()
        waiting = [
            asyncio.create_task(refusal(gate, f"ApiKey qk_{n}.x")) for n in range(2)
        ]
        await asyncio.sleep(0)
        assert await refusal(gate, "ApiKey qk_3.x") is Code.UNAVAILABLE
        assert await gate.identify(HEADER)

        verifier.free.set()
        assert await asyncio.gather(*waiting) == [Code.KEY_INVALID] * 2
        assert await refusal(gate, "ApiKey qk_3.x") is Code.KEY_INVALID


async def test_memory_is_bounded(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more keys are remembered than the limit says; the oldest is hashed again."""
    monkeypatch.setattr(callers, "RECOGNISED_LIMIT", 3)
    keys = ApiKeys()
    rows = {named("key", n): row(f"qk_{n}") for n in range(4)}
    keys.publish(Snapshot(DOCUMENT_REVISION, api_keys=rows))
    async with gate_of(keys, verifier) as gate:
        for n in (0, 1, 2, 3, 3, 2, 1, 0):
            await gate.identify(f"ApiKey qk_{n}.secret")

    assert len(verifier.asked) == 5
