"""The application's one authorizer, for code that doesn't want to pass it around."""

from abc import ABC, abstractmethod

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.engine.engine import Engine
from qeetid_authz.errors import NotOpenError
from qeetid_authz.principal import Principal


class Answering(ABC):
    """Something else than an engine that answers this module's questions.

    Its answers aren't awaited.
    """

    @abstractmethod
    def can(self, principal: Principal, key: str) -> bool:
        """As `Engine.can`."""

    @abstractmethod
    def check(self, principal: Principal, key: str) -> Decision:
        """As `Engine.check`."""

    @abstractmethod
    def explain(self, principal: Principal, key: str) -> Explanation:
        """As `Engine.explain`."""

    @abstractmethod
    def require(self, principal: Principal, key: str) -> None:
        """As `Engine.require`."""


_UNCONFIGURED = Engine()
_UNCONFIGURED.shut(
    NotOpenError("no authorizer is configured; call `qeetid_authz.configure(authz)`")
)
_current: Engine | Answering = _UNCONFIGURED


def configure(authorizer: Engine | Answering | None) -> None:
    """Make an open authorizer, or a SidecarClient, the one that is asked; None: none.

    Raises:
        TypeError: it is neither.
    """
    if authorizer is not None and not isinstance(authorizer, Engine | Answering):
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
