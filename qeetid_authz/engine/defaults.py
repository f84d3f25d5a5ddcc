"""The application's one authorizer, for code that doesn't want to pass it around."""

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.engine.engine import Engine
from qeetid_authz.errors import NotOpenError
from qeetid_authz.principal import Principal

_UNCONFIGURED = Engine()
_UNCONFIGURED.shut(
    NotOpenError("no authorizer is configured; call `qeetid_authz.configure(authz)`")
)
_current = _UNCONFIGURED


def configure(authorizer: Engine | None) -> None:
    """Make an open authorizer the one that this module's functions ask; None: none.

    Raises:
        TypeError: it is no authorizer.
    """
    if authorizer is not None and not isinstance(authorizer, Engine):
        raise TypeError(f"`{authorizer!r}` is no authorizer; open one and give that")
    global _current  # noqa: PLW0603  (one authorizer a process is what this is for)
    _current = _UNCONFIGURED if authorizer is None else authorizer


def can(principal: Principal, key: str) -> bool:
    """`Engine.can` of the configured authorizer."""
    return _current.can(principal, key)


def check(principal: Principal, key: str) -> Decision:
    """`Engine.check` of the configured authorizer."""
    return _current.check(principal, key)


def explain(principal: Principal, key: str) -> Explanation:
    """`Engine.explain` of the configured authorizer."""
    return _current.explain(principal, key)


def require(principal: Principal, key: str) -> None:
    """`Engine.require` of the configured authorizer."""
    _current.require(principal, key)
