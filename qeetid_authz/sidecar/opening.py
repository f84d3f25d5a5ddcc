"""What both clients are: an address, options, and whether they are open."""

import os
from typing import TypeVar, Unpack
from weakref import WeakSet

from qeetid_authz.clocks import steady
from qeetid_authz.errors import NotOpenError
from qeetid_authz.sidecar.asking import Asked, Asking, Came
from qeetid_authz.sidecar.messages import Reply, Request, Unanswered, Writing
from qeetid_authz.sidecar.options import ClientOptions, Given, parse_address
from qeetid_authz.sidecar.outages import Outages
from qeetid_authz.sidecar.tls import recognition
from qeetid_authz.sidecar.wire import AT_LEAST

_T = TypeVar("_T")

_UNOPENED = "this client isn't open; use `with SidecarClient.open(address) as authz:`"
_CLOSED = "this client is closed; open another"
_FORKED = "this client was opened before a fork; open one in each process"

_clients: "WeakSet[Client]" = WeakSet()


class Client:
    """A sidecar, and how it is asked."""

    def __init__(self, address: str, **given: Unpack[Given]) -> None:
        """Prepare; nothing is connected before it is opened.

        Args:
            address: `http://host:port`, `https://host:port` or `unix:/path`. A name is
                looked up for as long as the system takes: give an IP address.
            **given: as `ClientOptions` has them.

        Raises:
            TypeError: `address` is no string, or there is no such option.
            ValueError: the address or an option makes no sense.
        """
        self._address = parse_address(address)
        self._told = told = ClientOptions(**given)
        self._context = recognition(self._address, told.ca_file)
        name = self._address.name
        self._asking = Asking(name, steady, raises_stale=told.raises_stale)
        self._writing = Writing(self._address.authority, told.api_key, AT_LEAST)
        self._outages = Outages(name, steady)
        self._why_not: str | None = _UNOPENED
        _clients.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address.name!r})"

    def _open(self) -> bool:
        """Whether it is open now, and wasn't before.

        Raises:
            NotOpenError: it was closed, or is another process's.
        """
        if self._why_not is None:
            return False
        if self._why_not is not _UNOPENED:
            raise NotOpenError(self._why_not)
        self._why_not = None
        return True

    def _shut(self, why: str = _CLOSED) -> None:
        self._why_not = why

    def _begin(self, request: Request) -> tuple[bytes, float, float]:
        """What to send, when that is, and by when the reply must have come.

        Raises:
            NotOpenError: the client isn't open.
        """
        if self._why_not is not None:
            raise NotOpenError(self._why_not)
        patience = self._told.timeout
        if request.at_least is not None:
            patience += self._told.at_least_timeout
        now = steady()
        return self._writing.encode(request), now, now + patience

    def _read(self, asked: Asked[_T], reply: Reply, sent_at: float) -> _T:
        return asked.read(Came(reply, sent_at))

    def _miss(self, asked: Asked[_T], why: Unanswered) -> _T:
        self._outages.note(why)
        return asked.without(why)


def _shut_all() -> None:
    """In a child the connections are the parent's, and so are the answers."""
    for client in _clients:
        client._shut(_FORKED)  # noqa: SLF001


os.register_at_fork(after_in_child=_shut_all)
