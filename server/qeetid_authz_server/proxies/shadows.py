"""Routes, or parts of them, that can never match since others are taken before them.

Whether all that a route is for is taken by earlier ones is told by witnesses: requests
whose free parts are in no route. An earlier route that takes such a request has
wildcards wherever the witness is free, and so takes everything that the witness stands
for. Behind `**` each number of segments has witnesses of its own, up to one more than
any pattern tells apart.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from qeetid_authz_server.proxies.paths import Segments
from qeetid_authz_server.proxies.table import Route, Table

_FREE: Final = "\0"
"""A segment, a method and a host that no file can name."""


class Shadow(NamedTuple):
    """A part of a route that can never match.

    Attributes:
        route: which.
        by: what is taken instead.
        part: the method and the host for which that holds, as far as it names any.
    """

    route: Route
    by: Route
    part: str


def shadows(table: Table) -> Iterator[Shadow]:
    """What can never match, at most one part of each route."""
    longest = max((len(r.pattern.segments) for r in table.routes), default=0)
    for route in table.routes:
        shadow = _shadow(table, route, longest)
        if shadow is not None:
            yield shadow


def _shadow(table: Table, route: Route, longest: int) -> Shadow | None:
    paths = list(_paths(route, longest))
    methods = sorted(route.methods or {_FREE})
    hosts = sorted(route.hosts or {_FREE})
    for method, host in product(methods, hosts):
        taken = [table.match(path, method, host) for path in paths]
        if all(each is not route for each in taken):
            named = [each for each in (method, host) if each != _FREE]
            by = next(each for each in taken if each is not None)
            return Shadow(route, by, " ".join(named))
    return None


def _paths(route: Route, longest: int) -> Iterator[Segments]:
    fixed = tuple(_FREE if each is None else each for each in route.pattern.segments)
    if not route.pattern.has_rest:
        yield fixed
        return
    for free in range(max(longest - len(fixed), 0) + 2):
        rest = (_FREE,) * free
        yield (*fixed, *rest, "")
        yield (*fixed, *rest, _FREE)
