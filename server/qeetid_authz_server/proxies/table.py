"""Routes, and which of them a request takes: the first in the file that matches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qeetid_authz_server.proxies.paths import Segments
from qeetid_authz_server.proxies.patterns import Pattern


class Access(StrEnum):
    """Whom a route lets through."""

    ANYBODY = "anybody"
    AUTHENTICATED = "authenticated"
    PERMITTED = "permitted"


@dataclass(frozen=True, slots=True)
class Route:
    """Requests that need the same.

    Attributes:
        pattern: of which paths.
        access: whom it lets through.
        permission: what those must hold; empty where nothing is asked for.
        methods: by which methods, or None for any; HEAD is asked about as GET.
        hosts: of which hosts, lower case and without port, or None for any.
        line: where it is written.
    """

    pattern: Pattern
    access: Access
    permission: str = ""
    methods: frozenset[str] | None = None
    hosts: frozenset[str] | None = None
    line: int = 0

    def takes(self, method: str, host: str | None) -> bool:
        """Whether it is for a method and a host."""
        return (self.methods is None or method in self.methods) and (
            self.hosts is None or host in self.hosts
        )


class Table:
    """Routes in their order, found by a trie over segments.

    Attributes:
        routes: all of them.
        has_hosts: whether which one is taken depends on the host.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self.has_hosts = any(route.hosts is not None for route in routes)
        self._root = _Node()
        for entry in enumerate(self.routes):
            self._root.add(entry)

    def match(self, segments: Segments, method: str, host: str | None) -> Route | None:
        """The first route that is for a request, or None.

        Args:
            segments: of its path.
            method: as it came; HEAD is taken for GET.
            host: as hosts are written in routes, or None where nobody tells.
        """
        if method == "HEAD":
            method = "GET"
        fitting = (
            entry
            for entries in self._candidates(segments)
            for entry in _first(entries, method, host)
        )
        found = min(fitting, key=_position, default=None)
        return None if found is None else found[1]

    def _candidates(self, segments: Segments) -> Iterator[Sequence["_Entry"]]:
        nodes = [self._root]
        for segment in segments:
            yield from (node.rest for node in nodes if node.rest)
            nodes = [child for node in nodes for child in node.children(segment)]
            if not nodes:
                return
        yield from (node.ending for node in nodes if node.ending)


_Entry = tuple[int, Route]


def _position(entry: _Entry) -> int:
    return entry[0]


def _first(
    entries: Sequence[_Entry], method: str, host: str | None
) -> Iterator[_Entry]:
    for entry in entries:
        if entry[1].takes(method, host):
            yield entry
            return


class _Node:
    """What follows a beginning.

    Attributes:
        ending: routes whose pattern ends here, in their order.
        rest: routes for whatever follows.
    """

    __slots__ = ("_any", "_literals", "ending", "rest")

    def __init__(self) -> None:
        self.ending: list[_Entry] = []
        self.rest: list[_Entry] = []
        self._literals: dict[str, _Node] = {}
        self._any: _Node | None = None

    def add(self, entry: _Entry) -> None:
        node, pattern = self, entry[1].pattern
        for segment in pattern.segments:
            node = node._grow(segment)
        (node.rest if pattern.has_rest else node.ending).append(entry)

    def _grow(self, segment: str | None) -> "_Node":
        if segment is not None:
            return self._literals.setdefault(segment, _Node())
        if self._any is None:
            self._any = _Node()
        return self._any

    def children(self, segment: str) -> Iterator["_Node"]:
        literal = self._literals.get(segment)
        if literal is not None:
            yield literal
        if self._any is not None and segment:
            yield self._any
