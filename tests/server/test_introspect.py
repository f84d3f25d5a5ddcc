"""Introspection: who may ask, and what there is to say of a token (fact 5)."""

import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import quote_plus, urlencode
from uuid import uuid4

import bcrypt
import psycopg
import pytest
from psycopg import sql

from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.postgres.embedded import Cluster, Server
from qeetid_authz.postgres.migrate import migrate
from qeetid_authz_server.incoming.forms import FIELD_LIMIT, FORM_SIZE_LIMIT
from tests.fixtures.postgres import new_database
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    NOBODY,
    Issuer,
    agent_claims,
    encode,
    service_claims,
    user_claims,
)
from tests.keyserver import KeyServer
from tests.server.sidecars import Reply, Wire, eventually, exchange, request, sidecar
from tests.server.test_check import error
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    BOB,
    CLOSED,
    OTHER,
    OTHER_KEY,
    SUE,
    add_key,
    argon2id,
    build,
    uuid,
)

PATH = "/oauth/introspect"
INACTIVE = b'{"active":false}\n'
SERVICE, AGENT = uuid("service", "job"), uuid("agent", "helper")
IDLE_SERVICE, IDLE_AGENT = uuid("service", "idle"), uuid("agent", "idle")
STRANGER = uuid("user", "stranger")
SECRET = "s3cret:%+ é"
ENDLESS = datetime(2200, 1, 1, tzinfo=UTC)
ISSUED = datetime(2026, 1, 2, tzinfo=UTC)

CLIENT_FAILED = ("oidc.client_auth_failed", "Client authentication failed.")
FORM_INVALID = ("oidc.form_invalid", "The form can't be read.")


def now() -> int:
    return int(time())


def basic(client_id: str, secret: str) -> str:
    """The value of an `Authorization` header."""
    return f"Basic {b64encode(f'{client_id}:{secret}'.encode()).decode()}"


AS_ACME = basic("qci_acme", SECRET)
AS_OTHER = basic("qci_other", SECRET)


def ask(
    base_url: str,
    token: str | None = None,
    hint: str | None = None,
    *,
    authorization: str | None = AS_ACME,
    path: str = PATH,
    **fields: str,
) -> Reply:
    """Introspect, by default as a client of Acme."""
    form = {"token": token, "token_type_hint": hint, **fields}
    body = urlencode({name: value for name, value in form.items() if value is not None})
    return send(base_url, body.encode(), authorization=authorization, path=path)


def send(
    base_url: str,
    body: bytes,
    *,
    authorization: str | None = AS_ACME,
    path: str = PATH,
    content_type: str | None = "application/x-www-form-urlencoded",
    **headers: str,
) -> Reply:
    """Post a body as it is."""
    if authorization is not None:
        headers["Authorization"] = authorization
    if content_type is not None:
        headers["Content_Type"] = content_type
    headers["X_Request_Id"] = "r"
    return request(base_url, path, method="POST", body=body, **headers)


def is_active(reply: Reply) -> bool:
    """Whether a token was called active; anything but a clear answer fails."""
    assert reply.status == 200, reply
    active = json.loads(reply.body)["active"]
    assert active is True or reply.body == INACTIVE
    return bool(active)


def insert(connection: psycopg.Connection[Any], table: str, **values: Any) -> None:
    """Insert a row into a table of schema `auth`."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier("auth", table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Placeholder() * len(values)),
    )
    connection.execute(statement, list(values.values()))


def add_client(
    connection: psycopg.Connection[Any],
    tenant: str,
    client_id: str,
    secret_hash: str | None,
    type_: str = "confidential",
) -> None:
    """Insert an OIDC client."""
    insert(
        connection,
        "oidc_clients",
        tenant_id=tenant,
        client_id=client_id,
        client_secret_hash=secret_hash,
        type=type_,
        name=client_id,
    )


def _hash(token: str) -> str:
    return urlsafe_b64encode(sha256(token.encode()).digest()).decode().rstrip("=")


def add_refresh_token(
    connection: psycopg.Connection[Any],
    tenant: str = ACME,
    user: str = ANN,
    **changes: Any,
) -> str:
    """Insert a refresh token of an OIDC client; returns its text."""
    token = f"refresh-{uuid4()}"
    row = {
        "token_hash": _hash(token),
        "client_id": "qci_any",
        "user_id": user,
        "tenant_id": tenant,
        "scopes": ["openid", "billing:write"],
        "issued_at": ISSUED,
        "expires_at": ENDLESS,
    }
    insert(connection, "oidc_refresh_tokens", **row | changes)
    return token


def add_login(
    connection: psycopg.Connection[Any],
    tenant: str | None = ACME,
    user: str = ANN,
    **changes: Any,
) -> tuple[str, str]:
    """Insert a session with a refresh token; returns the token's text and the id."""
    token, session = f"login-{uuid4()}", str(uuid4())
    insert(connection, "sessions", id=session, user_id=user, tenant_id=tenant)
    row = {
        "token_hash": _hash(token),
        "session_id": session,
        "issued_at": ISSUED,
        "expires_at": ENDLESS,
    }
    insert(connection, "refresh_tokens", **row | changes)
    return token, session


