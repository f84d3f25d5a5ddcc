"""The file of routes: YAML in which every scalar is text, and every fault has a line."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from qeetid_authz_server.loading import SettingsError
from qeetid_authz_server.proxies.hosts import read_host
from qeetid_authz_server.proxies.patterns import read_pattern
from qeetid_authz_server.proxies.shadows import Shadow, shadows
from qeetid_authz_server.proxies.table import Access, Route, Table
from qeetid_authz_server.proxies.telling import MANNERS, Manner

_TEXT, _SEQUENCE, _MAPPING = (
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")
)
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_TOP: Final = ("proxies", "client_ip", "routes")
_ROUTE: Final = ("path", "methods", "hosts", "permission", "for")
_WHOM: Final = (Access.ANYBODY, Access.AUTHENTICATED)
_CLIENT_IP: Final = ("required", "ignored")

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Routing:
    """What a file of routes says.

    Attributes:
        name: of the file.
        manner: how the proxies in front tell what they ask about.
        needs_client: whether they must tell the client's address, for IP rules.
        table: the routes.
    """

    name: str
    manner: Manner
    needs_client: bool
    table: Table

    def unknown(self, is_known: Callable[[str], bool]) -> list[str]:
        """A sentence for each permission that isn't one, by where it is written."""
        return [
            f"{self.name}:{route.line} `{route.permission}` is no permission of this"
            " database; see `qeetid-authz export` for those that are"
            for route in self.table.routes
            if route.permission and not is_known(route.permission)
        ]


def read_routes(data: bytes, name: str) -> Routing:
    """Read a file of routes.

    Args:
        data: what it holds.
        name: what it is called in messages.

    Raises:
        SettingsError: it breaks its rules; each problem begins with `name:line`.
    """
    reader = _Reader(name)
    routing = reader.read(data)
    if routing is None or reader.faults:
        raise SettingsError(
            f"{name}:{line} {fault}" for line, fault in sorted(reader.faults)
        )
    return routing


