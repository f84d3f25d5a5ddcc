"""Introspections that never reach the framework: their answers are the framework's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random
from typing import Any, LiteralString
from urllib.parse import urlencode

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qeetid_authz.postgres.embedded import Server
from qeetid_authz_server.fastpath.introspections import LastAsker, PlainIntrospections
from tests.fixtures.postgres import new_database
from tests.issuer import agent_claims, service_claims
from tests.server.sidecars import Wire, eventually
from tests.server.test_fastcheck import LAST, stream
from tests.server.test_introspect import (
    AGENT,
    AS_ACME,
    AS_OTHER,
    IDLE_AGENT,
    INACTIVE,
    SECRET,
    SERVICE,
    Shop,
    add_login,
    ask,
    basic,
    now,
    open_shop,
    own_shop,
    shop_on_own_server,
)
from tests.server.town import ACME, ACME_KEY, ANN, OTHER, SUE, target
from tests.tables import Seeded

__all__ = ["own_shop"]

FORM = "application/x-www-form-urlencoded"


def post(
    body: str | bytes,
    *lines: str,
    path: str = "/oauth/introspect",
    authorization: str | None = AS_ACME,
    content_type: str | None = FORM,
    length: str | None = None,
) -> bytes:
    """An introspection, with such header lines besides the usual ones."""
    raw = body if isinstance(body, bytes) else body.encode()
    usual = [f"POST {path} HTTP/1.1", "Host: x"]
    if authorization is not None:
        usual.append(f"Authorization: {authorization}")
    if content_type is not None:
        usual.append(f"Content-Type: {content_type}")
    usual.append(f"Content-Length: {length or len(raw)}")
    head = "\r\n".join([*usual, *lines, "", ""])
    return head.encode("utf-8", "surrogateescape") + raw


class Ways:
    """Sidecars with the fast path and without it, and tokens that all of them know."""

    def __init__(self, shop: Shop, both: dict[str, tuple[str, str]]) -> None:
        self.both = both
        sign = shop.issuer.sign
        self.tokens = {
            "user": shop.token(scope="a:b c<d>"),
            "suspended": shop.token(SUE),
            "foreign": shop.token(tenant=OTHER),
            "ended": shop.token(iat=now() - 9, nbf=now() - 9, exp=now() - 1),
            "service": sign(service_claims(SERVICE, ACME, now())),
            "agent": sign(agent_claims(AGENT, ACME, now())),
            "idle agent": sign(agent_claims(IDLE_AGENT, ACME, now())),
            "delegated": shop.token(act={"sub": AGENT}),
        }
        self.plain = post(f"token={self.tokens['user']}")
        askers = [AS_ACME, AS_OTHER, f"ApiKey {ACME_KEY}", basic("qci_public", "")]
        for base_url in (each for pair in both.values() for each in pair):
            for token in self.tokens.values():
                for asker in askers:
                    ask(base_url, token, authorization=asker)

    def compare(self, *pieces: bytes, semantics: str = "strict") -> None:
        """Send the same both ways; the answers must be the same, byte for byte."""
        fast, slow = self.both[semantics]
        assert stream(slow, *pieces) == stream(fast, *pieces)


@pytest.fixture(scope="module")
def ways(cluster: Server, template: str) -> Iterator[Ways]:
    """Both ways under both semantics."""
    with ExitStack() as stack:
        name = stack.enter_context(new_database(cluster, template))
        shop = stack.enter_context(open_shop(cluster.dsn(name)))

        def open_one(semantics: str, *, fast_path: bool) -> str:
            opened = shop.sidecar(semantics=semantics, fast_path=fast_path)
            return stack.enter_context(opened)

        both = {
            semantics: (
                open_one(semantics, fast_path=True),
                open_one(semantics, fast_path=False),
            )
            for semantics in ("strict", "mirror")
        }
        yield Ways(shop, both)


Make = Callable[[str], bytes]

HEADS: dict[str, Make] = {
    "plain": post,
    "the other path": lambda form: post(form, path="/v1/oauth/introspect"),
    "an id of its own": lambda form: post(form, "X-Request-Id: mine"),
    "an id that is none": lambda form: post(form, "X-Request-Id: a b"),
    "two ids": lambda form: post(form, "X-Request-Id: a", "X-Request-Id: b"),
    "to be kept alive": lambda form: post(form, "Connection: keep-alive"),
    "to be closed": lambda form: post(form, "Connection: close"),
    "expected": lambda form: post(form, "Expect: 100-continue"),
    "to be upgraded": lambda form: post(form, "Connection: Upgrade", "Upgrade: x"),
    "a credential in other case": lambda form: post(
        form, authorization=AS_ACME.replace("Basic", "bAsIc")
    ),
    "a client of another tenant": lambda form: post(form, authorization=AS_OTHER),
    "a wrong secret": lambda form: post(form, authorization=basic("qci_acme", "x")),
    "an unknown client": lambda form: post(form, authorization=basic("x", SECRET)),
    "a public client": lambda form: post(form, authorization=basic("qci_public", "")),
    "a broken credential": lambda form: post(form, authorization="Basic !"),
    "another scheme": lambda form: post(form, authorization="Bearer x"),
    "an API key": lambda form: post(form, authorization=f"ApiKey {ACME_KEY}"),
    "an unknown API key": lambda form: post(form, authorization=f"ApiKey {ACME_KEY}x"),
    "no credential": lambda form: post(form, authorization=None),
    "two credentials": lambda form: post(form, f"Authorization: {AS_ACME}"),
    "two Hosts": lambda form: post(form, "Host: y"),
    "no Host": lambda form: post(form).replace(b"Host: x\r\n", b""),
    "no type": lambda form: post(form, content_type=None),
    "a type with parameters": lambda form: post(
        form, content_type=f"{FORM}; charset=utf-8"
    ),
    "a type in other case": lambda form: post(form, content_type=FORM.upper()),
    "another type": lambda form: post(form, content_type="text/plain"),
    "two types": lambda form: post(form, f"Content-Type: {FORM}"),
    "an encoding": lambda form: post(form, "Content-Encoding: gzip"),
    "no encoding": lambda form: post(form, "Content-Encoding: identity"),
    "two lengths": lambda form: post(form, f"Content-Length: {len(form)}"),
    "a length with a zero": lambda form: post(form, length=f"0{len(form)}"),
    "a length with many zeros": lambda form: post(
        form, length=f"{'0' * 5_000}{len(form)}"
    ),
    "a length beyond all": lambda form: post(form, length="9" * 5_000),
    "no length": lambda form: post(form).replace(b"Length", b"Height"),
    "a length with a sign": lambda form: post(form, length=f"+{len(form)}"),
    "a length in other digits": lambda form: post(form, length="\udcd9\udca1"),
    "a length too short": lambda form: post(form, length=f"{len(form) - 1}"),
    "chunks": lambda form: post(form, "Transfer-Encoding: chunked"),
    "a query": lambda form: post(form, path="/oauth/introspect?client_id=x"),
    "a fragment": lambda form: post(form, path="/oauth/introspect#x"),
    "an escaped path": lambda form: post(form, path="/oauth/%69ntrospect"),
    "a slash more": lambda form: post(form, path="/oauth/introspect/"),
    "HTTP/1.0": lambda form: post(form).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "PUT": lambda form: post(form).replace(b"POST", b"PUT"),
    "GET": lambda form: post(form).replace(b"POST", b"GET"),
    "a method in lower case": lambda form: post(form).replace(b"POST", b"post"),
    "a bare line feed": lambda form: post(form).replace(b"\r\nHost", b"\nHost"),
    "a folded line": lambda form: post(form, "X-Other: a\r\n b"),
    "bytes that are no text": lambda form: post(form, "X-Other: \udcff"),
    "an empty line first": lambda form: b"\r\n" + post(form),
    "a check behind": lambda form: (
        post(form) + f"GET {target()} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    ),
    "two": lambda form: post(form) + post(form),
}

BODIES: dict[str, Callable[[str], str]] = {
    "for an access token": lambda token: f"token={token}&token_type_hint=access_token",
    "for a refresh token": lambda token: f"token={token}&token_type_hint=refresh_token",
    "for something else": lambda token: f"token_type_hint=x&token={token}",
    "an escape": lambda token: f"token={token.replace('.', '%2E')}",
    "an escaped name": lambda token: f"t%6Fken={token}",
    "a plus": lambda token: f"token={token}+",
    "a broken escape": lambda token: f"token={token}&x=%zz",
    "a semicolon": lambda token: f"token={token};x",
    "a hundred fields": lambda token: f"token={token}" + "&" * 99,
    "more fields": lambda token: f"token={token}" + "&" * 100,
    "two tokens": lambda token: f"token={token}&token=x",
    "a token before": lambda token: f"token=x&token={token}",
    "another token": lambda token: f"token={token[:-1]}",
    "an empty token": lambda _: "token=",
    "no token": lambda _: "x=y",
    "a client": lambda token: f"token={token}&client_id=qci_other&client_secret=x",
    "bytes that are no text": lambda token: f"token={token}é\x80",
    "a long form": lambda token: f"token={token}&x={'y' * 50_000}",
}


@pytest.mark.parametrize("name", HEADS)
def test_both_ways_answer_alike(ways: Ways, name: str) -> None:
    """Status, headers and body are the same, byte for byte, however it arrives."""
    request = HEADS[name](f"token={ways.tokens['user']}")
    ways.compare(request + LAST)
    ways.compare(request, LAST)


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
@pytest.mark.parametrize("name", BODIES)
def test_forms_are_read_alike(ways: Ways, name: str, semantics: str) -> None:
    """Whatever a form says, it says the same both ways."""
    request = post(BODIES[name](ways.tokens["user"]))
    ways.compare(request, LAST, semantics=semantics)


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
@pytest.mark.parametrize(
    "authorization", [AS_ACME, AS_OTHER, f"ApiKey {ACME_KEY}", None]
)
def test_everybodys_tokens(
    ways: Ways, authorization: str | None, semantics: str
) -> None:
    """Who is told of whose token is the same both ways, again on one connection."""
    asked = [
        post(f"token={token}", authorization=authorization)
        for token in (*ways.tokens.values(), *ways.tokens.values())
    ]
    ways.compare(*asked, LAST, semantics=semantics)


def test_a_client_in_the_form(ways: Ways) -> None:
    """Who is named in the form asks for itself only, and is asked every time."""
    token = ways.tokens["user"]

    def asked(client_id: str, secret: str) -> bytes:
        fields = {"token": token, "client_id": client_id, "client_secret": secret}
        return post(urlencode(fields), authorization=None)

    right, other = asked("qci_acme", SECRET), asked("qci_other", SECRET)
    wrong = asked("qci_acme", "x" + SECRET[1:])
    assert len(right) == len(wrong)
    ways.compare(right, right, other, wrong, right, LAST)


class Counted:
    """How many introspections the fast path answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = 0
        answer = PlainIntrospections.answer

        def counting(path: PlainIntrospections, data: bytes, on: LastAsker) -> bytes:
            answered = answer(path, data, on)
            self.answers += bool(answered)
            return answered

        monkeypatch.setattr(PlainIntrospections, "answer", counting)


