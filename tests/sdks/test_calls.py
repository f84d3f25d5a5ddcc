"""The official SDKs, given the sidecar's base URL: each call comes back as they want."""

import json
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.integration.world import SESSION
from tests.issuer import user_claims
from tests.sdks.client import SDKS, SIZE_LIMIT, Sdk, SdkError
from tests.server.bearers import Office, now
from tests.server.closing import closed
from tests.server.sidecars import Wire, eventually, sidecar
from tests.server.town import (
    ACME,
    ACME_KEY,
    ANN,
    EVE,
    KEY,
    ODD_KEY,
    OTHER,
    UNHELD_KEY,
    build,
)

WITH_EXPLANATIONS = [name for name in SDKS if name != "python"]


def test_check(sdk: Sdk) -> None:
    """One request an answer, allowed or denied, without a wait."""
    assert sdk.check(ANN, ACME, KEY)
    assert sdk.check(ANN, ACME, ODD_KEY)
    assert not sdk.check(EVE, ACME, KEY)

    assert (3, []) == (len(sdk.replies), sdk.waits)


def test_many_checks(sdk: Sdk) -> None:
    """One after another, as far as it takes."""
    assert sdk.check_all(ANN, ACME, [KEY, ODD_KEY])
    assert not sdk.check_all(ANN, ACME, [KEY, UNHELD_KEY, ODD_KEY])

    assert 4 == len(sdk.replies)


@pytest.mark.parametrize("name", WITH_EXPLANATIONS)
def test_explain(sdk: Sdk) -> None:
    """Paths with the members that an SDK has fields for, or a reason."""
    allowed = sdk.call("explain", user=ANN, tenant=ACME, permission=KEY)
    denied = sdk.call("explain", user=EVE, tenant=ACME, permission=KEY)

    assert allowed["allowed"] is True
    assert "reason" not in allowed
    for path in allowed["paths"]:
        assert (KEY, "role:Clerk & <Co>") == (path["permission"], path["granted_by"])
        assert isinstance(path["role_id"], str)
        assert ("group_id" in path) == path["via"].startswith("group:")
    assert ["direct", "group:Staff"] == [path["via"] for path in allowed["paths"]]
    assert (False, []) == (denied["allowed"], denied["paths"])
    sentence = "no role grants this permission for this user in this tenant"
    assert sentence == denied["reason"]


@pytest.mark.parametrize("name", WITH_EXPLANATIONS)
def test_effective_permissions(sdk: Sdk) -> None:
    """A list of strings, under the member that the SDKs read; never null."""
    held = sdk.call("effective", user=ANN, tenant=ACME)["permissions"]
    assert sorted([KEY, ODD_KEY, "role.read"]) == held
    assert [] == sdk.call("effective", user=EVE, tenant=ACME)["permissions"]


def test_no_answer_is_cut_off_or_encoded(sdk: Sdk) -> None:
    """Answers are below the SDKs' bound, and as plain as they want them."""
    sdk.check(ANN, ACME, KEY)
    sdk.call("keys")
    for reply in sdk.replies:
        assert SIZE_LIMIT > len(reply.body)
        assert reply.header("Content-Encoding") is None
        assert reply.header("Transfer-Encoding") is None
        assert "application/json" == reply.header("Content-Type")


@pytest.mark.parametrize(
    ("key", "question", "error"),
    [
        (ACME_KEY, ("x", ACME, KEY), (400, "bad_request")),
        (ACME_KEY, (ANN, "x", KEY), (400, "bad_request")),
        (ACME_KEY, (ANN, ACME, ""), (400, "rbac.permission_required")),
        (ACME_KEY, (ANN, OTHER, KEY), (403, "forbidden")),
        ("qk_x.y", (ANN, ACME, KEY), (401, "apikey.invalid")),
        ("", (ANN, ACME, KEY), (401, "unauthorized")),
    ],
)
def test_what_is_refused_is_refused_at_once(
    sdk: Sdk, key: str, question: tuple[str, str, str], error: tuple[int, str]
) -> None:
    """Where an answer is definite it is one that no SDK repeats, and can be read."""
    sdk.key = key
    with pytest.raises(SdkError) as refused:
        sdk.check(*question)

    assert error == (refused.value.status, refused.value.code)
    assert (1, []) == (len(sdk.replies), sdk.waits)


