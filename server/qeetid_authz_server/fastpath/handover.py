"""What was handed to the framework, and where it is surely done with it.

Its parser doesn't tell whether it waits for the rest of a message. But where all that
it was given is one head and a body as long as announced, there can be no rest.
"""

from re import compile as compile_pattern

from qeetid_authz_server.fastpath.heads import END

_HEAD = compile_pattern(rb"[A-Z]+ [!-~]+ HTTP/1\.1(?:\r\n[!-~][ -~]*)+\r\n\r\n")
_HEAD_SIZE = 1 << 14  # bytes
_STEERING = frozenset({b"connection", b"expect", b"transfer-encoding", b"upgrade"})
_USUAL = (b"connection", b"keep-alive")
_LENGTH = compile_pattern(rb"0|[1-9][0-9]{0,15}")


class Handover:
    """The bytes of one request, as they are handed over piece by piece."""

    __slots__ = ("_head", "_missing")

    def __init__(self) -> None:
        self._head: bytes | None = b""  # until it is complete
        self._missing: int | None = None  # bytes of the body, if that can be told

    @property
    def is_whole(self) -> bool:
        """Whether they are one request and no more, as every reader would read it."""
        return self._missing == 0

    def add(self, data: bytes) -> None:
        """Count what is handed over."""
        if self._missing is not None:
            self._missing -= len(data)
        elif self._head is not None:
            self._look_for_end(self._head + data)

    def _look_for_end(self, read: bytes) -> None:
        head, end, body = read.partition(END)
        self._head = None
        if len(head) > _HEAD_SIZE:
            return
        if not end:
            self._head = read
            return
        length = _body_length(head + end)
        self._missing = None if length is None else length - len(body)


def _body_length(head: bytes) -> int | None:
    """Bytes of the body that a head announces; None where readers may disagree."""
    if not _HEAD.fullmatch(head):
        return None
    lines = [line.partition(b":") for line in head[: -len(END)].split(b"\r\n")[1:]]
    fields = [(name.lower(), value.strip()) for name, _, value in lines]
    if any(map(_is_steering, fields)):
        return None
    lengths = [value for name, value in fields if name == b"content-length"]
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        return None
    return int(lengths[0])


def _is_steering(field: tuple[bytes, bytes]) -> bool:
    name, value = field
    return name in _STEERING and (name, value.lower()) != _USUAL
