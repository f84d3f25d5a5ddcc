"""What proxies tell, what clients present, and how either can be wrong."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from qeetid_authz_server.proxies.hosts import read_host
from qeetid_authz_server.proxies.presented import ContradictoryError, presented
from qeetid_authz_server.proxies.telling import (
    Manner,
    Told,
    UntoldError,
    read_client,
    read_told,
)

FORWARDED = {
    "X-Forwarded-Method": "PUT",
    "X-Forwarded-Uri": "/a?b",
    "X-Forwarded-Host": "Shop.example:443",
    "X-Forwarded-For": "192.0.2.1",
}
ORIGINAL = {
    "X-Original-Method": "PUT",
    "X-Original-URI": "/a?b",
    "X-Original-Host": "Shop.example:443",
    "X-Original-IP": "192.0.2.1",
}
TOLD = Told("PUT", "/a?b", "shop.example")


def headers(*given: tuple[str, str]) -> CIMultiDictProxy[str]:
    """Headers as a request has them."""
    return CIMultiDictProxy(CIMultiDict(given))


@pytest.mark.parametrize(
    ("manner", "believed", "other"),
    [(Manner.FORWARDED, FORWARDED, ORIGINAL), (Manner.ORIGINAL, ORIGINAL, FORWARDED)],
)
def test_one_family_is_believed(
    manner: Manner, believed: dict[str, str], other: dict[str, str]
) -> None:
    """The other may say what it likes, and is never enough."""
    foreign = [(name, "/evil") for name in other]

    assert TOLD == read_told(manner, headers(*believed.items(), *foreign), "GET", "/x")
    assert "192.0.2.1" == read_client(manner, headers(*believed.items(), *foreign))
    with pytest.raises(UntoldError):
        read_told(manner, headers(*other.items(), ("Host", "a")), "GET", "/x")
    with pytest.raises(UntoldError):
        read_client(manner, headers(*other.items()))


def test_the_request_itself_is_believed() -> None:
    """Behind the endpoint's prefix, and by no header but `Host`."""
    given = headers(("Host", "shop.example"), *FORWARDED.items(), *ORIGINAL.items())
    told = read_told(Manner.AS_IT_CAME, given, "PUT", "/authz/envoy/a?b")

    assert TOLD == told
    for target in ("/authz/envo", "/livez", "http://x/authz/envoy/a", ""):
        with pytest.raises(UntoldError):
            read_told(Manner.AS_IT_CAME, given, "PUT", target)


def tell_all(given: CIMultiDictProxy[str]) -> None:
    """Read everything that headers tell."""
    read_told(Manner.FORWARDED, given)
    read_client(Manner.FORWARDED, given)


@pytest.mark.parametrize("name", FORWARDED)
@pytest.mark.parametrize("change", ["twice", "empty", "list"])
def test_nothing_is_told_twice(name: str, change: str) -> None:
    """A header that comes twice, is empty, or holds a list where one must be."""
    rest = [(n, v) for n, v in FORWARDED.items() if n != name]
    value = FORWARDED[name]
    changed = {
        "twice": [(name, value), (name, value)],
        "empty": [(name, "")],
        "list": [(name, f"{value}, {value}")],
    }[change]
    given = headers(*rest, *changed)
    if change == "list" and name == "X-Forwarded-Uri":
        assert "/a?b, /a?b" == read_told(Manner.FORWARDED, given).target
        return  # A path may hold a comma; this one is refused as a path.
    with pytest.raises(UntoldError):
        tell_all(given)


@pytest.mark.parametrize("name", ["X-Forwarded-Method", "X-Forwarded-Uri"])
def test_nothing_is_made_up(name: str) -> None:
    """What isn't told isn't taken from the request that asks."""
    rest = [(n, v) for n, v in FORWARDED.items() if n != name]
    with pytest.raises(UntoldError):
        read_told(Manner.FORWARDED, headers(*rest, ("Host", "a")), "GET", "/a")


@pytest.mark.parametrize("method", ["", "G ET", "GET\n", "GÉT", "A" * 33, "GET,PUT"])
def test_what_is_no_method(method: str) -> None:
    """Only what HTTP calls a token, and no long one."""
    given = headers(*(FORWARDED | {"X-Forwarded-Method": method}).items())
    with pytest.raises(UntoldError):
        read_told(Manner.FORWARDED, given)


def test_a_host_need_not_be_told() -> None:
    """Whether that is enough, the routes decide."""
    rest = [(n, v) for n, v in FORWARDED.items() if n != "X-Forwarded-Host"]

    assert read_told(Manner.FORWARDED, headers(*rest)).host is None


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("shop.example", "shop.example"),
        ("SHOP.Example", "shop.example"),
        ("shop.example:8443", "shop.example"),
        ("shop.example.", "shop.example"),
        ("shop.example.:80", "shop.example"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:80", "[::1]"),
    ],
)
def test_hosts(text: str, host: str) -> None:
    """Lower case, without port and final dot."""
    assert host == read_host(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "a..",
        ":80",
        "a:b",
        "a:123456",
        "ann@a",
        "a@b:80",
        "a/b",
        "a b",
        "a,b",
        "a\n",
        "\u212a.example",
        "é",
        "[::1",
        "a" * 300,
    ],
)
def test_what_is_no_host(text: str) -> None:
    """User and password, lists, paths, and what only looks like a letter."""
    with pytest.raises(ValueError, match="is no host"):
        read_host(text)


@pytest.mark.parametrize(
    ("given", "credential"),
    [
        ([], None),
        ([("Authorization", "Basic x")], None),
        ([("Authorization", "Bearer t")], "Bearer t"),
        ([("Authorization", "ApiKey k.s")], "ApiKey k.s"),
        ([("Cookie", "session=t")], "Bearer t"),
        ([("Cookie", "a=b; session=t; c")], "Bearer t"),
        ([("Cookie", "a=b"), ("Cookie", "session=t")], "Bearer t"),
        ([("Cookie", "Session=t")], None),
        ([("Cookie", "xsession=t; session")], None),
        ([("Authorization", "bearer t"), ("Cookie", "session=t")], "bearer t"),
    ],
)
def test_one_credential(given: list[tuple[str, str]], credential: str | None) -> None:
    """From the header or the cookie, or the same from both."""
    if given == [("Cookie", "xsession=t; session")]:
        with pytest.raises(ContradictoryError):  # it is there, and empty
            presented(headers(*given), "session")
        return
    assert credential == presented(headers(*given), "session")


@pytest.mark.parametrize(
    "given",
    [
        [("Authorization", "Bearer t"), ("Authorization", "Bearer t")],
        [("Authorization", "Bearer t"), ("Cookie", "session=u")],
        [("Authorization", "ApiKey t"), ("Cookie", "session=t")],
        [("Authorization", "Basic t"), ("Cookie", "session=t")],
        [("Cookie", "session=t; session=t")],
        [("Cookie", "session=t"), ("Cookie", "session=t")],
        [("Cookie", "session=")],
        [("Cookie", 'session="t"')],
        [("Cookie", "session=t u")],
        [("Cookie", "session=t,u")],
    ],
)
def test_two_credentials_are_refused(given: list[tuple[str, str]]) -> None:
    """Whichever another reader would believe."""
    with pytest.raises(ContradictoryError):
        presented(headers(*given), "session")


def test_no_cookie_is_looked_at_where_none_is_named() -> None:
    """Whatever it holds."""
    both = headers(("Cookie", "session=t"), ("Authorization", "Bearer u"))

    assert presented(headers(("Cookie", "session=t"))) is None
    assert "Bearer u" == presented(both)
