"""Which route a request takes, by a reader that knows no tricks."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qeetid_authz_server.proxies.patterns import Pattern, read_pattern
from qeetid_authz_server.proxies.shadows import shadows
from qeetid_authz_server.proxies.table import Access, Route, Table

Row: TypeAlias = tuple[str, frozenset[str] | None, frozenset[str] | None]
"""A pattern, methods and hosts."""

NAMES = ["a", "b", "c"]
METHODS = ["GET", "POST", "PUT"]
HOSTS = ["x.test", "y.test"]

segments = st.sampled_from([*NAMES, "{id}"])
paths = st.builds(
    lambda inner, last: "/" + "/".join([*inner, last]),
    st.lists(segments, max_size=3),
    st.sampled_from([*NAMES, "{id}", "**", ""]),
)
some = st.none() | st.sets(st.sampled_from(METHODS), min_size=1).map(frozenset)
hosts = st.none() | st.sets(st.sampled_from(HOSTS), min_size=1).map(frozenset)
written = st.lists(st.tuples(paths, some, hosts), max_size=8)


def make(rows: Sequence[Row]) -> Table:
    """A table of routes for anybody, each on a line of its own."""
    return Table(
        [
            Route(read_pattern(path), Access.ANYBODY, "", methods, hosts, line)
            for line, (path, methods, hosts) in enumerate(rows, 1)
        ]
    )


@cache
def regex(pattern: str) -> "re.Pattern[str]":
    """A pattern as everybody knows them."""
    text = re.escape(pattern).replace(r"\{id\}", "[^/]+").replace(r"\*\*", ".*")
    return re.compile(text)


def naive(
    rows: Sequence[Row],
    path: str,
    method: str,
    host: str | None,
) -> int | None:
    """The line of the first route that matches, by a regular expression for each."""
    for line, (pattern, methods, hosts) in enumerate(rows, 1):
        asked = "GET" if method == "HEAD" else method
        if (
            regex(pattern).fullmatch(path)
            and (methods is None or asked in methods)
            and (hosts is None or host in hosts)
        ):
            return line
    return None


def line_of(route: Route | None) -> int | None:
    """Where a route is written."""
    return None if route is None else route.line


@given(
    written,
    st.lists(st.sampled_from([*NAMES, "d"]), max_size=5),
    st.booleans(),
    st.sampled_from([*METHODS, "HEAD", "BREW"]),
    st.sampled_from([*HOSTS, "z.test", None]),
)
def test_the_first_that_matches_is_taken(
    rows: list[Row],
    inner: list[str],
    has_slash: bool,
    method: str,
    host: str | None,
) -> None:
    """The trie says what a walk through all routes says."""
    asked = (*inner, "") if has_slash or not inner else tuple(inner)
    expected = naive(rows, "/" + "/".join(asked), method, host)

    assert expected == line_of(make(rows).match(asked, method, host))


ALL_PATHS = [
    path
    for length in range(5)
    for inner in map("/".join, product("ab-", repeat=length))
    for path in (f"/{inner}", f"/{inner}/")
    if path != "//"
]
"""One of each shape that the routes of the test below tell apart."""

short = st.lists(
    st.tuples(
        st.sampled_from([p for p in ALL_PATHS if "-" not in p and p.count("/") < 4])
        | st.sampled_from(
            ["/{id}", "/**", "/a/**", "/{id}/**", "/{id}/a", "/a/{id}/**"]
        ),
        some,
        hosts,
    ),
    max_size=6,
)


@settings(max_examples=50)
@given(short)
def test_a_part_that_is_shadowed_never_matches(rows: list[Row]) -> None:
    """Those told are taken by no request there is, all others by one."""
    table = make(rows)
    told = {shadow.route.line for shadow in shadows(table)}
    dead = {
        line
        for line, (_, methods, hosts) in enumerate(rows, 1)
        if not all(
            any(line == naive(rows, path, method, host) for path in ALL_PATHS)
            for method, host in product(methods or ["BREW"], hosts or ["z.test"])
        )
    }

    assert dead == told


@pytest.mark.parametrize(
    ("rows", "line", "by", "part"),
    [
        (["/a", "/a"], 2, 1, ""),
        (["/**", "/a/b"], 2, 1, ""),
        (["/a/{x}", "/a/b"], 2, 1, ""),
        (["/a/{x}", "/a/{y}"], 2, 1, ""),
        (["/{x}/**", "/a/**"], 2, 1, ""),
    ],
)
def test_shadows(rows: list[str], line: int, by: int, part: str) -> None:
    """What takes all of another is named."""
    (shadow,) = shadows(make([(path, None, None) for path in rows]))

    assert (line, by, part) == (shadow.route.line, shadow.by.line, shadow.part)


@pytest.mark.parametrize(
    "rows",
    [
        ["/a/b", "/a/{x}", "/a/**", "/**"],
        ["/a/{x}/**", "/a/**"],
        ["/a/", "/a"],
        ["/a/{x}", "/a/**"],
        ["/{x}/b", "/a/{x}"],
    ],
)
def test_what_is_no_shadow(rows: list[str]) -> None:
    """Routes of which each has something of its own."""
    assert [] == list(shadows(make([(path, None, None) for path in rows])))


def test_earlier_ones_take_a_route_together() -> None:
    """By method and host a route may be taken in pieces."""
    get, post, both = (frozenset(each) for each in (["GET"], ["POST"], ["GET", "POST"]))
    host = frozenset(["x.test"])
    together = make([("/a", get, None), ("/**", post, None), ("/a", both, None)])
    partly = make([("/a", post, host), ("/a", both, host)])

    assert [(3, 1, "GET")] == [
        (s.route.line, s.by.line, s.part) for s in shadows(together)
    ]
    assert [(2, 1, "POST x.test")] == [
        (s.route.line, s.by.line, s.part) for s in shadows(partly)
    ]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("/", Pattern(("",))),
        ("/a", Pattern(("a",))),
        ("/a/", Pattern(("a", ""))),
        ("/a/{id}/b", Pattern(("a", None, "b"))),
        ("/**", Pattern((), has_rest=True)),
        ("/a b/ü/**", Pattern(("a b", "ü"), has_rest=True)),
    ],
)
def test_patterns(text: str, pattern: Pattern) -> None:
    """Written decoded, their wildcards whole segments."""
    assert pattern == read_pattern(text)
