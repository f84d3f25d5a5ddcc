"""Query strings as Go reads them (fact 1.1)."""

import pytest

from qeetid_authz_server.incoming.query import parse_query


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", {}),
        ("a=1&b=2", {b"a": b"1", b"b": b"2"}),
        ("a=1&a=2", {b"a": b"1"}),
        ("a=&a=2", {b"a": b""}),
        ("a", {b"a": b""}),
        ("=1", {b"": b"1"}),
        ("a=b=c", {b"a": b"b=c"}),
        ("A=1&a=2", {b"A": b"1", b"a": b"2"}),
        ("&&a=1&", {b"a": b"1"}),
        ("a=1;b=2&c=3", {b"c": b"3"}),
        ("a;b=1&a=2", {b"a": b"2"}),
        ("a=1%3Bb", {b"a": b"1;b"}),
        ("a=x+y%20z%2B", {b"a": b"x y z+"}),
        ("a+b=1", {b"a b": b"1"}),
        ("%61=1", {b"a": b"1"}),
        ("a=%zz&b=2", {b"b": b"2"}),
        ("a=%4&b=2", {b"b": b"2"}),
        ("a=%&b=2", {b"b": b"2"}),
        ("a=1%&a=2", {b"a": b"2"}),
        ("a=%%41&b=2", {b"b": b"2"}),
        ("%zz=1&b=2", {b"b": b"2"}),
        ("a=%2 1&b=2", {b"b": b"2"}),
        ("a=%+1&b=2", {b"b": b"2"}),
        ("a=%c3%A9", {b"a": b"\xc3\xa9"}),
        ("a=%FF%00", {b"a": b"\xff\x00"}),
        ("a=\udcff", {b"a": b"\xff"}),
        ("a=b?c=d", {b"a": b"b?c=d"}),
        ("a=b#c", {b"a": b"b#c"}),
    ],
)
def test_reads_as_go_does(raw: str, expected: dict[bytes, bytes]) -> None:
    """Pairs, escapes and repetitions come out as in Go's net/url."""
    assert parse_query(f"/v1/check?{raw}") == expected


def test_without_a_query() -> None:
    """A target without a question mark has no parameters."""
    assert parse_query("/v1/check") == {}
