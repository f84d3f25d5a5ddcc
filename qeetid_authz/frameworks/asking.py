"""Asking an authorizer of any kind, from threads and from event loops.

What an adapter has to ask is written once, as a generator that yields questions and is
sent the answers.
"""

from collections.abc import Awaitable, Callable, Generator, Iterable
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.engine.engine import Engine
from qeetid_authz.errors import AuthzError
from qeetid_authz.principal import Principal


class Authorizing(Protocol):
    """What adapters ask: an authorizer, or the client of a sidecar."""

    def authenticate(self, header: str, /) -> Principal | Awaitable[Principal]:
        """The principal that a credential stands for."""

    def check(
        self, principal: Principal, key: str, /
    ) -> Decision | Awaitable[Decision]:
        """The decision on one question."""

    def check_many(
        self, questions: Iterable[tuple[Principal, str]], /
    ) -> list[Decision] | Awaitable[list[Decision]]:
        """The decisions on several, all at one revision."""

    def explain(
        self, principal: Principal, key: str, /
    ) -> Explanation | Awaitable[Explanation]:
        """The decision with what would be enough."""


Source: TypeAlias = Authorizing | Callable[[], Authorizing]
"""What can be asked, or a function that gives it, for what is opened later."""


class Question(NamedTuple):
    """One call of an authorizer.

    Attributes:
        ask: makes it.
        blocks: whether it may keep its thread waiting.
    """

    ask: Callable[[], Any]
    blocks: bool


Found = TypeVar("Found")
Steps: TypeAlias = Generator[Question, Any, Found]
Offload: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function on another thread."""


def find(source: Source) -> Authorizing:
    """The authorizer of a source."""
    return source() if callable(source) else source


def authenticating(authz: Authorizing, header: str) -> Question:
    """Whom a header stands for; a secret that is new takes long to verify."""
    ask = partial(authz.authenticate, header)
    return Question(ask, blocks=not _is_asynchronous(authz, ask))


def asking(authz: Authorizing, method: Callable[..., Any], *args: Any) -> Question:
    """A question about permissions, which an engine answers from memory."""
    ask = partial(method, *args)
    in_memory = isinstance(authz, Engine)
    return Question(ask, blocks=not in_memory and not _is_asynchronous(authz, ask))


def _is_asynchronous(authz: Authorizing, ask: Callable[[], Any]) -> bool:
    """Whether calls return at once, with an answer to be awaited.

    So they do of what is opened on an event loop, whichever way it is written.
    """
    return hasattr(authz, "__aenter__") or iscoroutinefunction(ask)


def run(steps: Steps[Found], settle: Callable[[Awaitable[Any]], Any]) -> Found:
    """Ask in this thread.

    Args:
        steps: what to ask.
        settle: waits for an answer that must be awaited.
    """
    try:
        question = next(steps)
        while True:
            try:
                answer = question.ask()
                if isawaitable(answer):
                    answer = settle(answer)
            except AuthzError as error:
                question = steps.throw(error)
            else:
                question = steps.send(answer)
    except StopIteration as stop:
        found: Found = stop.value
        return found


async def run_async(steps: Steps[Found], offload: Offload) -> Found:
    """Ask on the running event loop, which isn't kept from other work."""
    try:
        question = next(steps)
        while True:
            try:
                answer = await _answer(question, offload)
            except AuthzError as error:
                question = steps.throw(error)
            else:
                question = steps.send(answer)
    except StopIteration as stop:
        found: Found = stop.value
        return found


async def _answer(question: Question, offload: Offload) -> Any:
    answer = await offload(question.ask) if question.blocks else question.ask()
    return await answer if isawaitable(answer) else answer


async def settled(answer: Awaitable[Any]) -> Any:
    """What comes of an answer; for frameworks that run coroutines from threads."""
    return await answer
