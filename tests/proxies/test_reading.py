"""The file of routes: what it says, and everything that can be wrong with it."""

import pytest

from qeetid_authz_server.loading import SettingsError
from qeetid_authz_server.proxies.patterns import Pattern
from qeetid_authz_server.proxies.reading import Routing, read_routes
from qeetid_authz_server.proxies.table import Access, Route
from qeetid_authz_server.proxies.telling import Manner
from tests.proxies.programs import CONFIGURATION

ROUTE = "routes:\n  - path: /a\n    permission: k\n"


def read(text: str) -> Routing:
    """A file that is called `r.yaml`."""
    return read_routes(text.encode("utf-8", "surrogateescape"), "r.yaml")


def problems(text: str) -> tuple[str, ...]:
    """What is wrong with a file."""
    with pytest.raises(SettingsError) as refused:
        read(text)
    return refused.value.problems


def routes(*rows: str) -> str:
    """A file with routes of one line each, of which the first is line 3."""
    return "\n".join(["proxies: [nginx]", "routes:", *(f"  - {row}" for row in rows)])


def test_a_file() -> None:
    """Every member, and what each is by default."""
    read_one = read(
        "proxies: [caddy, traefik]\nclient_ip: ignored\nroutes:\n"
        "  - {path: /a/{id}, methods: [GET, POST], hosts: [x.test], permission: a:b}\n"
        "  - path: /**\n    for: authenticated\n"
        "  - {path: /, for: anybody}\n".replace("/a/{id}", '"/a/{id}"').replace(
            "/**\n    for: authenticated", "/a/**\n    for: authenticated"
        )
    )
    first, second, third = read_one.table.routes

    assert (Manner.FORWARDED, False) == (read_one.manner, read_one.needs_client)
    assert first == Route(
        Pattern(("a", None)),
        Access.PERMITTED,
        "a:b",
        frozenset({"GET", "POST"}),
        frozenset({"x.test"}),
        4,
    )
    assert second == Route(Pattern(("a",), has_rest=True), Access.AUTHENTICATED, line=5)
    assert third == Route(Pattern(("",)), Access.ANYBODY, line=7)
    assert read(f"proxies: [envoy]\n{ROUTE}").needs_client


def test_words_that_yaml_takes_for_something_else_are_text() -> None:
    """Booleans, numbers, dates and nothing: keys and segments may be called so."""
    words = [
        "yes",
        "no",
        "on",
        "null",
        "~",
        "1",
        "1e3",
        "0x1F",
        "2026-01-01",
        "=",
        "1:20",
    ]
    read_all = read(routes(*(f"{{path: /{w}, permission: {w}}}" for w in words)))

    assert words == [route.permission for route in read_all.table.routes]


