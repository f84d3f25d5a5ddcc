"""What adapters share: what may be required, and what is wrapped."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from qeetid_authz.frameworks import (
    aiohttp,
    django,
    drf,
    fastapi,
    flask,
    starlette,
)
from qeetid_authz.frameworks.asking import run
from qeetid_authz.frameworks.guarding import guard, require_guarded
from qeetid_authz.frameworks.visits import DENIED, Visit, permit
from qeetid_authz.testing import InMemoryAuthorizer
from tests.frameworks.served import WRITE, Blocking

ADAPTERS = (aiohttp, django, drf, fastapi, flask, starlette)
WRAPPING = (aiohttp, django, flask, starlette)

each = pytest.mark.parametrize("adapter", ADAPTERS)
each_that_wraps = pytest.mark.parametrize("adapter", WRAPPING)


@each
def test_keys_are_read_when_a_view_is_defined(adapter: Any) -> None:
    """What is no key is told then, not by the first request."""

    def view() -> None:
        raise AssertionError

    for mistaken in (view, [WRITE], None):
        with pytest.raises(TypeError, match=r"write `requires\(\"billing:write\"\)`"):
            adapter.requires(mistaken)
    with pytest.raises(ValueError, match="a permission key is empty"):
        adapter.requires(WRITE, "")


@each_that_wraps
def test_what_is_no_function(adapter: Any) -> None:
    """A class has methods to put it on."""
    with pytest.raises(TypeError, match="put it on a function, or on the methods"):
        adapter.requires(WRITE)(type("View", (), {}))
    with pytest.raises(TypeError, match="`requires` can't wrap `'billing:write'`"):
        adapter.requires(WRITE)(WRITE)


@each_that_wraps
def test_a_wrapped_view_is_still_itself(adapter: Any) -> None:
    """It has its name and its words, by which frameworks call endpoints."""

    def view() -> None:
        """Some words."""

    guarded = adapter.requires(WRITE)(view)
    assert ("view", "Some words.") == (guarded.__name__, guarded.__doc__)


def test_what_is_inside_of_what() -> None:
    """All that is wrapped mustn't be served, what wraps and what isn't may."""

    def view() -> None:
        raise AssertionError

    def other() -> None:
        raise AssertionError

    def wrapped_by(inside: Callable[..., Any]) -> Any:
        def outside() -> None:
            raise AssertionError

        outside.__wrapped__ = inside  # type: ignore[attr-defined]
        return outside

    middle = wrapped_by(view)
    guarded = guard(middle, lambda: None)
    require_guarded(guarded)
    require_guarded(other)
    require_guarded(wrapped_by(guarded))
    for bare in (view, middle):
        with pytest.raises(RuntimeError, match="write `requires` below the decorator"):
            require_guarded(bare)


def test_what_nobody_reads_isnt_explained() -> None:
    """An explanation costs something, which a log that is off needn't."""
    world = InMemoryAuthorizer()
    world.permission(WRITE)

    class Mute(Blocking):
        def explain(self, *_: Any) -> Any:
            raise AssertionError

    log = logging.getLogger("qeetid_authz")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        visit = Visit(Mute(world), world.user("ann"))
        assert DENIED is run(permit(visit, (WRITE,)), lambda answer: answer)
    finally:
        log.setLevel(before)


def test_few_of_many_roles_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """A tenant with thousands of roles and groups doesn't fill the log."""
    world = InMemoryAuthorizer()
    roles = [f"role {number:02}\n" for number in range(20)]
    for role in roles:
        world.role(role, WRITE)
    for role in roles:
        world.group(f"of {role}", *roles)

    visit = Visit(world, world.user("ann"))
    assert DENIED is run(permit(visit, (WRITE,)), lambda answer: answer)
    (record,) = caplog.records
    assert 10 == len(vars(record)["missing"])
    assert all(told.count("of ") == 10 for told in vars(record)["missing"])
    assert "\n" not in record.getMessage()  # names are those of customers
