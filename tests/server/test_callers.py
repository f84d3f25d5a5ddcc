"""Who may call, and for how long (facts 1.2, 1.3 and 6)."""

from datetime import UTC, datetime, timedelta
from functools import partial
from time import sleep

import bcrypt
import psycopg
import pytest

from tests.server.sidecars import (
    Reply,
    eventually,
    exchange,
    request,
    seen_up_to,
    sidecar,
)
from tests.server.test_check import (
    BAD_REQUEST,
    KEY_INVALID,
    UNAUTHORIZED,
    error,
)
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    OTHER,
    OTHER_KEY,
    add_key,
    argon2id,
    target,
)

KEY_EXPIRED = ("apikey.expired", "This API key has expired.")
ALLOWED = b'{"allowed":true}\n'


def call(base_url: str, *authorizations: str) -> Reply:
    """Check with such `Authorization` headers."""
    lines = [f"GET {target()} HTTP/1.1", "Host: x", "X-Request-Id: r"]
    lines += [f"Authorization: {value}" for value in authorizations]
    return exchange(base_url, "\r\n".join([*lines, "", ""]).encode())


@pytest.mark.parametrize(
    ("authorization", "expected", "detail"),
    [
        (f"ApiKey {ACME_KEY}", None, None),
        (f"ApiKey   {ACME_KEY}  ", None, None),
        (f"apikey {ACME_KEY}", UNAUTHORIZED, None),
        (f"APIKEY {ACME_KEY}", UNAUTHORIZED, None),
        (f"ApiKey\t{ACME_KEY}", UNAUTHORIZED, None),
        (f"ApiKey{ACME_KEY}", UNAUTHORIZED, None),
        ("ApiKey", UNAUTHORIZED, None),
        ("", UNAUTHORIZED, None),
        (ACME_KEY, UNAUTHORIZED, None),
        ("Basic YTpi", UNAUTHORIZED, None),
        ("Bearer", UNAUTHORIZED, None),
        ("Bearer x.y.z", UNAUTHORIZED, "this sidecar takes API keys only"),
        (f"bEARER {ACME_KEY}", UNAUTHORIZED, "this sidecar takes API keys only"),
        ("ApiKey nodot", KEY_INVALID, None),
        ("ApiKey .", KEY_INVALID, None),
        ("ApiKey é.é", KEY_INVALID, None),
        (f"ApiKey {ACME_KEY}x", KEY_INVALID, None),
        (f"ApiKey {ACME_KEY[:-1]}", KEY_INVALID, None),
        (f"ApiKey {ACME_KEY.lower()}", KEY_INVALID, None),
        (f"ApiKey {ACME_KEY} {ACME_KEY}", KEY_INVALID, None),
        ("ApiKey qk_unknown.secret", KEY_INVALID, None),
    ],
)
def test_credentials(
    strict: str,
    authorization: str,
    expected: tuple[str, str] | None,
    detail: str | None,
) -> None:
    """A key is taken under one spelling of its scheme; all else is a 401."""
    reply = call(strict, authorization)

    if expected is None:
        assert (reply.status, reply.body) == (200, ALLOWED)
    else:
        assert reply.status == 401
        assert reply.body == error(*expected, detail, "r")


def test_one_header_a_request(strict: str) -> None:
    """Two `Authorization` headers are refused, where callers are asked at all."""
    for pair in ((f"ApiKey {ACME_KEY}", "Basic x"), ("Basic x", f"ApiKey {ACME_KEY}")):
        reply = call(strict, *pair)
        assert (reply.status, reply.body) == (
            400,
            error(*BAD_REQUEST, "more than one Authorization header", "r"),
        )


def test_key_of_another_tenant(strict: str) -> None:
    """A key asks about its own tenant only."""
    assert call(strict, f"ApiKey {OTHER_KEY}").status == 403


def test_nobody_is_asked_when_off(town_database: str) -> None:
    """With authentication off anybody asks about any tenant, whatever is sent."""
    with sidecar(town_database, caller_auth="off") as base_url:
        assert call(base_url).body == ALLOWED
        assert call(base_url, "ApiKey wrong").body == ALLOWED
        assert call(base_url, "ApiKey wrong", "Basic x").body == ALLOWED
        assert request(base_url, target(tenant_id=OTHER)).status == 200


def test_older_and_costlier_hashes(town: str, connection: psycopg.Connection) -> None:
    """Keys stored as bcrypt and with Qeet ID's Argon2id parameters are taken."""
    legacy = bcrypt.hashpw(b"old", bcrypt.gensalt(4)).decode()
    add_key(connection, ACME, "qk_legacy.old", key_hash=legacy)
    add_key(connection, ACME, "qk_real.new", key_hash=argon2id("new", 19456, 2))
    add_key(connection, ACME, "qk_broken.x", key_hash="no hash")

    with sidecar(town) as base_url:
        for key, status in (
            ("qk_legacy.old", 200),
            ("qk_legacy.new", 401),
            ("qk_real.new", 200),
            ("qk_real.old", 401),
            ("qk_broken.x", 401),
        ):
            assert call(base_url, f"ApiKey {key}").status == status