def test_an_error_names_its_request(sdk: Sdk) -> None:
    """The id is in the header that the SDKs read: the caller's, or one that is made."""
    raw = sdk.recorded("check", user="x", tenant=ACME, permission=KEY)
    named = raw.replace(b"\r\n\r\n", b"\r\nX-Request-Id: mine\r\n\r\n")
    with Wire(sdk.base_url) as wire:
        wire.send(named)
        assert "mine" == wire.receive().header("X-Request-Id")
    with pytest.raises(SdkError) as refused:
        sdk.check("x", ACME, KEY)

    assert refused.value.request_id


def test_nobody_asks_too_often(sdk: Sdk) -> None:
    """What would be beyond the hosted API's bursts is answered, each and every one."""
    raw = sdk.recorded("check", user=ANN, tenant=ACME, permission=KEY)
    with Wire(sdk.base_url) as wire:
        for _ in range(6):
            wire.send(raw * 100)
            assert {200} == {wire.receive().status for _ in range(100)}


def is_denied(sdk: Sdk) -> bool:
    """Whether what Ann holds is denied her."""
    return not sdk.check(ANN, ACME, KEY)


def test_a_stale_replica(database: str, connection: psycopg.Connection) -> None:
    """Past the bound who asks can't be told: asked again when it is told to, in vain.

    Where nobody is asked who it is there is an answer: all is denied, at once.
    """
    build(connection)
    with (
        sidecar(database, max_staleness=1.5) as asking,
        sidecar(database, max_staleness=1.5, caller_auth="off") as trusting,
    ):
        guarded = [Sdk(name, asking, ACME_KEY) for name in SDKS]
        trusted = [Sdk(name, trusting, ACME_KEY) for name in SDKS]
        for sdk in (*guarded, *trusted):
            assert sdk.check(ANN, ACME, KEY)
        with closed(database):
            for sdk in trusted:
                eventually(partial(is_denied, sdk))
            for sdk in guarded:
                with pytest.raises(SdkError) as unavailable:
                    sdk.check(ANN, ACME, KEY)
                error = unavailable.value
                assert (503, "unavailable") == (error.status, error.code)

    assert [[1, 1]] * 3 == [sdk.waits for sdk in guarded]
    assert [[]] * 3 == [sdk.waits for sdk in trusted]


def test_introspection_presents_nobody(sdk: Sdk, desk: Office) -> None:
    """As on the hosted server it is refused, once and clearly: over TCP, with a key."""
    token = desk.user().removeprefix("Bearer ")
    with pytest.raises(SdkError) as refused:
        sdk.verify(token)

    assert (401, "oidc.client_auth_failed") == (
        refused.value.status,
        refused.value.code,
    )
    assert 1 == len(sdk.replies)


def test_introspection_where_nobody_is_asked(
    name: str, settled_database: str, desk: Office, tmp_path: Path
) -> None:
    """With caller authentication off it works over a Unix socket, and there only."""
    keys = tmp_path / "keys.json"
    keys.write_bytes(desk.issuer.as_jwks())
    claims = user_claims(ANN, ACME, now(), sid=SESSION, scope="billing:read openid")
    token = desk.issuer.sign(claims)
    off = {"jwks": str(keys), "caller_auth": "off"}
    with sidecar(settled_database, listen=f"unix:{tmp_path}/s", **off) as base_url:
        sdk = Sdk(name, base_url, ACME_KEY)
        found = sdk.verify(token, "billing:read")
        assert (ANN, ACME) == (found["sub"], found["tenant_id"])
        assert isinstance(found["exp"], int)
        with pytest.raises(SdkError) as narrow:
            sdk.verify(token, "billing:write")
        with pytest.raises(SdkError) as inactive:
            sdk.verify("no.to.ken")
    assert "insufficient_scope" == narrow.value.code
    assert "token_inactive" == inactive.value.code

    on = {"listen": f"unix:{tmp_path}/s", "jwks": str(keys)}
    for guarded in (off, on):
        with (
            sidecar(settled_database, **guarded) as base_url,
            pytest.raises(SdkError) as refused,
        ):
            Sdk(name, base_url, ACME_KEY).verify(token)
        assert "oidc.client_auth_failed" == refused.value.code


def test_the_recordings_are_whole(sdk: Sdk) -> None:
    """No placeholder is left, and a body is as long as its request says."""
    values = dict.fromkeys(("user", "tenant", "permission", "token", "basic"), "v:w")
    folder = Path(__file__).parent / "recorded" / sdk.name
    for file in folder.glob("*.http"):
        raw = sdk.recorded(file.stem, **values)
        head, _, body = raw.partition(b"\r\n\r\n")
        assert b"{" not in head
        if body:
            assert f"content-length: {len(body)}" in head.decode().lower()
        if file.stem == "create":
            assert {"name": "finance"} == json.loads(body)