def furnish(connection: psycopg.Connection[Any]) -> None:
    """The town, with clients of every sort, and machines that may act and may not."""
    build(connection)
    hashed = argon2id(SECRET)
    add_client(connection, ACME, "qci_acme", hashed)
    add_client(connection, OTHER, "qci_other", hashed)
    add_client(connection, ACME, "qci_public", None, "public")
    add_client(connection, ACME, "qci_secretless", None)
    legacy = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode()
    add_client(connection, ACME, "qci_legacy", legacy)
    for id_, disabled in ((SERVICE, None), (IDLE_SERVICE, ISSUED)):
        insert(
            connection,
            "service_principals",
            id=id_,
            tenant_id=ACME,
            name=id_,
            secret_hash="x",
            disabled_at=disabled,
        )
    for id_, status in ((AGENT, "active"), (IDLE_AGENT, "suspended")):
        insert(
            connection,
            "agents",
            id=id_,
            tenant_id=ACME,
            name=id_,
            secret_hash="x",
            status=status,
        )


@dataclass
class Shop:
    """A furnished town with an issuer, and sidecars over it."""

    dsn: str
    keys: KeyServer
    issuer: Issuer = field(default_factory=Issuer)
    strict: str = ""
    mirror: str = ""

    @contextmanager
    def sidecar(self, **settings: Any) -> Iterator[str]:
        """The base URL of one that takes the issuer's tokens."""
        with sidecar(self.dsn, **{"jwks": self.keys.url} | settings) as base_url:
            yield base_url

    def token(self, user: str = ANN, tenant: str = ACME, **over: Any) -> str:
        """A user's token."""
        return self.issuer.sign(user_claims(user, tenant, now(), **over))


@contextmanager
def open_shop(dsn: str) -> Iterator[Shop]:
    """A shop over an empty migrated database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        furnish(connection)
    with KeyServer() as keys:
        shop = Shop(dsn, keys)
        keys.serve(shop.issuer.as_jwks())
        yield shop


@pytest.fixture(scope="module")
def shop(cluster: Server, template: str) -> Iterator[Shop]:
    """A shop to which tests only add."""
    with ExitStack() as stack:
        name = stack.enter_context(new_database(cluster, template))
        shop = stack.enter_context(open_shop(cluster.dsn(name)))
        shop.strict = stack.enter_context(shop.sidecar())
        shop.mirror = stack.enter_context(shop.sidecar(semantics="mirror"))
        yield shop


@pytest.fixture
def owner(shop: Shop) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the shop's database."""
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def own_shop(database: str) -> Iterator[Shop]:
    """A shop of the test's own; `connection` leads to its database."""
    with open_shop(database) as shop:
        yield shop


# What is said of access tokens


@pytest.mark.parametrize("path", [PATH, "/v1" + PATH])
def test_a_users_token(shop: Shop, path: str) -> None:
    """All that the hosted server says of a user's token, in its order."""
    session, issued = str(uuid4()), now() - 5
    token = shop.token(
        sid=session,
        scope="a:b c<d>",
        aud=[AUDIENCE, "https://api"],
        iat=issued,
        exp=issued + 300,
    )
    expected = (
        f'{{"active":true,"aud":"{AUDIENCE}","exp":{issued + 300},"iat":{issued},'
        f'"iss":"{ISSUER}","scope":"a:b c\\u003cd\\u003e","sid":"{session}",'
        f'"sub":"{ANN}","tenant_id":"{ACME}","token_type":"Bearer"}}\n'
    )

    for base_url in (shop.strict, shop.mirror):
        reply = ask(base_url, token, path=path)
        assert (200, expected.encode()) == (reply.status, reply.body)


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
def test_a_machines_token(shop: Shop, semantics: str) -> None:
    """A service principal's and an agent's token say what acts."""
    issued = now()
    of_service = service_claims(SERVICE, ACME, issued, scope="a:b")
    of_agent = agent_claims(AGENT, ACME, issued)
    common = {"active": True, "aud": AUDIENCE, "exp": issued + 600, "iat": issued}
    common |= {"iss": ISSUER, "tenant_id": ACME, "token_type": "Bearer"}
    base_url = getattr(shop, semantics)

    for claims, own in (
        (of_service, {"actor_type": "service", "scope": "a:b", "sub": SERVICE}),
        (
            of_agent,
            {"actor_type": "agent", "agent_id": AGENT, "scope": "", "sub": AGENT},
        ),
    ):
        reply = ask(base_url, shop.issuer.sign(claims))
        members = json.loads(reply.body)
        assert common | own == members
        assert sorted(members) == list(members)


def test_a_delegated_token(shop: Shop) -> None:
    """The current actor is named, those behind it are not."""
    act = {"sub": AGENT, "act": {"sub": BOB}, "more": 1}
    token = shop.token(act=act)

    for base_url in (shop.strict, shop.mirror):
        members = json.loads(ask(base_url, token).body)
        assert {"sub": AGENT} == members["act"]
        assert "act" == next(iter(members))


def test_what_a_token_leaves_out(shop: Shop) -> None:
    """Under mirror a token without times, session and tenant is active; not under strict."""
    claims = user_claims(ANN, NOBODY, now(), sid=NOBODY)
    for name in ("exp", "nbf", "iat"):
        del claims[name]
    token = shop.issuer.sign(claims)
    expected = (
        f'{{"active":true,"aud":"{AUDIENCE}","iss":"{ISSUER}","scope":"",'
        f'"sub":"{ANN}","token_type":"Bearer"}}\n'
    )

    assert expected.encode() == ask(shop.mirror, token).body
    assert INACTIVE == ask(shop.strict, token).body


