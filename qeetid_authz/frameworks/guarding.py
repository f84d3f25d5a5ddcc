"""Views that were wrapped, so that none of them is served without what wraps it.

A route's decorator registers what is below it. Where `requires` stands above one, what
the route serves is the bare view, which anybody may call; whoever dispatches requests
asks `require_guarded` before. One view can't be served both ways: that looks the same.
"""

from collections.abc import Callable
from functools import update_wrapper
from inspect import isclass
from typing import Any
from weakref import WeakSet

_bare: WeakSet[Any] = WeakSet()


def guard(view: Callable[..., Any], guarded: Callable[..., Any]) -> Callable[..., Any]:
    """What is to be served in place of a view.

    Raises:
        TypeError: the view is a class or no function.
    """
    if isclass(view) or not callable(view):
        raise TypeError(
            f"`requires` can't wrap `{view!r}`; put it on a function, or on the methods"
            " of a class"
        )
    inner: Any = view
    while inner is not None:
        _bare.add(_function(inner))
        inner = getattr(inner, "__wrapped__", None)
    return update_wrapper(guarded, view)


def require_guarded(served: object) -> None:
    """Return when what a route serves isn't the inside of a guarded view.

    Raises:
        RuntimeError: it is, and so would be served to anybody.
    """
    if _function(served) in _bare:
        raise RuntimeError(
            f"`{served!r}` is served without its `requires`; write `requires` below the"
            " decorator that makes the route, and serve another function to anybody"
        )


def _function(view: object) -> object:
    """The function of a method, which is another object each time it is looked up."""
    return getattr(view, "__func__", view)
