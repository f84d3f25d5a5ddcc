"""What every framework's little application serves, and how it is asked.

    /open    anybody           /write   requires("billing:write")
    /me      requires()        /both    requires("billing:read", "billing:write")
    /typo    requires("billing:wirte")

Each answers with the id of who sends the request, or `nobody`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, Self, TypeAlias

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.frameworks.asking import Authorizing, Source
from qeetid_authz.principal import Principal
from qeetid_authz.testing import AsyncInMemoryAuthorizer, InMemoryAuthorizer

READ, WRITE, TYPO = "billing:read", "billing:write", "billing:wirte"
REQUIRED = {"/write": (WRITE,), "/me": (), "/both": (READ, WRITE), "/typo": (TYPO,)}
NOBODY = "nobody"
World: TypeAlias = InMemoryAuthorizer | AsyncInMemoryAuthorizer


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: Mapping[str, str]
    text: str


class Served(Protocol):
    """An application that can be asked."""

    def get(self, path: str, *authorization: str) -> Answer:
        """The response to a request with such `Authorization` headers."""


Serving: TypeAlias = Callable[[Source], AbstractContextManager[Served]]


def name_of(principal: Principal | None) -> str:
    return NOBODY if principal is None else principal.id


class Awaited:
    """Every method awaited, as those of an asynchronous client of a sidecar are."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def authenticate(self, header: str) -> Principal:
        principal = self._world.authenticate(header)
        return principal if isinstance(principal, Principal) else await principal

    async def check(self, principal: Principal, key: str) -> Decision:
        return self._world.check(principal, key)

    async def check_many(
        self, questions: Iterable[tuple[Principal, str]]
    ) -> list[Decision]:
        return self._world.check_many(questions)

    async def explain(self, principal: Principal, key: str) -> Explanation:
        return self._world.explain(principal, key)


class Pending:
    """The same by plain methods that return what must be awaited."""

    def __init__(self, world: World) -> None:
        self._awaited = Awaited(world)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    def authenticate(self, header: str) -> Awaitable[Principal]:
        return self._awaited.authenticate(header)

    def check(self, principal: Principal, key: str) -> Awaitable[Decision]:
        return self._awaited.check(principal, key)

    def check_many(
        self, questions: Iterable[tuple[Principal, str]]
    ) -> Awaitable[list[Decision]]:
        return self._awaited.check_many(questions)

    def explain(self, principal: Principal, key: str) -> Awaitable[Explanation]:
        return self._awaited.explain(principal, key)


class Blocking:
    """Every method a plain call that may block, as those of a synchronous client do."""

    def __init__(self, world: InMemoryAuthorizer) -> None:
        self._world = world

    def authenticate(self, header: str) -> Principal:
        return self._world.authenticate(header)

    def check(self, principal: Principal, key: str) -> Decision:
        return self._world.check(principal, key)

    def check_many(self, questions: Iterable[tuple[Principal, str]]) -> list[Decision]:
        return self._world.check_many(questions)

    def explain(self, principal: Principal, key: str) -> Explanation:
        return self._world.explain(principal, key)


def one_of(kind: str) -> tuple[Authorizing, World]:
    """An authorizer of a kind, and the facts that it answers by."""
    if kind == "asynchronous":
        world = AsyncInMemoryAuthorizer()
        return world, world
    plain = InMemoryAuthorizer()
    kinds: dict[str, Callable[[], Authorizing]] = {
        "synchronous": lambda: plain,
        "awaited": lambda: Awaited(plain),
        "pending": lambda: Pending(plain),
        "blocking": lambda: Blocking(plain),
    }
    return kinds[kind](), plain


KINDS = ("synchronous", "asynchronous", "blocking", "awaited", "pending")