def test_a_token_of_ten_thousand_scopes(shop: Shop) -> None:
    """A long token, sent escaped, is told in full."""
    scope = " ".join(f"s:{n}" for n in range(10_000))
    token = shop.token(scope=scope)

    for base_url in (shop.strict, shop.mirror):
        assert scope == json.loads(ask(base_url, token).body)["scope"]
    body = b"token=" + b"".join(b"%%%02X" % byte for byte in token.encode())
    assert is_active(send(shop.strict, body))


REFUSED: dict[str, Any] = {
    "expired": {"exp": 1},
    "still to come": {"nbf": 1 << 40},
    "of another issuer": {"iss": "somebody"},
    "for another audience": {"aud": ["somebody"]},
    "an ID token": {"aud": "qci_acme"},
    "of nobody": {"user_id": NOBODY, "sub": NOBODY},
    "of a wrong type": {"tenant_id": 7},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_claims_that_are_refused(shop: Shop, changes: dict[str, Any]) -> None:
    """Whatever is wrong with a token, it is inactive and nothing else is said."""
    token = shop.token(**changes)

    for base_url in (shop.strict, shop.mirror):
        for hint in (None, "access_token", "refresh_token"):
            reply = ask(base_url, token, hint)
            assert (200, INACTIVE) == (reply.status, reply.body)


def test_what_is_no_token_of_the_issuer(shop: Shop) -> None:
    """Forged, unsigned, tampered with, cut, or no access token at all: inactive."""
    good = shop.token()
    head, payload, signature = good.split(".")
    unsigned = encode(b'{"alg":"none"}', b"{}", b"x")
    tokens = [
        Issuer().sign(user_claims(ANN, ACME, now())),
        f"{head}.{payload}.{'A' * 86}",
        f"{head}.{payload}",
        f"{good}.{signature}",
        f" {good}",
        f"Bearer {good}",
        unsigned,
        ACME_KEY,
        "opaque",
        "\0",
        "é\udcff",
        "A" * 200_000,
    ]
    assert is_active(ask(shop.strict, good))

    for token in tokens:
        body = "token=" + quote_plus(token.encode("utf-8", "surrogateescape"))
        assert INACTIVE == send(shop.strict, body.encode()).body


def test_no_token(shop: Shop) -> None:
    """An empty token or none is inactive, to those who may ask."""
    assert INACTIVE == ask(shop.strict, "").body
    assert INACTIVE == ask(shop.strict).body
    assert INACTIVE == send(shop.mirror, b"").body
    assert 401 == send(shop.mirror, b"", authorization=None).status


def test_hints(shop: Shop, owner: psycopg.Connection[Any]) -> None:
    """A known hint narrows the search, any other doesn't."""
    access, refresh = shop.token(), add_refresh_token(owner)

    for base_url in (shop.strict, shop.mirror):
        for hint, of_access, of_refresh in (
            ("access_token", True, False),
            ("refresh_token", False, True),
            ("Access_Token", True, True),
            ("", True, True),
            (None, True, True),
        ):
            assert of_access == is_active(ask(base_url, access, hint))
            assert of_refresh == is_active(ask(base_url, refresh, hint))


# Who may act, and who may be told


INACTIVE_UNDER_STRICT: dict[str, Callable[[int], dict[str, Any]]] = {
    "a suspended user": lambda now: user_claims(SUE, ACME, now),
    "an unknown user": lambda now: user_claims(STRANGER, ACME, now),
    "a closed tenant": lambda now: user_claims(ANN, CLOSED, now),
    "an unknown tenant": lambda now: user_claims(ANN, STRANGER, now),
    "no tenant": lambda now: user_claims(ANN, NOBODY, now),
    "a suspended agent": lambda now: agent_claims(IDLE_AGENT, ACME, now),
    "an unknown agent": lambda now: agent_claims(STRANGER, ACME, now),
    "an agent elsewhere": lambda now: agent_claims(AGENT, OTHER, now),
    "a suspended agent that looks like a user": lambda now: user_claims(
        IDLE_AGENT, ACME, now
    ),
    "a disabled service": lambda now: service_claims(IDLE_SERVICE, ACME, now),
    "a suspended actor": lambda now: user_claims(
        ANN, ACME, now, act={"sub": IDLE_AGENT}
    ),
    "an unknown actor": lambda now: user_claims(ANN, ACME, now, act={"sub": STRANGER}),
}


@pytest.mark.parametrize(
    "claims_at", INACTIVE_UNDER_STRICT.values(), ids=INACTIVE_UNDER_STRICT
)
def test_who_may_not_act(
    shop: Shop, tmp_path: Path, claims_at: Callable[[int], dict[str, Any]]
) -> None:
    """Under strict nobody is active who may not act, whoever asks; under mirror all are."""
    token = shop.issuer.sign(claims_at(now()))
    path = tmp_path / "s"

    with shop.sidecar(listen=f"unix:{path}", caller_auth="off") as unasked:
        assert INACTIVE == ask(unasked, token, authorization=None).body
    for authorization in (AS_ACME, AS_OTHER):
        assert INACTIVE == ask(shop.strict, token, authorization=authorization).body
        assert is_active(ask(shop.mirror, token, authorization=authorization))


def test_an_invited_user(shop: Shop, owner: psycopg.Connection[Any]) -> None:
    """An invited user may act, and an agent's token exchanged for a user's as well."""
    owner.execute(
        """INSERT INTO "user".users (id, email, status)
        VALUES (%s, 'new@x', 'invited') ON CONFLICT DO NOTHING""",
        [uuid("user", "new")],
    )

    eventually(lambda: is_active(ask(shop.strict, shop.token(uuid("user", "new")))))
    assert is_active(ask(shop.strict, shop.token(AGENT)))


ASKERS = [
    (ACME, AS_ACME),
    (ACME, f"ApiKey {ACME_KEY}"),
    (OTHER, AS_OTHER),
    (OTHER, f"ApiKey {OTHER_KEY}"),
]


@pytest.mark.parametrize("tenant", [ACME, OTHER])
def test_tokens_of_another_tenant(
    shop: Shop, owner: psycopg.Connection[Any], tmp_path: Path, tenant: str
) -> None:
    """Under strict a client and a key learn of their own tenant's tokens only."""
    access, refresh = shop.token(tenant=tenant), add_refresh_token(owner, tenant)
    login, _ = add_login(owner, tenant)

    for token in (access, refresh, login):
        for asker, authorization in ASKERS:
            reply = ask(shop.strict, token, authorization=authorization)
            assert (asker == tenant) == is_active(reply)
    for token in (access, refresh):
        for _, authorization in ASKERS:
            assert is_active(ask(shop.mirror, token, authorization=authorization))
    with shop.sidecar(listen=f"unix:{tmp_path / 's'}", caller_auth="off") as unasked:
        for token in (access, refresh, login):
            assert is_active(ask(unasked, token, authorization=None))


def test_a_revoked_session(shop: Shop, owner: psycopg.Connection[Any]) -> None:
    """A revocation reaches a strict sidecar by the feed, and never a mirroring one."""
    _, session = add_login(owner)
    token = shop.token(sid=session)
    assert is_active(ask(shop.strict, token))

    owner.execute(
        "UPDATE auth.sessions SET revoked_at = now() WHERE id = %s", [session]
    )

    eventually(lambda: INACTIVE == ask(shop.strict, token).body)
    assert is_active(ask(shop.mirror, token))
    assert is_active(ask(shop.strict, shop.token()))


def test_an_agent_suspended_meanwhile(
    own_shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    """A status that changes is followed, both ways."""
    token = own_shop.issuer.sign(agent_claims(AGENT, ACME, now()))
    with own_shop.sidecar() as base_url:
        assert is_active(ask(base_url, token))
        for status in ("suspended", "active"):
            connection.execute("UPDATE auth.agents SET status = %s", [status])
            active = status == "active"
            eventually(partial(_answers, active, base_url, token))


def _answers(active: bool, base_url: str, token: str) -> bool:
    return active == is_active(ask(base_url, token))


# Refresh tokens


def test_a_clients_refresh_token(shop: Shop, owner: psycopg.Connection[Any]) -> None:
    """All that the hosted server says of a client's refresh token, in its order."""
    token = add_refresh_token(owner)
    expected = (
        f'{{"active":true,"client_id":"qci_any","exp":{int(ENDLESS.timestamp())},'
        f'"iat":{int(ISSUED.timestamp())},"scope":"openid billing:write",'
        f'"sub":"{ANN}","tenant_id":"{ACME}","token_type":"refresh_token"}}\n'
    )

    for base_url in (shop.strict, shop.mirror):
        assert expected.encode() == ask(base_url, token, "refresh_token").body


def test_a_logins_refresh_token(shop: Shop, owner: psycopg.Connection[Any]) -> None:
    """Under strict those of sessions are told of as well, with their session."""
    token, session = add_login(owner)
    expected = (
        f'{{"active":true,"exp":{int(ENDLESS.timestamp())},'
        f'"iat":{int(ISSUED.timestamp())},"scope":"","sid":"{session}",'
        f'"sub":"{ANN}","tenant_id":"{ACME}","token_type":"refresh_token"}}\n'
    )

    assert expected.encode() == ask(shop.strict, token, "refresh_token").body
    assert INACTIVE == ask(shop.mirror, token, "refresh_token").body


@pytest.mark.parametrize(
    "changes",
    [{"used_at": ISSUED}, {"expires_at": ISSUED}, {"revoked_at": ISSUED}],
    ids=str,
)
def test_refresh_tokens_that_are_over(
    shop: Shop, owner: psycopg.Connection[Any], changes: dict[str, Any]
) -> None:
    """Used, expired or revoked, as all of a chain are after a theft: inactive."""
    token = add_refresh_token(owner, **changes)

    for base_url in (shop.strict, shop.mirror):
        assert INACTIVE == ask(base_url, token).body


def test_a_stolen_chain(shop: Shop, owner: psycopg.Connection[Any]) -> None:
    """After a reuse revoked the session, its live refresh token is inactive at once.

    It stays so even if somebody takes the revocation back.
    """
    token, session = add_login(owner)
    access = shop.token(sid=session)
    revoke = "UPDATE auth.sessions SET revoked_at = %s WHERE id = %s"
    assert is_active(ask(shop.strict, token))

    owner.execute(revoke, [datetime.now(UTC), session])
    assert INACTIVE == ask(shop.strict, token).body
    eventually(lambda: INACTIVE == ask(shop.strict, access).body)
    owner.execute(revoke, [None, session])

    assert INACTIVE == ask(shop.strict, token).body


def test_a_refresh_token_used_meanwhile(
    shop: Shop, owner: psycopg.Connection[Any]
) -> None:
    """What was active a moment ago isn't once it is used; nothing is remembered."""
    token, (login, _) = add_refresh_token(owner), add_login(owner)
    for base_url, asked in (
        (shop.strict, token),
        (shop.mirror, token),
        (shop.strict, login),
    ):
        assert is_active(ask(base_url, asked))

    owner.execute("UPDATE auth.oidc_refresh_tokens SET used_at = now()")
    owner.execute("UPDATE auth.refresh_tokens SET used_at = now()")

    assert INACTIVE == ask(shop.strict, token).body
    assert INACTIVE == ask(shop.mirror, token).body
    assert INACTIVE == ask(shop.strict, login).body


def test_refresh_tokens_of_who_may_not_act(
    shop: Shop, owner: psycopg.Connection[Any]
) -> None:
    """Under strict the user and the tenant must be active, under mirror not."""
    for tenant, user in ((ACME, SUE), (CLOSED, ANN)):
        token, (login, _) = (
            add_refresh_token(owner, tenant, user),
            add_login(owner, tenant, user),
        )
        assert INACTIVE == ask(shop.strict, token).body
        assert INACTIVE == ask(shop.strict, login).body
        assert is_active(ask(shop.mirror, token))
    tenantless, _ = add_login(owner, None)
    assert INACTIVE == ask(shop.strict, tenantless).body


# Who may ask


def failed(detail: str | None = None) -> bytes:
    return error(*CLIENT_FAILED, detail, "r")


CHALLENGE = 'Basic realm="qeetid-authz"'


@pytest.mark.parametrize("client_id", ["qci_acme", "qci_legacy"])
def test_confidential_clients(shop: Shop, client_id: str) -> None:
    """A client's secret, hashed either way, is taken by header and by form; no other."""
    token = shop.token()
    for base_url in (shop.strict, shop.mirror):
        for secret, right in (
            (SECRET, True),
            (SECRET + "x", False),
            (SECRET[:-1], False),
            ("", False),
            (quote_plus(SECRET), False),
        ):
            by_header = ask(base_url, token, authorization=basic(client_id, secret))
            by_form = ask(
                base_url,
                token,
                authorization=None,
                client_id=client_id,
                client_secret=secret,
            )
            if right:
                assert is_active(by_header)
                assert is_active(by_form)
                continue
            for reply in (by_header, by_form):
                assert (401, failed()) == (reply.status, reply.body)
            assert CHALLENGE == by_header.header("WWW-Authenticate")
            assert None is by_form.header("WWW-Authenticate")


def test_public_clients(shop: Shop) -> None:
    """A public client says its id, and any secret or none."""
    token = shop.token()

    assert is_active(
        ask(shop.strict, token, authorization=None, client_id="qci_public")
    )
    assert is_active(ask(shop.strict, token, authorization=basic("qci_public", "any")))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"client_id": "qci_unknown"},
        {"client_id": "qci_unknown", "client_secret": SECRET},
        {"client_id": "QCI_ACME", "client_secret": SECRET},
        {"client_id": "qci_acme"},
        {"client_id": "qci_secretless"},
        {"client_id": "qci_secretless", "client_secret": "x"},
        {"client_id": "qci_acme\0", "client_secret": SECRET},
        {"client_id": "", "client_secret": SECRET},
        {"client_id": " qci_public"},
    ],
    ids=str,
)
def test_nobody_we_know(shop: Shop, fields: dict[str, str]) -> None:
    """Without a client's right id and secret there is no answer."""
    for token in (shop.token(), ""):
        reply = ask(shop.strict, token, authorization=None, **fields)
        assert (401, failed()) == (reply.status, reply.body)
        assert None is reply.header("WWW-Authenticate")


