"""A question that must be awaited, and that is never taken for its answer."""

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, NoReturn, TypeVar

_T = TypeVar("_T")


class Pending(Coroutine[Any, Any, _T]):
    """A coroutine that is neither true nor false.

    `if authz.can(...)` without `await` would let everybody in.
    """

    __slots__ = ("_work",)

    def __init__(self, work: Coroutine[Any, Any, _T]) -> None:
        self._work = work

    def __bool__(self) -> NoReturn:
        raise TypeError("a question to an AsyncSidecarClient must be awaited")

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._work.__await__()

    def send(self, value: Any) -> Any:
        """Go on; as a coroutine's own."""
        return self._work.send(value)

    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Any:
        """Go on with an error; as a coroutine's own."""
        del val, tb
        return self._work.throw(typ)

    def close(self) -> None:
        """Give up; as a coroutine's own."""
        self._work.close()