def test_the_documentations_file_is_read() -> None:
    """With every kind of route."""
    shown = read_routes((CONFIGURATION / "routes.yaml").read_bytes(), "routes.yaml")

    assert set(Access) == {route.access for route in shown.table.routes}
    assert shown.table.has_hosts


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("", 1, "is empty"),
        ("# nothing\n", 1, "is empty"),
        ("- a", 1, "must have the members proxies, client_ip, routes"),
        ("routes: []\nproxies: [nginx\n", 3, "isn't YAML"),
        ("proxies: [nginx]\nroutes:\n\t- path: /a\n", 3, "isn't YAML"),
        ("proxies: [nginx]\n--- \na: b\n", 2, "isn't YAML"),
        ("proxies: [nginx]\n# \udcff\n", 2, "isn't UTF-8"),
        ("proxies: [nginx]\n# \x07\n", 2, "has a character that YAML can't hold"),
        ("[" * 5000, 1, "is nested too deeply"),
        (ROUTE, 1, "`proxies` is missing"),
        ("proxies: [nginx]\n", 1, "`routes` is missing"),
        (f"proxies: [nginx]\nport: 1\n{ROUTE}", 2, "`port` is no member"),
        (f"proxies: [nginx]\n<<: {{}}\n{ROUTE}", 2, "`<<` is no member"),
        (f"proxies: [nginx]\n? [a]\n: b\n{ROUTE}", 2, "a member's name must be text"),
        (f"proxies: [nginx]\nproxies: [envoy]\n{ROUTE}", 2, "`proxies` comes twice"),
        (f"proxies: nginx\n{ROUTE}", 1, "`proxies` must be a list"),
        (f"proxies: []\n{ROUTE}", 1, "`proxies` must not be empty"),
        (f"proxies:\n  - nginx\n  - haproxy\n{ROUTE}", 3, "`haproxy` is none of"),
        (
            f"proxies:\n  - traefik\n  - caddy\n  - nginx\n{ROUTE}",
            4,
            "`traefik` and `nginx` tell by different headers",
        ),
        (f"proxies: [nginx]\nclient_ip: yes\n{ROUTE}", 2, "`yes` is none of required"),
        (f"proxies: [nginx]\nclient_ip:\n{ROUTE}", 2, "must not be empty"),
        ("proxies: [nginx]\nroutes:\n", 2, "`routes` must be a list"),
        ("proxies: [nginx]\nroutes: []\n", 2, "`routes` must not be empty"),
        ("proxies: [nginx]\nroutes: !!set {a: b}\n", 2, "`routes` must be a list"),
        (routes("/a"), 3, "must have the members path"),
        (routes("{permission: k}"), 3, "`path` is missing"),
        (routes("{path: /a}"), 3, "must have either a `permission` or `for`"),
        (routes("{path: /a, for: anybody, permission: k}"), 3, "must have either"),
        (routes("{path: /a, for: everybody}"), 3, "`everybody` is none of anybody"),
        (routes("{path: /a, for: yes}"), 3, "`yes` is none of anybody"),
        (routes("{path: /a, for: permitted}"), 3, "`permitted` is none of anybody"),
        (routes("{path: /a, permission: }"), 3, "a permission must not be empty"),
        (routes("{path: /a, permission: [k]}"), 3, "a permission must be text"),
        (routes("{path: /a, permission: !!int 1}"), 3, "a permission must be text"),
        (routes("{path: /a, permissions: k}"), 3, "`permissions` is no member"),
        (routes("{path: /a, permission: k, path: /b}"), 3, "`path` comes twice"),
        (routes("{path: a, for: anybody}"), 3, "path `a` must begin with `/`"),
        (routes("{path: '*', for: anybody}"), 3, "must begin with `/`"),
        (routes("{path: 'http://a/b', for: anybody}"), 3, "must begin with `/`"),
        (routes("{path: /a*, for: anybody}"), 3, "wildcards are whole segments"),
        (routes("{path: /*, for: anybody}"), 3, "wildcards are whole segments"),
        (routes("{path: '/{a', for: anybody}"), 3, "wildcards are whole segments"),
        (routes("{path: '/{}', for: anybody}"), 3, "wildcards are whole segments"),
        (routes("{path: '/{a}.js', for: anybody}"), 3, "wildcards are whole segments"),
        (routes("{path: /**/a, for: anybody}"), 3, "wildcards are whole segments"),
        (routes("{path: '/a?b', for: anybody}"), 3, "queries aren't matched"),
        (routes("{path: /a//b, for: anybody}"), 3, "can't match"),
        (routes("{path: //, for: anybody}"), 3, "can't match"),
        (routes("{path: /a/./b, for: anybody}"), 3, "can't match"),
        (routes("{path: /a/.., for: anybody}"), 3, "can't match"),
        (routes("{path: /a%2fb, for: anybody}"), 3, "can't match"),
        (routes("{path: /a%20b, for: anybody}"), 3, "can't match"),
        (routes("{path: '/a\\b', for: anybody}"), 3, "can't match"),
        (routes("{path: /a;b, for: anybody}"), 3, "can't match"),
        (
            routes(f"{{path: /{'a' * 8192}, for: anybody}}"),
            3,
            "is longer than any path",
        ),
        (
            routes("{path: /a, methods: GET, for: anybody}"),
            3,
            "`methods` must be a list",
        ),
        (routes("{path: /a, methods: [], for: anybody}"), 3, "must not be empty"),
        (routes("{path: /a, methods: [get], for: anybody}"), 3, "in capitals"),
        (routes("{path: /a, methods: ['*'], for: anybody}"), 3, "in capitals"),
        (routes("{path: /a, methods: [HEAD], for: anybody}"), 3, "write `GET`"),
        (routes("{path: /a, methods: [PUT, PUT], for: anybody}"), 3, "comes twice"),
        (routes("{path: /a, hosts: [], for: anybody}"), 3, "must not be empty"),
        (routes("{path: /a, hosts: [A.test], for: anybody}"), 3, "in lower case"),
        (routes("{path: /a, hosts: ['a.test:80'], for: anybody}"), 3, "without port"),
        (routes("{path: /a, hosts: [a.test.], for: anybody}"), 3, "final dot"),
        (routes("{path: /a, hosts: ['*.test'], for: anybody}"), 3, "must be a host"),
        (routes("{path: /a, hosts: [a, a], for: anybody}"), 3, "comes twice"),
        (
            routes("{path: /a, permission: k}", "{path: /a, permission: l}"),
            4,
            "this route can never match: line 3 takes all of it before",
        ),
        (
            routes("{path: /**, for: authenticated}", "{path: /a, permission: k}"),
            4,
            "this route can never match: line 3 takes all of it before",
        ),
        (
            routes(
                "{path: /a/**, methods: [GET], for: anybody}",
                "{path: '/a/{x}', methods: [GET, POST], permission: k}",
            ),
            4,
            "`GET` of this route can never match: line 3 takes all of it before",
        ),
    ],
)
def test_what_is_refused(text: str, line: int, fault: str) -> None:
    """Each fault is told with the line that it is in."""
    (problem,) = problems(text)

    assert problem.startswith(f"r.yaml:{line} "), problem
    assert fault in problem


def test_all_faults_are_told_at_once() -> None:
    """In the order of their lines, so that one look repairs all."""
    found = problems(
        "proxies: [nginx, caddy]\nclient_ip: perhaps\nroutes:\n"
        "  - path: a\n    for: anybody\n"
        "  - path: /b\n"
        "  - path: /c\n    for: anybody\n  - path: /c\n    permission: k\n"
    )

    assert [1, 2, 4, 6, 9] == [int(each.split(":")[1].split()[0]) for each in found]


def test_unknown_permissions() -> None:
    """Each is told with its line."""
    table = read(routes("{path: /a, permission: k}", "{path: /b, permission: l}"))
    (problem,) = table.unknown({"k"}.__contains__)

    assert problem.startswith("r.yaml:4 `l` is no permission of this database")