def test_basic_counts_before_the_form(shop: Shop) -> None:
    """Of two clients that a request names, the one in the header counts."""
    right = {"client_id": "qci_acme", "client_secret": SECRET}
    wrong = {"client_id": "qci_acme", "client_secret": "wrong"}
    token = shop.token()

    assert is_active(ask(shop.strict, token, **wrong))
    reply = ask(shop.strict, token, authorization=basic("qci_acme", "wrong"), **right)
    assert 401 == reply.status


@pytest.mark.parametrize(
    "header",
    ["Basic !", "Basic", "Basic eA==", f"{AS_ACME}!", AS_ACME[6:], "Digest x", "x"],
)
def test_headers_that_name_no_client(shop: Shop, header: str) -> None:
    """A header that can't be read as Basic leaves it to the form, as in Go."""
    right = {"client_id": "qci_acme", "client_secret": SECRET}
    token = shop.token()

    assert is_active(ask(shop.strict, token, authorization=header, **right))
    assert 401 == ask(shop.strict, token, authorization=header).status


def test_the_scheme_in_any_case(shop: Shop) -> None:
    """`Basic` may be written in any case."""
    header = AS_ACME.replace("Basic", "bAsIc")

    assert is_active(ask(shop.strict, shop.token(), authorization=header))


