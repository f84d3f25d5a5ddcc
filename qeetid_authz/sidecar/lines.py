"""Connections to a sidecar, for threads."""

import socket
from collections import deque
from select import POLLIN, poll
from ssl import SSLContext
from threading import Semaphore

from qeetid_authz.clocks import steady
from qeetid_authz.sidecar.messages import Reading, Reply, Unanswered
from qeetid_authz.sidecar.options import Address

IDLE = 30.0
"""Seconds after which a connection that nobody used is used no more; the sidecar closes
it after 75 (aiohttp's own keep-alive)."""

_AT_ONCE = 1 << 16  # bytes


class Lines:
    """Connections that are kept, and used by one question at a time."""

    def __init__(
        self, address: Address, context: SSLContext | None, limit: int
    ) -> None:
        """Prepare.

        Args:
            address: of the sidecar.
            context: what it is recognised by, over TLS.
            limit: connections that are open at once, at most.
        """
        self._address = address
        self._context = context
        self._slots = Semaphore(limit)
        self._kept: deque[_Line] = deque()
        self._is_closed = False

    def exchange(self, request: bytes, deadline: float) -> Reply:
        """The reply to a request, which is sent once.

        Args:
            request: as it is sent.
            deadline: by the steady clock.

        Raises:
            Unanswered: none came in time, or none that is one.
        """
        if not self._slots.acquire(timeout=max(deadline - steady(), 0)):
            raise Unanswered("busy", "all connections are in use")
        try:
            line = self._kept_line() or _Line(self._address, self._context, deadline)
            is_kept = False
            try:
                reply = line.exchange(request, deadline)
                is_kept = not reply.is_last
            finally:
                if is_kept:
                    self._kept.append(line)
                else:
                    line.close()
            if self._is_closed:
                self.close()
            return reply
        finally:
            self._slots.release()

    def _kept_line(self) -> "_Line | None":
        """The connection that was used last, if it is still good."""
        while True:
            try:
                line = self._kept.pop()
            except IndexError:  # Another thread was quicker.
                return None
            if line.is_good():
                return line
            line.close()

    def close(self) -> None:
        """Close what isn't in use now, and the rest when it no longer is."""
        self._is_closed = True
        while (line := self._kept_line()) is not None:
            line.close()


class _Line:
    """One connection."""

    __slots__ = ("_poll", "_socket", "_used_at")

    def __init__(
        self, address: Address, context: SSLContext | None, deadline: float
    ) -> None:
        """Connect.

        Raises:
            Unanswered: nobody takes the connection, or not in time.
        """
        try:
            self._socket = _connect(address, context, _left(deadline))
        except TimeoutError:
            raise _late() from None
        except OSError as error:
            detail = f"it takes no connection ({error.strerror or error})"
            raise Unanswered("unreachable", detail) from None
        self._poll = poll()
        self._poll.register(self._socket, POLLIN)
        self._used_at = 0.0

    def is_good(self) -> bool:
        """Whether it is young enough, and nothing came that nobody asked for."""
        return steady() - self._used_at < IDLE and not self._poll.poll(0)

    def exchange(self, request: bytes, deadline: float) -> Reply:
        reading, reply = Reading(), None
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(request)
            while reply is None:
                self._socket.settimeout(_left(deadline))
                data = self._socket.recv(_AT_ONCE)
                if not data:
                    raise Unanswered("broken", "it closed the connection")
                reply = reading.feed(data)
        except TimeoutError:
            raise _late() from None
        except OSError as error:
            detail = f"it broke the connection ({error.strerror or error})"
            raise Unanswered("broken", detail) from None
        self._used_at = steady()
        return reply

    def close(self) -> None:
        self._socket.close()


def _connect(
    address: Address, context: SSLContext | None, timeout: float
) -> socket.socket:
    if address.path:
        line = socket.socket(socket.AF_UNIX)
        try:
            line.settimeout(timeout)
            line.connect(address.path)
        except BaseException:
            line.close()
            raise
        return line
    line = socket.create_connection((address.host, address.port), timeout)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return line
    return context.wrap_socket(line, server_hostname=address.host)


def _left(deadline: float) -> float:
    left = deadline - steady()
    if left <= 0:
        raise _late()
    return left


def _late() -> Unanswered:
    return Unanswered("timeout", "it doesn't answer in time")