def test_plain_introspections_take_the_fast_path(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a known token is answered there, and one with anything about it isn't."""
    counted = Counted(monkeypatch)
    form = f"token={ways.tokens['user']}"
    fast, _ = ways.both["strict"]
    taken = set()
    for name, make in HEADS.items():
        counted.answers = 0
        stream(fast, make(form), LAST)
        taken |= {name} if counted.answers else set()

    assert taken == {
        "plain",
        "the other path",
        "an id of its own",
        "an id that is none",
        "to be kept alive",
        "a credential in other case",
        "a public client",
        "an API key",
    }


def test_tokens_that_take_the_fast_path(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The active ones do; whether another is a refresh token, the database knows."""
    counted = Counted(monkeypatch)
    taken: dict[str, set[str]] = {}
    for semantics, (fast, _) in ways.both.items():
        taken[semantics] = set()
        for name, token in ways.tokens.items():
            counted.answers = 0
            stream(fast, post(f"token={token}"), LAST)
            taken[semantics] |= {name} if counted.answers else set()

    active = {"user", "service", "agent", "delegated"}
    assert active == taken["strict"]
    assert active | {"suspended", "foreign", "idle agent"} == taken["mirror"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1).map(Seeded))
def test_broken_requests_are_answered_alike(ways: Ways, random: Random) -> None:
    """Bytes changed, doubled or left out anywhere make no difference between both."""
    request = bytearray(ways.plain)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(request))
        match random.randrange(4):
            case 0:
                request[at] = random.randrange(256)
            case 1:
                del request[at]
            case 2:
                request[at:at] = random.choice(
                    [b"\r\n", b"\n", b" ", b"%", b"&", b"=", b":", b"\0"]
                )
            case _:
                request[at:at] = request[at : at + random.randrange(1, 30)]
    ways.compare(bytes(request) + LAST)


@pytest.mark.parametrize("part", range(1, 10))
def test_an_introspection_in_two_pieces(ways: Ways, part: int) -> None:
    """It is answered once, wherever the network cuts it."""
    fast, slow = ways.both["strict"]
    at = len(ways.plain) * part // 10
    answer = stream(slow, ways.plain + LAST)
    assert answer == stream(fast, ways.plain[:at], ways.plain[at:] + LAST)


def test_a_form_hidden_in_another(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    """An introspection inside another request's body isn't answered as one."""
    counted = Counted(monkeypatch)
    hidden = post(b"", length=f"{len(ways.plain)}")
    ways.compare(hidden, ways.plain, LAST)
    assert 0 == counted.answers


@contextmanager
def knowing(base_url: str, request: bytes) -> Iterator[Wire]:
    """A connection on which an introspection was answered, twice."""
    with Wire(base_url) as wire:
        for _ in range(2):
            wire.send(request)
            assert wire.receive().body.startswith(b'{"active":true,')
        yield wire


def _turns(wire: Wire, request: bytes, status: int, body: bytes = b"") -> bool:
    wire.send(request)
    reply = wire.receive()
    return reply.status == status and reply.body.startswith(body)


@pytest.mark.parametrize(
    ("change", "status", "body"),
    [
        ("UPDATE \"user\".users SET status = 'suspended'", 200, INACTIVE),
        ("UPDATE tenant.tenants SET status = 'suspended'", 200, INACTIVE),
        ("UPDATE auth.sessions SET revoked_at = now()", 200, INACTIVE),
        ("UPDATE auth.oidc_clients SET client_secret_hash = 'x'", 401, b""),
        ("DELETE FROM auth.oidc_clients", 401, b""),
    ],
)
def test_what_is_known_is_looked_at_again(
    own_shop: Shop,
    connection: psycopg.Connection[Any],
    change: LiteralString,
    status: int,
    body: bytes,
) -> None:
    """Whatever changes counts on the same connection as well."""
    _, session = add_login(connection)
    request = post(f"token={own_shop.token(sid=session)}")
    with own_shop.sidecar() as base_url, knowing(base_url, request) as wire:
        connection.execute(change)
        eventually(partial(_turns, wire, request, status, body))


def test_a_token_that_ends(own_shop: Shop) -> None:
    """It is inactive from its end on, whatever was remembered of it."""
    request = post(f"token={own_shop.token(ANN, exp=now() + 3)}")
    with own_shop.sidecar() as base_url, knowing(base_url, request) as wire:
        eventually(partial(_turns, wire, request, 200, INACTIVE))


def test_an_api_key_that_is_revoked(
    own_shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    """Nor does a key count longer on the same connection."""
    request = post(f"token={own_shop.token()}", authorization=f"ApiKey {ACME_KEY}")
    with own_shop.sidecar() as base_url, knowing(base_url, request) as wire:
        connection.execute("UPDATE auth.api_keys SET revoked_at = now()")
        eventually(partial(_turns, wire, request, 401))


def test_a_stale_replica() -> None:
    """Nothing is said of a token any more, known or not."""
    with (
        shop_on_own_server() as (cluster, shop),
        shop.sidecar(max_staleness=1.0) as base_url,
    ):
        request = post(f"token={shop.token()}")
        with knowing(base_url, request) as wire:
            cluster.stop()
            eventually(partial(_turns, wire, request, 503))