def test_two_headers(shop: Shop) -> None:
    """Who authenticates twice is sent away."""
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", "X-Request-Id: r"]
    lines += [f"Authorization: {AS_ACME}"] * 2
    reply = exchange(shop.strict, "\r\n".join([*lines, "", ""]).encode())

    assert 400 == reply.status
    assert b"more than one Authorization header" in reply.body


def test_api_keys(shop: Shop) -> None:
    """The holder of a key may ask, by its header before any form; of no other."""
    right = {"client_id": "qci_acme", "client_secret": SECRET}
    token = shop.token()

    assert is_active(ask(shop.strict, token, authorization=f"ApiKey {ACME_KEY}"))
    for key in (ACME_KEY + "x", "nodot", "qk_unknown.s"):
        reply = ask(shop.strict, token, authorization=f"ApiKey {key}", **right)
        assert (401, failed()) == (reply.status, reply.body)
    reply = ask(shop.strict, token, authorization=f"Bearer {token}")
    assert (401, failed()) == (reply.status, reply.body)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE auth.api_keys SET revoked_at = now() WHERE id = %s",
        "UPDATE auth.api_keys SET expires_at = now() WHERE id = %s",
        f"UPDATE auth.api_keys SET user_id = '{SUE}' WHERE id = %s",
    ],
)
def test_api_keys_that_end(
    shop: Shop, owner: psycopg.Connection[Any], statement: str
) -> None:
    """A key that is revoked, expires or comes to be of a suspended user asks no more."""
    name = f"qk_{uuid4()}.s"
    id_ = add_key(owner, ACME, name)
    token = shop.token()

    def status() -> int:
        return ask(shop.strict, token, authorization=f"ApiKey {name}").status

    eventually(lambda: 200 == status())
    owner.execute(statement.encode(), [id_])
    eventually(lambda: 401 == status())


