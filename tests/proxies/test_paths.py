"""Paths that are read in one way, and everything that is refused."""

from string import printable
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from qeetid_authz_server.proxies.paths import (
    LONGEST_TARGET,
    AmbiguousPathError,
    is_plain,
    read_target,
)

REFUSED = [
    "",
    "*",
    "a",
    "a/b",
    "http://shop.example/a",
    "//shop.example/a",
    "/a//b",
    "/a//",
    "//",
    "/.",
    "/..",
    "/a/.",
    "/a/..",
    "/a/./b",
    "/a/../b",
    "/../a",
    "/%2e",
    "/%2E%2e/a",
    "/.%2e/a",
    "/a%2fb",
    "/a%2Fb",
    "/%2f",
    "/a%5cb",
    "/a\\b",
    "/a%00",
    "/a%0a",
    "/a%1f",
    "/a%7f",
    "/a%c2%85",
    "/a\x00",
    "/a\nb",
    "/a b",
    "/a\tb",
    "/é",
    "/a\udcff",
    "/a;b",
    "/a;x=1/b",
    "/a%3bb",
    "/..;/a",
    "/%2561",
    "/%252e%252e/a",
    "/a%25%32%66b",
    "/a%25u002f",
    "/%",
    "/%a",
    "/%zz",
    "/%u0061",
    "/a%ff",
    "/a%c0%af",
    "/a%ed%a0%80",
    "/a#b",
    "/a?b#c",
    "/a?b\\c",
    "/a?b c",
    "/a?é",
    "/" + "a" * LONGEST_TARGET,
    "/a?" + "a" * LONGEST_TARGET,
]


@pytest.mark.parametrize("target", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(target: str) -> None:
    """Each of them is somewhere read as another path, or as none."""
    with pytest.raises(AmbiguousPathError):
        read_target(target)


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/", ("",)),
        ("/a", ("a",)),
        ("/a/", ("a", "")),
        ("/a/b", ("a", "b")),
        ("/a?x=/../b&y=%2F;%zz", ("a",)),
        ("/?", ("",)),
        ("/%61%2eb", ("a.b",)),
        ("/a%20b", ("a b",)),
        ("/%C3%BCber", ("über",)),
        ("/100%25", ("100%",)),
        ("/a%3fb", ("a?b",)),
        ("/...", ("...",)),
        ("/.well-known/x", (".well-known", "x")),
        ("/a:b@c,d=e+f~!$&'()*", ("a:b@c,d=e+f~!$&'()*",)),
        ("/" + "a" * (LONGEST_TARGET - 1), ("a" * (LONGEST_TARGET - 1),)),
    ],
)
def test_what_is_plain_is_decoded_once(target: str, segments: tuple[str, ...]) -> None:
    """Without the query; a trailing slash is an empty last segment."""
    assert segments == tuple(read_target(target))


characters = st.characters(max_codepoint=0x17F, exclude_categories=["Cs"])


@given(
    st.lists(st.text(characters, min_size=1, max_size=6), max_size=4),
    st.booleans(),
)
def test_segments_that_are_plain_come_back(
    segments: list[str], has_slash: bool
) -> None:
    """However they are encoded, all that is plain is read, and nothing else."""
    path = "".join("/" + quote(each, safe="") for each in segments)
    target = path + "/" if has_slash or not segments else path
    expected = (*segments, "") if has_slash or not segments else tuple(segments)
    if all(map(is_plain, segments)) and len(target) <= LONGEST_TARGET:
        assert expected == tuple(read_target(target))
    else:
        with pytest.raises(AmbiguousPathError):
            read_target(target)


PIECES = [
    "/",
    ".",
    "..",
    "%2e",
    "%2F",
    "%5c",
    "\\",
    ";",
    "%25",
    "2e",
    "a",
    "%",
    "?",
    "\0",
]


@given(st.lists(st.sampled_from([*PIECES, *printable]), max_size=12).map("".join))
@example("/a")
def test_what_is_read_is_read_alike_by_everybody(rest: str) -> None:
    """Readers that decode twice, drop dots, merge or turn slashes change nothing."""
    target = "/" + rest
    try:
        segments = read_target(target)
    except AmbiguousPathError:
        assume(False)
    again = [quote(each, safe="") for each in segments]

    assert list(segments) == list(read_target("/" + "/".join(again)))
    for segment in segments:
        assert not {"/", "\\", ";", "\0"} & set(segment)
        assert segment not in (".", "..")
    assert all(segments[:-1])