class _FaultError(Exception):
    """Something is wrong at a line."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(line, fault)
        self.line = line
        self.fault = fault


class _Reader:
    """Reads one file, and goes on behind a fault where that makes sense.

    Attributes:
        faults: what is wrong, by line.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.faults: list[tuple[int, str]] = []

    def read(self, data: bytes) -> Routing | None:
        """What the file says, as far as it has no fault; None where that is nothing."""
        try:
            top = _members(_compose(data), _TOP, ("proxies", "routes"))
        except _FaultError as error:
            self._note(error)
            return None
        manner = self._try(lambda: _manner(top["proxies"]))
        client_ip = self._try(lambda: _choice(top.get("client_ip"), _CLIENT_IP))
        routes = list(self._routes(top["routes"]))
        table = Table(routes)
        for shadow in shadows(table):
            self.faults.append((shadow.route.line, _told(shadow)))
        if manner is None:
            return None
        return Routing(self._name, manner, client_ip != "ignored", table)

    def _routes(self, node: Node) -> Iterator[Route]:
        nodes = self._try(lambda: _sequence(node, "routes"))
        for each in nodes or ():
            route = self._try(lambda each=each: _route(each))  # type: ignore[misc]
            if route is not None:
                yield route

    def _try(self, read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except _FaultError as error:
            self._note(error)
            return None

    def _note(self, error: _FaultError) -> None:
        self.faults.append((error.line, error.fault))


def _told(shadow: Shadow) -> str:
    part = f"`{shadow.part}` of this route" if shadow.part else "this route"
    return f"{part} can never match: line {shadow.by.line} takes all of it before"


def _compose(data: bytes) -> Node:
    try:
        node = yaml.compose(data.decode("utf-8"), Loader=yaml.BaseLoader)
    except UnicodeDecodeError as error:
        raise _FaultError(_line_at(data, error.start), "isn't UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise _FaultError(line, f"isn't YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        before = data.decode("utf-8")[: error.position].encode()
        line = _line_at(before, len(before))
        raise _FaultError(line, "has a character that YAML can't hold") from None
    except RecursionError:
        raise _FaultError(1, "is nested too deeply") from None
    if node is None:
        raise _FaultError(1, "is empty; it must have `proxies` and `routes`")
    return node


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _members(
    node: Node, known: tuple[str, ...], required: tuple[str, ...]
) -> dict[str, Node]:
    if not isinstance(node, MappingNode) or node.tag != _MAPPING:
        raise _FaultError(_line(node), f"must have the members {', '.join(known)}")
    members: dict[str, Node] = {}
    for name_node, value in node.value:
        name = _text(name_node, "a member's name")
        if name not in known:
            fault = f"`{name}` is no member; there are {', '.join(known)}"
            raise _FaultError(_line(name_node), fault)
        if name in members:
            raise _FaultError(_line(name_node), f"`{name}` comes twice")
        members[name] = value
    for name in required:
        if name not in members:
            raise _FaultError(_line(node), f"`{name}` is missing")
    return members


def _text(node: Node, what: str) -> str:
    if not isinstance(node, ScalarNode) or node.tag != _TEXT:
        raise _FaultError(_line(node), f"{what} must be text")
    if not node.value:
        raise _FaultError(_line(node), f"{what} must not be empty")
    text: str = node.value
    return text


def _sequence(node: Node, what: str) -> list[Node]:
    if not isinstance(node, SequenceNode) or node.tag != _SEQUENCE:
        raise _FaultError(_line(node), f"`{what}` must be a list")
    if not node.value:
        raise _FaultError(_line(node), f"`{what}` must not be empty")
    nodes: list[Node] = node.value
    return nodes


def _choice(node: Node | None, known: tuple[str, ...]) -> str:
    if node is None:
        return known[0]
    text = _text(node, "it")
    if text not in known:
        fault = f"`{text}` is none of {', '.join(known)}"
        raise _FaultError(_line(node), fault)
    return text


def _manner(node: Node) -> Manner:
    found: dict[Manner, str] = {}
    for each in _sequence(node, "proxies"):
        name = _choice(each, tuple(MANNERS))
        found.setdefault(MANNERS[name], name)
        if len(found) > 1:
            first, second = found.values()
            raise _FaultError(
                _line(each),
                f"`{first}` and `{second}` tell by different headers, and clients can"
                " make up those of the other; run a sidecar for each",
            )
    (manner,) = found
    return manner


def _route(node: Node) -> Route:
    members = _members(node, _ROUTE, ("path",))
    if ("permission" in members) == ("for" in members):
        fault = "must have either a `permission` or `for`, so that it is clear for whom"
        raise _FaultError(_line(node), fault)
    access, permission = Access.PERMITTED, ""
    if "for" in members:
        access = Access(_choice(members["for"], _WHOM))
    else:
        permission = _text(members["permission"], "a permission")
    path = members["path"]
    return Route(
        _valid(path, "path", read_pattern),
        access,
        permission,
        _several(members.get("methods"), "methods", _method),
        _several(members.get("hosts"), "hosts", _host),
        _line(node),
    )


def _several(
    node: Node | None, what: str, read: Callable[[str], str]
) -> frozenset[str] | None:
    if node is None:
        return None
    found: set[str] = set()
    for each in _sequence(node, what):
        value = _valid(each, what, read)
        if value in found:
            raise _FaultError(_line(each), f"`{value}` comes twice in `{what}`")
        found.add(value)
    return frozenset(found)


def _valid(node: Node, what: str, read: Callable[[str], _Read]) -> _Read:
    text = _text(node, f"what is in `{what}`")
    try:
        return read(text)
    except ValueError as error:
        raise _FaultError(_line(node), f"{what} `{text}` {error}") from None


def _method(text: str) -> str:
    if text == "HEAD":
        raise ValueError("can't match: it is asked about as GET; write `GET`")
    if not _METHOD.fullmatch(text):
        raise ValueError("must be a method, in capitals")
    return text


def _host(text: str) -> str:
    try:
        host = read_host(text)
    except ValueError:
        host = ""
    if host != text:
        raise ValueError("must be a host in lower case, without port or final dot")
    return host
