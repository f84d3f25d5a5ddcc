"""What a peer is to the benchmark: somebody with an answer for an asker and a key."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from bench.cases import Absent
from bench.synthesis import Tenancy
from qeetid_authz.principal import Principal

REMEDY = "`make bench-peers` installs it"


class Peer(Protocol):
    """A product that has loaded the facts of one tenant."""

    def asker(self, principal: Principal) -> Any:
        """A user in the form in which `can` wants one, made before time is taken."""

    def can(self, asker: Any, permission: str) -> bool:
        """Whether the user holds the permission."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product, or one way to use it.

    Attributes:
        name: what a reader sees.
        where: where the answer is made, for a reader.
        open: loads the facts of the first tenant; raises `Absent` where the product
            isn't installed.
        at_least: how many times our time for an answer it must take, at the size for
            which targets are set.
        loads_slowly: whether the larger size takes minutes, for a full run only.
    """

    name: str
    where: str
    open: Callable[[Tenancy], AbstractContextManager[Peer]]
    at_least: float | None = None
    loads_slowly: bool = False


def required(module: str, distribution: str) -> Any:
    """A module of a peer.

    Raises:
        Absent: it isn't installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise Absent(
            f"`{distribution}` can't be imported ({error}); {REMEDY}"
        ) from None
