"""The fast path: which plain request is answered by whom."""

from qeetid_authz_server.fastpath.checks import LastCaller, PlainChecks
from qeetid_authz_server.fastpath.introspections import LastAsker, PlainIntrospections

_GET = ord("G")


class Remembered:
    """What is remembered of one connection: who asked last, and in what words.

    Attributes:
        caller: about permissions.
        asker: about tokens.
    """

    __slots__ = ("asker", "caller")

    def __init__(self, left_out: frozenset[bytes] = frozenset()) -> None:
        self.caller = LastCaller(left_out)
        self.asker = LastAsker(left_out)


class FastPath:
    """Answers plain requests of those who are known already."""

    def __init__(
        self,
        checks: PlainChecks,
        introspections: PlainIntrospections,
        left_out: frozenset[bytes] = frozenset(),
    ) -> None:
        """Prepare.

        Args:
            checks: what answers those.
            introspections: what answers those.
            left_out: fields, in lower case, with which a request isn't plain.
        """
        self._left_out = left_out
        self._checks = checks
        self._introspections = introspections

    def connected(self) -> Remembered:
        """What is to be remembered of another connection."""
        return Remembered(self._left_out)

    def answer(self, data: bytes, remembered: Remembered) -> bytes:
        """The answers to plain requests; nothing if anything else is with them.

        Args:
            data: what came in, from the start of a request on.
            remembered: of the connection that it came in on.
        """
        if data[0] == _GET:
            return self._checks.answer(data, remembered.caller)
        return self._introspections.answer(data, remembered.asker)