def test_nobody_is_asked_on_a_trusted_socket(shop: Shop, tmp_path: Path) -> None:
    """Unasked pass only those on a Unix socket with authentication off.

    Who presents something there is judged by it all the same.
    """
    token, path = shop.token(), f"unix:{tmp_path / 's'}"

    with shop.sidecar(listen=path, caller_auth="off") as base_url:
        assert is_active(ask(base_url, token, authorization=None))
        assert is_active(ask(base_url, token))
        for wrong in (basic("qci_acme", "x"), "Basic !", "ApiKey x.y"):
            assert 401 == ask(base_url, token, authorization=wrong).status
        for fields in ({"client_id": "qci_x"}, {"client_secret": SECRET}):
            reply = ask(base_url, token, authorization=None, **fields)
            assert 401 == reply.status
        assert INACTIVE == ask(base_url, token, authorization=AS_OTHER).body
    with shop.sidecar(listen=path) as base_url:
        assert 401 == ask(base_url, token, authorization=None).status
    with shop.sidecar(caller_auth="off") as base_url:
        assert 401 == ask(base_url, token, authorization=None).status


def test_a_client_that_changes(
    own_shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    """A secret that was recognised counts no longer once the client has another."""
    token = own_shop.token()
    with own_shop.sidecar() as base_url:
        assert is_active(ask(base_url, token))
        connection.execute(
            "UPDATE auth.oidc_clients SET client_secret_hash = %s", [argon2id("new")]
        )
        eventually(lambda: 401 == ask(base_url, token).status)
        connection.execute("UPDATE auth.oidc_clients SET type = 'public'")
        eventually(lambda: 200 == ask(base_url, token).status)
        connection.execute("DELETE FROM auth.oidc_clients")
        eventually(lambda: 401 == ask(base_url, token).status)


# The form


def test_where_fields_may_stand(shop: Shop) -> None:
    """Fields come from the body first, then from the query string; the first counts."""
    good, bad = f"token={shop.token()}", "token=x"

    def active(body: str, query: str = "") -> bool:
        path = f"{PATH}?{query}" if query else PATH
        return is_active(send(shop.strict, body.encode(), path=path))

    assert active(good)
    assert active("", good)
    assert active(good, bad)
    assert not active(bad, good)
    assert not active("token=", good)
    assert active(f"{good}&{bad}")
    assert not active(f"{bad}&{good}")
    assert active(f"Token=x&{good}&")
    assert active(f"&&=&tok%65n={good[6:]}")
    assert not active(f"{good}&token_type_hint=refresh_token")
    assert not active(good, "token_type_hint=refresh_token")


def test_clients_in_the_query_string(shop: Shop) -> None:
    """Even a client's credentials may stand in the query string, as in Go."""
    query = urlencode({"client_id": "qci_acme", "client_secret": SECRET})
    path = f"{PATH}?{query}"

    assert is_active(ask(shop.strict, shop.token(), authorization=None, path=path))


@pytest.mark.parametrize(
    ("body", "query", "said"),
    [
        (b"token=%", "", "broken %-escape"),
        (b"token=%4", "", "broken %-escape"),
        (b"token=%zz", "", "broken %-escape"),
        (b"token=x;y", "", "broken %-escape"),
        (b"token=x", "a=%zz", "broken %-escape"),
        (b"token=x", "a;b", "broken %-escape"),
        (b"&" * FIELD_LIMIT, "", "fields"),
        (b"", "&" * FIELD_LIMIT, "fields"),
    ],
)
def test_forms_that_cannot_be_read(
    shop: Shop, body: bytes, query: str, said: str
) -> None:
    """One broken pair spoils a form, before anybody is asked who he is."""
    for authorization in (AS_ACME, None):
        path = f"{PATH}?{query}"
        reply = send(shop.strict, body, path=path, authorization=authorization)
        detail = json.loads(reply.body)["error"]["detail"]
        assert (400, error(*FORM_INVALID, detail, "r")) == (reply.status, reply.body)
        assert said in detail


def test_bodies_that_are_no_form(shop: Shop) -> None:
    """A body in JSON, of no type, of another, or compressed is refused as such."""
    token = shop.token()
    as_json = json.dumps({"token": token}).encode()
    as_form = urlencode({"token": token}).encode()

    for body, content_type, headers in (
        (as_json, "application/json", {}),
        (as_form, None, {}),
        (as_form, "text/plain", {}),
        (as_form, "multipart/form-data; boundary=x", {}),
        (as_form, "application/x-www-form-urlencoded", {"Content_Encoding": "gzip"}),
    ):
        reply = send(shop.strict, body, content_type=content_type, **headers)
        assert 400 == reply.status
        assert "oidc.form_invalid" == json.loads(reply.body)["error"]["code"]
    charset = "application/x-www-form-urlencoded; charset=utf-8"
    assert is_active(send(shop.strict, as_form, content_type=charset))
    path = f"{PATH}?{as_form.decode()}"
    assert is_active(send(shop.strict, b"", content_type=None, path=path))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_of_a_megabyte(shop: Shop, chunked: bool) -> None:
    """A form that is too large is refused, and the sidecar lives on."""
    body = b"token=" + b"A" * (1 << 20)
    assert len(body) > FORM_SIZE_LIMIT
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {AS_ACME}\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n"
    if chunked:
        head += "Transfer-Encoding: chunked\r\n\r\n"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        head += f"Content-Length: {len(body)}\r\n\r\n"

    refused = exchange(shop.strict, head.encode() + body)
    assert (413, "oidc.form_too_large") == (
        refused.status,
        json.loads(refused.body)["error"]["code"],
    )
    assert is_active(ask(shop.strict, shop.token()))


def test_other_methods(shop: Shop) -> None:
    """It is asked by POST only."""
    reply = request(shop.strict, f"{PATH}?token=x", Authorization=AS_ACME)

    assert (405, "POST") == (reply.status, reply.header("Allow"))


def test_answers_are_not_kept(shop: Shop) -> None:
    """No cache keeps an answer, active or not."""
    for token in (shop.token(), "x"):
        reply = ask(shop.strict, token)
        assert "no-store" == reply.header("Cache-Control")
        assert "no-cache" == reply.header("Pragma")
        assert "application/json" == reply.header("Content-Type")
        assert "r" == reply.header("X-Request-Id")


@pytest.mark.parametrize("path", [PATH, f"/v1{PATH}"])
def test_refusals_are_not_kept(shop: Shop, path: str) -> None:
    """Nor does a cache keep a refusal, whatever it is for."""
    for status, reply in (
        (400, send(shop.strict, b"token=%", path=path)),
        (401, ask(shop.strict, "x", authorization=None, path=path)),
        (405, request(shop.strict, path, Authorization="Bearer x")),
    ):
        assert status == reply.status
        assert "no-store" == reply.header("Cache-Control")
        assert "no-cache" == reply.header("Pragma")
    assert None is request(shop.strict, "/v1/check").header("Cache-Control")


# What can't be told now


def unavailable(reply: Reply) -> str:
    """The detail of a refusal that asks to be tried again."""
    assert 503 == reply.status, reply
    assert "1" == reply.header("Retry-After")
    assert "no-store" == reply.header("Cache-Control")
    said = json.loads(reply.body)["error"]
    assert "unavailable" == said["code"]
    detail: str = said["detail"]
    return detail


def test_keys_that_are_not_known(
    own_shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    """Without the issuer's keys its tokens can't be judged; all else can."""
    own_shop.keys.stop()
    refresh = add_refresh_token(connection)
    with own_shop.sidecar() as base_url:
        for hint in (None, "access_token"):
            reply = ask(base_url, own_shop.token(), hint)
            assert "the issuer's keys aren't known" == unavailable(reply)
        assert is_active(ask(base_url, refresh))
        assert INACTIVE == ask(base_url, "opaque").body


def test_without_tokens(own_shop: Shop, connection: psycopg.Connection[Any]) -> None:
    """Where no tokens are taken access tokens are inactive, refresh tokens told of."""
    refresh = add_refresh_token(connection)
    with sidecar(own_shop.dsn) as base_url:
        assert INACTIVE == ask(base_url, own_shop.token()).body
        assert INACTIVE == ask(base_url, own_shop.token(), "access_token").body
        assert is_active(ask(base_url, refresh))


def test_a_flood_of_wrong_secrets(
    own_shop: Shop, connection: psycopg.Connection[Any]
) -> None:
    """Who tries secrets out is sent away; who is recognised is answered meanwhile."""
    add_client(connection, ACME, "qci_slow", argon2id("s", 65_536, 5))
    token = own_shop.token()
    with own_shop.sidecar() as base_url, ExitStack() as stack:
        assert is_active(ask(base_url, token))
        wires = [stack.enter_context(Wire(base_url)) for _ in range(24)]
        for n, wire in enumerate(wires):
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
            head += f"Authorization: {basic('qci_slow', f'wrong{n}')}\r\n\r\n"
            wire.send(head.encode())

        assert is_active(ask(base_url, token))
        replies = [wire.receive() for wire in wires]

    assert {401, 503} == {reply.status for reply in replies}
    for reply in replies:
        if reply.status == 503:
            assert "too many credentials wait to be looked at" == unavailable(reply)


@contextmanager
def shop_on_own_server() -> Iterator[tuple[Cluster, Shop]]:
    """A shop whose database can be stopped."""
    with Cluster() as cluster:
        cluster.create_database("shop")
        migrate(cluster.dsn("shop"), bootstrap=True)
        with open_shop(cluster.dsn("shop")) as shop:
            yield cluster, shop


def test_a_database_that_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    """A lookup that it breaks off is no answer, and no token gets into the log.

    Access tokens are judged on as long as the replica is fresh.
    """
    caplog.set_level(logging.DEBUG)
    waiting = (
        " FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%%oidc_refresh_tokens%%'"
    )
    with shop_on_own_server() as (cluster, shop), shop.sidecar() as base_url:
        with psycopg.connect(shop.dsn, autocommit=True) as connection:
            refresh = add_refresh_token(connection)
            assert is_active(ask(base_url, refresh))
            with psycopg.connect(shop.dsn) as locking, Wire(base_url) as wire:
                locking.execute("LOCK TABLE auth.oidc_refresh_tokens")
                body = urlencode({"token": refresh})
                wire.send(
                    f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {AS_ACME}\r\n"
                    "Content-Type: application/x-www-form-urlencoded\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
                )
                count = "SELECT count(*)" + waiting
                eventually(lambda: connection.execute(count).fetchone() != (0,))
                # First of all: with the lock's holder gone it might still be answered.
                connection.execute("SELECT pg_terminate_backend(pid)" + waiting)
                assert "the database doesn't answer" == unavailable(wire.receive())
                locking.close()
        cluster.stop()
        for _ in range(3):
            assert "the database doesn't answer" == unavailable(ask(base_url, refresh))
        assert INACTIVE == ask(base_url, "").body
        access = shop.token()
        assert is_active(ask(base_url, access))

    logged = [record.getMessage() for record in caplog.records]
    assert 1 == logged.count("lookup_failed")
    assert not {"credential_refused", "unavailable"} & set(logged)
    for secret in (refresh, access, SECRET, AS_ACME):
        assert secret not in caplog.text


def test_a_lookup_that_the_database_refuses(
    own_shop: Shop,
    connection: psycopg.Connection[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A database that answers isn't called away, and each outage is logged once."""
    table = "auth.oidc_refresh_tokens"
    with own_shop.sidecar() as base_url:
        refresh = add_refresh_token(connection)
        for _ in range(2):
            connection.execute(f"ALTER TABLE {table} RENAME TO away".encode())
            for _ in range(2):
                assert "refresh tokens can't be looked up now" == unavailable(
                    ask(base_url, refresh)
                )
            connection.execute(f"ALTER TABLE auth.away RENAME TO {table[5:]}".encode())
            assert is_active(ask(base_url, refresh))

    failures = [r for r in caplog.records if r.getMessage() == "lookup_failed"]
    assert ["schema_mismatch"] * 2 == [r.__dict__["cause"] for r in failures]


@pytest.mark.parametrize("semantics", ["strict", "mirror"])
def test_a_stale_replica(semantics: str) -> None:
    """Once the database was away for too long, nobody is told anything."""
    with (
        shop_on_own_server() as (cluster, shop),
        shop.sidecar(semantics=semantics, max_staleness=0.5) as base_url,
    ):
        token = shop.token()
        eventually(lambda: 200 == ask(base_url, token).status)
        cluster.stop()

        eventually(lambda: 503 == ask(base_url, token).status)
        for asked in (token, "x", ""):
            assert SENTENCES[Reason.STALE] == unavailable(ask(base_url, asked))


def test_a_replica_that_grows_stale_meanwhile() -> None:
    """What the replica knew when the question came is too old when it is answered."""
    with (
        shop_on_own_server() as (cluster, shop),
        shop.sidecar(max_staleness=0.5) as base_url,
        Wire(base_url) as wire,
    ):
        eventually(lambda: 200 == ask(base_url, shop.token()).status)
        shop.issuer.rotate()
        asked = len(shop.keys.requests)
        with shop.keys.stalled():
            body = urlencode({"token": shop.token()})
            wire.send(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {AS_ACME}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            shop.keys.wait_for_requests(asked + 1)
            cluster.stop()
            eventually(lambda: b'"stale"' in request(base_url, "/readyz").body)
            shop.keys.serve(shop.issuer.as_jwks())

        assert SENTENCES[Reason.STALE] == unavailable(wire.receive())
