"""The application's one authorizer, for code that doesn't want to pass it around."""

from qeetid_authz.decision import Decision
from qeetid_authz.engine import Engine
from qeetid_authz.errors import NotOpenError
from qeetid_authz.explain import Explanation
from qeetid_authz.model import Principal

_UNCONFIGURED = Engine()
_UNCONFIGURED.shut(
    NotOpenError("no authorizer is configured; call `qeetid_authz.configure(authz)`")
)
_current = _UNCONFIGURED


def configure(authorizer: Engine | None) -> None:
    """Make an open authorizer the one that this module's functions ask; None: none."""
    global _current  # noqa: PLW0603  (one authorizer a process is what this is for)
    _current = _UNCONFIGURED if authorizer is None else authorizer


def can(principal: Principal, permission: str) -> bool:
    """`Engine.can` of the configured authorizer."""
    return _current.can(principal, permission)


def check(principal: Principal, permission: str) -> Decision:
    """`Engine.check` of the configured authorizer."""
    return _current.check(principal, permission)


def explain(principal: Principal, permission: str) -> Explanation:
    """`Engine.explain` of the configured authorizer."""
    return _current.explain(principal, permission)


def require(principal: Principal, permission: str) -> None:
    """`Engine.require` of the configured authorizer."""
    _current.require(principal, permission)