def test_keys_that_share_a_prefix(town: str, connection: psycopg.Connection) -> None:
    """Each of several keys with one prefix is known by its secret."""
    add_key(connection, ACME, "qk_same.one")
    add_key(connection, OTHER, "qk_same.two")
    gone = add_key(connection, ACME, "qk_same.three")
    connection.execute(
        "UPDATE auth.api_keys SET revoked_at = now() WHERE id = %s", (gone,)
    )

    with sidecar(town) as base_url:
        assert call(base_url, "ApiKey qk_same.one").status == 200
        assert call(base_url, "ApiKey qk_same.two").status == 403
        assert call(base_url, "ApiKey qk_same.three").body == error(
            *KEY_INVALID, None, "r"
        )


def test_expiry_is_looked_at_on_every_request(
    town: str, connection: psycopg.Connection
) -> None:
    """A recognised key stops working at its time; a wrong secret never says so."""
    soon = datetime.now(UTC) + timedelta(seconds=1)
    add_key(connection, ACME, "qk_brief.s", expires_at=soon)
    add_key(connection, ACME, "qk_past.s", expires_at=soon - timedelta(days=1))

    with sidecar(town) as base_url:
        assert call(base_url, "ApiKey qk_brief.s").status == 200
        expired = error(*KEY_EXPIRED, None, "r")
        assert call(base_url, "ApiKey qk_past.s").body == expired
        assert call(base_url, "ApiKey qk_past.x").body == error(*KEY_INVALID, None, "r")
        sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
        assert call(base_url, "ApiKey qk_brief.s").body == expired


def test_a_changed_key_is_forgotten(town: str, connection: psycopg.Connection) -> None:
    """A recognised key is refused as soon as the feed brings a change of its row."""
    statements = {
        "UPDATE auth.api_keys SET revoked_at = now() WHERE id = %s": 401,
        "DELETE FROM auth.api_keys WHERE id = %s": 401,
        "UPDATE auth.api_keys SET expires_at = '2020-01-01' WHERE id = %s": 401,
        "UPDATE auth.api_keys SET key_hash = 'x' WHERE id = %s": 401,
        "UPDATE auth.api_keys SET prefix = 'x' WHERE id = %s": 401,
        f"UPDATE auth.api_keys SET tenant_id = '{OTHER}' WHERE id = %s": 403,
    }
    ids = [add_key(connection, ACME, f"qk_{n}.s") for n in range(len(statements))]

    with sidecar(town) as base_url:
        for n, (statement, status) in enumerate(statements.items()):
            assert call(base_url, f"ApiKey qk_{n}.s").status == 200
            connection.execute(statement.encode(), (ids[n],))
            eventually(partial(_answers, base_url, f"ApiKey qk_{n}.s", status))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenant.tenants SET status = 'suspended' WHERE id = %(tenant)s",
        "UPDATE \"user\".users SET status = 'suspended' WHERE id = %(user)s",
    ],
)
@pytest.mark.parametrize("semantics", ["strict", "mirror"])
def test_a_key_of_the_inactive(
    town: str,
    connection: psycopg.Connection,
    semantics: str,
    statement: str,
) -> None:
    """Under strict a key ends with its tenant and its user; mirror looks at neither."""
    id_ = add_key(connection, ACME, "qk_anns.s")
    connection.execute(
        "UPDATE auth.api_keys SET user_id = %s WHERE id = %s", (ANN, id_)
    )
    with sidecar(town, semantics=semantics) as base_url:
        assert call(base_url, "ApiKey qk_anns.s").body == ALLOWED
        before = seen_up_to(base_url)
        connection.execute(statement.encode(), {"tenant": ACME, "user": ANN})
        eventually(lambda: seen_up_to(base_url) > before)
        reply = call(base_url, "ApiKey qk_anns.s")

    if semantics == "strict":
        assert (reply.status, reply.body) == (401, error(*KEY_INVALID, None, "r"))
    else:
        assert reply.body == ALLOWED


def test_a_new_key_is_learnt(town: str, connection: psycopg.Connection) -> None:
    """A key made, or restored, while the sidecar runs is taken."""
    revoke = "UPDATE auth.api_keys SET revoked_at = now() WHERE id = %s"
    restore = "UPDATE auth.api_keys SET revoked_at = NULL WHERE id = %s"
    with sidecar(town) as base_url:
        assert call(base_url, "ApiKey qk_new.s").status == 401
        id_ = add_key(connection, ACME, "qk_new.s")
        eventually(partial(_answers, base_url, "ApiKey qk_new.s", 200))
        connection.execute(revoke, (id_,))
        eventually(partial(_answers, base_url, "ApiKey qk_new.s", 401))
        connection.execute(restore, (id_,))
        eventually(partial(_answers, base_url, "ApiKey qk_new.s", 200))


def _answers(base_url: str, authorization: str, status: int) -> bool:
    return call(base_url, authorization).status == status
