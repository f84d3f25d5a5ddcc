"""Credentials to principals, against a real database and a real key endpoint."""

import asyncio
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg
import pytest

from qeetid_authz import errors
from qeetid_authz.authorizer import AsyncAuthorizer, Authorizer
from qeetid_authz.credentials.secretchecks import PENDING_A_NAME
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.replica import SCHEMA_VERSION
from tests.integration.following import eventually
from tests.integration.world import (
    AGENT,
    AGENT_KEY,
    ANNS_KEY,
    LEGACY_KEY,
    OTHERS_AGENT,
    SERVICE,
    SERVICE_KEY,
    SESSION,
    World,
    at,
    give_key,
    legacy_hash,
    populate,
    world,
)
from tests.issuer import NOBODY, Issuer, user_claims
from tests.keyserver import Answer
from tests.server.town import ACME, ANN, BOB, KEY, OTHER, argon2id, uuid


@pytest.fixture
def here(connection: psycopg.Connection[Any], database: str) -> Iterator[World]:
    populate(connection)
    with world(database) as everything:
        yield everything


Refusal = type[errors.AuthenticationError]
HALF = chr(0xD800)  # half a surrogate pair, which no encoding of text has


def refused(here: World, header: str, error: Refusal) -> bool:
    """Whether a credential is refused for a cause."""
    try:
        here.authz.authenticate(header)
    except errors.AuthenticationError as refusal:
        return type(refusal) is error
    return False


def test_a_users_token_is_the_user(here: World) -> None:
    """Its principal holds what the user holds, within its session and time."""
    principal = here.authz.authenticate(here.anns())

    assert (Kind.USER, ANN, ACME) == (
        principal.kind,
        principal.id,
        principal.tenant_id,
    )
    assert principal.session_id == SESSION
    assert here.authz.can(principal, KEY)
    assert not here.authz.can(principal, SERVICE_KEY)


def test_a_token_is_recognised_again(here: World) -> None:
    """The same token gives the same principal, without another verification."""
    header = here.anns()

    assert here.authz.authenticate(header) is here.authz.authenticate(header)


def test_a_scope_limits(here: World) -> None:
    """A token with scopes grants nothing beyond them, and says so."""
    narrow = here.authz.authenticate(here.anns(scope="openid calendar:read"))
    wide = here.authz.authenticate(here.anns(scope=f"openid {KEY}"))

    assert here.authz.can(wide, KEY)
    assert not here.authz.can(narrow, KEY)
    assert here.authz.check(narrow, KEY).reason is Reason.OUT_OF_SCOPE


def test_a_service_principal_has_its_scopes(here: World) -> None:
    """It may what it is registered for, no more than its token says."""
    principal = here.authz.authenticate(here.services())

    assert principal.kind is Kind.SERVICE
    assert here.authz.can(principal, SERVICE_KEY)
    assert not here.authz.can(principal, KEY)
    (path,) = here.authz.explain(principal, SERVICE_KEY).paths
    assert (path.granted_by, path.via) == (f"scope:{SERVICE_KEY}", "direct")


def test_an_agent_for_a_user(here: World) -> None:
    """One acting for another may what both may."""
    header = here.anns(act={"sub": AGENT, "act": {"sub": SERVICE}})
    principal = here.authz.authenticate(header)

    assert principal.actor is not None
    assert principal.actor.id == AGENT
    assert here.authz.can(principal, KEY)
    explanation = here.authz.explain(principal, KEY)
    assert [f"scope:{KEY}"] == [path.granted_by for path in explanation.actor_paths]


def test_an_actor_of_another_tenant_lends_nothing(here: World) -> None:
    """It is refused, whatever it may at home."""
    header = here.anns(act={"sub": OTHERS_AGENT})

    assert refused(here, header, errors.InactiveActorError)


def test_an_exchanged_token_of_an_agent_is_the_agent(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """A token that looks like a user's but names an agent is judged as the agent."""
    looks_like_a_user = here.bearer(user_claims(AGENT, ACME, int(time.time())))
    principal = here.authz.authenticate(looks_like_a_user)

    assert here.authz.can(principal, AGENT_KEY)
    connection.execute("UPDATE auth.agents SET status = 'suspended'")
    eventually(lambda: not here.authz.can(principal, AGENT_KEY))
    assert refused(here, looks_like_a_user, errors.InactiveAgentError)


STATEMENTS: list[tuple[str, LiteralString, Callable[[World], str], Refusal, Reason]] = [
    (
        "session revoked",
        "UPDATE auth.sessions SET revoked_at = now()",
        World.anns,
        errors.SessionRevokedError,
        Reason.SESSION_REVOKED,
    ),
    (
        "user suspended",
        "UPDATE \"user\".users SET status = 'suspended'",
        World.anns,
        errors.InactiveUserError,
        Reason.USER_INACTIVE,
    ),
    (
        "user deleted softly",
        'UPDATE "user".users SET deleted_at = now()',
        World.anns,
        errors.InactiveUserError,
        Reason.USER_INACTIVE,
    ),
    (
        "tenant suspended",
        "UPDATE tenant.tenants SET status = 'suspended'",
        World.anns,
        errors.InactiveTenantError,
        Reason.TENANT_INACTIVE,
    ),
    (
        "tenant gone",
        'DELETE FROM auth.sessions; UPDATE "user".users SET tenant_id = NULL;'
        " DELETE FROM tenant.tenants",
        World.anns,
        errors.InactiveTenantError,
        Reason.UNKNOWN_TENANT,
    ),
    (
        "agent suspended",
        "UPDATE auth.agents SET status = 'suspended'",
        World.agents,
        errors.InactiveAgentError,
        Reason.AGENT_INACTIVE,
    ),
    (
        "agent gone",
        "DELETE FROM auth.agents",
        World.agents,
        errors.InactiveAgentError,
        Reason.AGENT_INACTIVE,
    ),
    (
        "service principal disabled",
        "UPDATE auth.service_principals SET disabled_at = now()",
        World.services,
        errors.InactiveServiceError,
        Reason.SERVICE_INACTIVE,
    ),
    (
        "actor suspended",
        "UPDATE auth.agents SET status = 'decommissioned'",
        lambda here: here.anns(act={"sub": AGENT}),
        errors.InactiveActorError,
        Reason.ACTOR_LACKS,
    ),
    (
        "key revoked",
        "UPDATE auth.api_keys SET revoked_at = now()",
        lambda _: f"ApiKey {ANNS_KEY}",
        errors.ApiKeyRevokedError,
        Reason.CREDENTIAL_REVOKED,
    ),
    (
        "key gone",
        "DELETE FROM auth.api_keys",
        lambda _: f"ApiKey {ANNS_KEY}",
        errors.UnknownApiKeyError,
        Reason.CREDENTIAL_REVOKED,
    ),
    (
        "key's user suspended",
        "UPDATE \"user\".users SET status = 'suspended'",
        lambda _: f"ApiKey {ANNS_KEY}",
        errors.InactiveUserError,
        Reason.USER_INACTIVE,
    ),
]


@pytest.mark.parametrize("case", STATEMENTS, ids=[case[0] for case in STATEMENTS])
def test_what_is_taken_away_is_refused(
    here: World,
    connection: psycopg.Connection[Any],
    case: tuple[str, LiteralString, Callable[[World], str], Refusal, Reason],
) -> None:
    """A credential that was good is refused by the feed's word, as is its principal."""
    _, statement, credential, error, reason = case
    header = credential(here)
    principal = here.authz.authenticate(header)
    held = here.authz.effective_permissions(principal)
    assert held
    assert all(here.authz.can(principal, key) for key in held)

    connection.execute(statement)

    eventually(lambda: refused(here, header, error))
    assert not any(here.authz.can(principal, key) for key in held)
    assert reason is here.authz.check(principal, held[0]).reason


def test_an_api_key_has_its_users_permissions(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """A key of a user may what the user may, within its scopes if it has any."""
    limited = "qk_limited0.secretsecretsecretsecretsecret05"
    id_ = give_key(connection, limited, user=ANN, scopes=["audit.read"])
    eventually(lambda: here.authz.api_key(_bytes(id_)) is not None)
    wide = here.authz.authenticate(f"ApiKey {ANNS_KEY}")
    narrow = here.authz.authenticate(f"ApiKey {limited}")

    assert here.authz.can(wide, KEY)
    assert not here.authz.can(narrow, KEY)
    assert here.authz.check(narrow, KEY).reason is Reason.OUT_OF_SCOPE


def test_a_key_of_nobody_has_its_scopes(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """A key bound to no user has its scopes, and one without any nothing."""
    scoped = "qk_scoped00.secretsecretsecretsecretsecret06"
    bare = "qk_bare0000.secretsecretsecretsecretsecret07"
    give_key(connection, scoped, scopes=[SERVICE_KEY])
    id_ = give_key(connection, bare)
    eventually(lambda: here.authz.api_key(_bytes(id_)) is not None)

    principal = here.authz.authenticate(f"ApiKey {scoped}")
    assert [SERVICE_KEY] == here.authz.effective_permissions(principal)
    principal = here.authz.authenticate(f"ApiKey {bare}")
    assert [] == here.authz.effective_permissions(principal)


def test_a_key_whose_user_was_purged_is_nobodys(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """Purging a user unbinds its keys, which then have no authority but their scopes."""
    principal = here.authz.authenticate(f"ApiKey {ANNS_KEY}")
    assert here.authz.can(principal, KEY)

    connection.execute('DELETE FROM "user".users WHERE id = %s', (ANN,))

    eventually(lambda: not here.authz.can(principal, KEY))
    assert [] == here.authz.effective_permissions(principal)


def test_a_key_lasts_until_its_end(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """One that has ended is told apart from a wrong one; both are refused."""
    ended = "qk_ended000.secretsecretsecretsecretsecret08"
    id_ = give_key(connection, ended, user=ANN, expires_at=at(time.time() - 1))
    eventually(lambda: here.authz.api_key(_bytes(id_)) is not None)

    assert refused(here, f"ApiKey {ended}", errors.ApiKeyExpiredError)
    assert refused(here, f"ApiKey {ended}x", errors.UnknownApiKeyError)


def test_keys_of_one_prefix_are_told_apart(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """A prefix isn't unique: the secret says which of its keys is meant."""
    prefix = ANNS_KEY.partition(".")[0]
    twin = f"{prefix}.secretsecretsecretsecretsecret09"
    id_ = give_key(connection, twin, user=BOB)
    eventually(lambda: here.authz.api_key(_bytes(id_)) is not None)

    anns = here.authz.authenticate(f"ApiKey {ANNS_KEY}")
    bobs = here.authz.authenticate(f"ApiKey {twin}")

    assert bobs.id == id_
    assert anns.id != id_


def test_a_legacy_key_is_taken(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """Older rows hold bcrypt."""
    id_ = give_key(connection, LEGACY_KEY, user=ANN, key_hash=legacy_hash(LEGACY_KEY))
    eventually(lambda: here.authz.api_key(_bytes(id_)) is not None)

    assert here.authz.can(here.authz.authenticate(f"ApiKey {LEGACY_KEY}"), KEY)
    assert refused(here, f"ApiKey {LEGACY_KEY}x", errors.UnknownApiKeyError)


def test_a_key_whose_secret_changed_is_another(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """A recognised key isn't, once the database holds another hash."""
    here.authz.authenticate(f"ApiKey {ANNS_KEY}")

    connection.execute(
        "UPDATE auth.api_keys SET key_hash = %s WHERE user_id = %s",
        (argon2id("another secret"), ANN),
    )

    eventually(lambda: refused(here, f"ApiKey {ANNS_KEY}", errors.UnknownApiKeyError))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("", errors.MalformedCredentialError),
        ("Basic YTpi", errors.MalformedCredentialError),
        ("Bearer", errors.MalformedCredentialError),
        ("Bearer ", errors.MalformedCredentialError),
        ("Bearer\ta.b.c", errors.MalformedCredentialError),
        ("Bearer a.b.c", errors.MalformedCredentialError),
        ("apikey qk_x.y", errors.MalformedCredentialError),
        ("ApiKey qk_nodot", errors.MalformedCredentialError),
        ("ApiKey qk_unknown.secret", errors.UnknownApiKeyError),
        ("ApiKey \udcff.\udcff", errors.UnknownApiKeyError),
        ("Bearer \udcff", errors.MalformedCredentialError),
        (f"Bearer {HALF}", errors.MalformedCredentialError),
        (f"ApiKey qk_annsAAAA.{HALF}", errors.UnknownApiKeyError),
    ],
)
def test_what_is_no_credential_is_refused(
    here: World, header: str, error: Refusal
) -> None:
    """Whatever it is, it has its error, and nothing else comes out."""
    assert refused(here, header, error)


def test_a_header_must_be_text(here: World) -> None:
    """Bytes are a mistake of the application, not of who asks."""
    with pytest.raises(TypeError, match="must be a string"):
        here.authz.authenticate(b"Bearer x")  # type: ignore[arg-type]


def test_times_and_parties_have_their_errors(here: World) -> None:
    """Each cause has an error of its own."""
    now = int(time.time())
    cases: list[tuple[dict[str, Any], Refusal]] = [
        ({"exp": now - 1}, errors.TokenExpiredError),
        ({"nbf": now + 60}, errors.TokenNotYetValidError),
        ({"iss": "else"}, errors.WrongIssuerError),
        ({"aud": "else"}, errors.WrongAudienceError),
        ({"tenant_id": NOBODY}, errors.TenantlessTokenError),
        ({"iat": now, "exp": now + 3601}, errors.TokenTooLongLivedError),
        (
            {"tenant_id": OTHER, "sid": NOBODY, "user_id": "x"},
            errors.MalformedCredentialError,
        ),
    ]
    for over, error in cases:
        assert refused(here, here.anns(**over), error), over
    forged = Issuer().sign(
        user_claims(ANN, ACME, now), header={"kid": here.issuer.keys[0].kid}
    )
    assert refused(here, f"Bearer {forged}", errors.BadSignatureError)
    unknown = Issuer().sign(user_claims(ANN, ACME, now))
    assert refused(here, f"Bearer {unknown}", errors.UnknownSigningKeyError)


def test_no_error_quotes_a_credential(here: World) -> None:
    """What is refused shows up nowhere in the refusal, its causes included."""
    now = int(time.time())
    tokens = [
        here.issuer.sign(user_claims(ANN, ACME, now - 10_000)),
        Issuer().sign(user_claims(ANN, ACME, now)),
        "sekret.sekret.sekret",
    ]
    for header in [*(f"Bearer {each}" for each in tokens), "ApiKey sekret.sekret"]:
        with pytest.raises(errors.AuthenticationError) as refusal:
            here.authz.authenticate(header)
        told = repr(refusal.value) + str(refusal.value.__cause__)
        parts = header.partition(" ")[2].split(".")
        assert not any(part in told for part in parts)


def test_a_tampered_token_is_never_recognised(here: World) -> None:
    """One that shares two of its parts with a good token is no good token."""
    good, other = (
        here.anns().removeprefix("Bearer "),
        here.anns(scope="x").removeprefix("Bearer "),
    )
    here.authz.authenticate(f"Bearer {good}")
    here.authz.authenticate(f"Bearer {other}")
    parts = list(zip(good.split("."), other.split("."), strict=True))

    for at_part in range(1, 3):
        mixed = ".".join(
            theirs if at == at_part else ours for at, (ours, theirs) in enumerate(parts)
        )
        assert refused(here, f"Bearer {mixed}", errors.BadSignatureError)
    header = parts[0][0]
    assert refused(here, f"Bearer {header}.{good}", errors.MalformedCredentialError)


def test_rotation_loses_no_token(here: World) -> None:
    """Tokens of the old key and of a key not seen before are both taken."""
    old = here.anns()
    here.issuer.rotate()
    here.endpoint.answer = Answer(here.issuer.as_jwks())
    new = here.anns()

    with ThreadPoolExecutor(8) as pool:
        principals = list(pool.map(here.authz.authenticate, [old, new] * 8))

    assert {ANN} == {principal.id for principal in principals}
    assert len(here.endpoint.requests) == 2


def test_noise_takes_no_load_from_a_valid_token(here: World) -> None:
    """Who presents unknown keys doesn't keep a key that was just made from its load."""
    noise = f"Bearer {Issuer().sign(user_claims(ANN, ACME, int(time.time())))}"
    assert refused(here, noise, errors.UnknownSigningKeyError)
    here.issuer.rotate()
    here.endpoint.answer = Answer(here.issuer.as_jwks())

    assert here.authz.authenticate(here.anns()).id == ANN


def test_what_can_not_be_looked_up_is_not_unknown(here: World) -> None:
    """While the key endpoint fails, nobody can say that a key isn't the issuer's."""
    known = here.anns()
    here.authz.authenticate(known)
    here.issuer.rotate()
    here.endpoint.answer = Answer(status=500)

    with pytest.raises(errors.KeysUnavailableError, match="try again"):
        here.authz.authenticate(here.anns())
    assert here.authz.authenticate(known).id == ANN


def test_a_withdrawn_keys_tokens_are_forgotten(here: World) -> None:
    """A recognised token isn't, once its key is gone from the set."""
    header = here.anns()
    here.authz.authenticate(header)
    here.issuer.rotate()
    del here.issuer.keys[0]
    here.endpoint.answer = Answer(here.issuer.as_jwks())
    here.authz.authenticate(here.anns())  # of a key that must be looked for

    assert refused(here, header, errors.UnknownSigningKeyError)


def test_without_keys_nothing_is_taken(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """While the key endpoint was never reached, tokens can't be judged; API keys can."""
    populate(connection)
    with world(database, jwks="http://127.0.0.1:9/keys") as here:
        with pytest.raises(errors.KeysUnavailableError):
            here.authz.authenticate(here.anns())
        assert here.authz.authenticate(f"ApiKey {ANNS_KEY}").kind is Kind.API_KEY


def test_without_an_issuer_no_token_is_taken(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """An authorizer that wasn't told of an issuer says so."""
    populate(connection)
    with Authorizer.open(database) as authz:
        with pytest.raises(errors.TokensUnconfiguredError, match="jwks"):
            authz.authenticate("Bearer a.b.c")
        assert authz.authenticate(f"ApiKey {ANNS_KEY}").kind is Kind.API_KEY


def test_mirror_looks_at_what_the_hosted_server_looks_at(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """Neither session nor user nor expiry is required; an agent's status is."""
    populate(connection)
    connection.execute("UPDATE auth.sessions SET revoked_at = now()")
    connection.execute("UPDATE \"user\".users SET status = 'suspended'")
    connection.execute("UPDATE auth.agents SET status = 'suspended'")
    with world(database, semantics="mirror") as here:
        claims = user_claims(ANN, ACME, int(time.time()), sid=SESSION, scope="openid")
        del claims["exp"]
        principal = here.authz.authenticate(here.bearer(claims))

        assert principal.expires_at is None
        assert here.authz.can(principal, KEY)
        assert refused(here, here.agents(), errors.InactiveAgentError)
        assert refused(here, here.anns(exp=1), errors.TokenExpiredError)


def test_who_is_too_old_to_tell_says_so(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """A stale replica judges no credential, known to it or not."""
    known = here.anns()
    here.authz.authenticate(known)
    connection.execute("ALTER TABLE rbac.roles DISABLE TRIGGER ALL")
    eventually(lambda: here.authz.is_stale)

    for header in (known, here.agents(), f"ApiKey {ANNS_KEY}"):
        with pytest.raises(errors.StaleError):
            here.authz.authenticate(header)
    assert refused(here, "ApiKey qk_unknown.x", errors.UnknownApiKeyError)


def test_a_held_principals_actor_is_looked_at(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """Asking for its permissions first changes nothing about who is refused."""
    header = here.anns(act={"sub": AGENT})
    principal = here.authz.authenticate(header)
    connection.execute("UPDATE auth.agents SET status = 'suspended'")
    eventually(lambda: not here.authz.can(principal, KEY))

    assert refused(here, header, errors.InactiveActorError)
    assert here.authz.standing(principal) is Reason.ACTOR_LACKS


def test_a_key_under_another_prefix_is_another(
    here: World, connection: psycopg.Connection[Any]
) -> None:
    """A recognised text isn't, once the database has the key under another prefix."""
    here.authz.authenticate(f"ApiKey {ANNS_KEY}")

    connection.execute(
        "UPDATE auth.api_keys SET prefix = 'qk_renamed' WHERE user_id = %s", (ANN,)
    )

    eventually(lambda: refused(here, f"ApiKey {ANNS_KEY}", errors.UnknownApiKeyError))
    secret = ANNS_KEY.partition(".")[2]
    assert here.authz.authenticate(f"ApiKey qk_renamed.{secret}").kind is Kind.API_KEY


def test_an_opening_that_failed_may_be_tried_again(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """Also with an issuer: what failed was the database."""
    populate(connection)
    key = Issuer().keys[0].pem.decode()
    authz = Authorizer(database, jwks=key)
    connection.execute("UPDATE qeetid_authz.meta SET version = 1")
    with pytest.raises(errors.NotMigratedError):
        authz.__enter__()
    connection.execute(f"UPDATE qeetid_authz.meta SET version = {SCHEMA_VERSION}")

    with authz:
        assert authz.authenticate(f"ApiKey {ANNS_KEY}").kind is Kind.API_KEY


def test_revocations_are_remembered_for_the_longest_life() -> None:
    """That of a token, with the leeway that it is given beyond its end."""
    authz = Authorizer("dbname=x", max_token_life=100.0, leeway=50.0)

    assert authz.replica.session_memory >= 150.0
    for options in ({"leeway": -1.0}, {"max_token_life": 0.0}, {"max_token_life": 1e9}):
        with pytest.raises(ValueError, match="must be at least 0 seconds"):
            Authorizer("dbname=x", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["issuer", "audience"])
@pytest.mark.parametrize("text", ["", None, 5])
def test_whose_tokens_are_taken_must_be_said(name: str, text: object) -> None:
    """What is no name would take no token, or one that names nobody."""
    with pytest.raises(ValueError, match=f"{name} must be a string"):
        Authorizer("dbname=x", **{name: text})  # type: ignore[arg-type]


def test_an_account_of_who_acts_by_a_key_that_is_gone(here: World) -> None:
    """It is empty, as is everything of such a principal."""
    gone = Principal.api_key(uuid("api key", "gone"), ACME)
    acting = Principal.user(ANN, ACME, actor=gone)

    account, _, _ = here.authz.account(acting)

    assert account.permissions == ()
    assert not here.authz.can(acting, KEY)
    assert here.authz.explain(acting, KEY).reason is Reason.ACTOR_LACKS


def test_an_expired_principal_may_nothing(here: World) -> None:
    """A principal kept beyond the end of its token is denied."""
    principal = here.authz.authenticate(here.anns(exp=int(time.time()) + 2))
    assert here.authz.can(principal, KEY)

    eventually(lambda: not here.authz.can(principal, KEY))

    assert here.authz.check(principal, KEY).reason is Reason.CREDENTIAL_EXPIRED


def test_a_forked_child_judges_nothing(here: World) -> None:
    """Credentials known and unknown are refused to be judged there, without a wait."""
    known, unknown = here.anns(), f"Bearer {Issuer().sign(user_claims(ANN, ACME, 0))}"
    here.authz.authenticate(known)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # we have threads
        child = os.fork()
    if child == 0:
        refusals = 0
        for header in (known, unknown, f"ApiKey {ANNS_KEY}"):
            try:
                here.authz.authenticate(header)
            except errors.NotOpenError:
                refusals += 1
        os._exit(refusals)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 3


async def test_an_event_loop_waits_elsewhere(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """Many keys are verified at once while the loop goes on; too many are sent away."""
    populate(connection)
    issuer = Issuer()
    async with AsyncAuthorizer(database, jwks=issuer.keys[0].pem.decode()) as authz:
        token = issuer.sign(user_claims(ANN, ACME, int(time.time()), sid=SESSION))
        assert authz.can(await authz.authenticate(f"Bearer {token}"), KEY)
        wrong = [f"ApiKey qk_no.{n}" for n in range(4 * PENDING_A_NAME)]

        outcomes = await asyncio.gather(
            *map(authz.authenticate, wrong),
            authz.authenticate(f"ApiKey {ANNS_KEY}"),
            return_exceptions=True,
        )

        *refusals, mine = outcomes
        kinds = [type(each) for each in refusals]
        assert kinds.count(errors.UnknownApiKeyError) == PENDING_A_NAME
        assert kinds.count(errors.OverloadedError) == 3 * PENDING_A_NAME
        assert not isinstance(mine, BaseException)
        assert (await authz.authenticate(f"ApiKey {ANNS_KEY}")).id == mine.id


async def test_a_client_is_known_by_its_secret(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """The right secret is, again as at first; another isn't; a public client needs none."""
    populate(connection)
    for name, kind, hashed in (
        ("qci_told", "confidential", argon2id("told")),
        ("qci_public", "public", None),
    ):
        connection.execute(
            "INSERT INTO auth.oidc_clients"
            " (tenant_id, client_id, client_secret_hash, type, name)"
            " VALUES (%s, %s, %s, %s, 'c')",
            [ACME, name, hashed, kind],
        )
    async with AsyncAuthorizer(database) as authz:
        verify, recognise = (
            authz.authentication.verify_client,
            authz.authentication.recognise_client,
        )
        assert recognise("qci_told", "told") is None
        first, again = [await verify("qci_told", "told") for _ in range(2)]
        assert first is not None
        assert first is again is recognise("qci_told", "told")
        assert await verify("qci_told", "other") is None
        assert await verify("qci_unknown", "told") is None
        public = await verify("qci_public", "")
        assert public is not None
        assert public is recognise("qci_public", "whatever")


async def test_closing_ends_what_waits(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """Who waits for a verification when the authorizer closes is told so."""
    populate(connection)
    authz = await AsyncAuthorizer.open(database)
    slow = argon2id("x", memory=65536, passes=8)
    waiting = []
    for n in range(4):
        key = f"qk_slow{n}000.other"
        give_key(connection, key, key_hash=slow)
    while len(authz.api_keys("qk_slow3000")) < 1:
        await asyncio.sleep(0.01)
    for n in range(4):
        header = f"ApiKey qk_slow{n}000.other"
        waiting.append(asyncio.create_task(authz.authenticate(header)))
    await asyncio.sleep(0)
    await authz.aclose()

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert any(isinstance(each, errors.NotOpenError) for each in outcomes)
    with pytest.raises(errors.NotOpenError):
        await authz.authenticate(f"ApiKey {ANNS_KEY}")


async def test_who_is_recognised_stands(
    connection: psycopg.Connection[Any], database: str
) -> None:
    """As long as nothing changes; a token may be verified by itself as well."""
    populate(connection)
    issuer = Issuer()
    async with AsyncAuthorizer(database, jwks=issuer.keys[0].pem.decode()) as authz:
        judging = authz.authentication
        token = issuer.sign(user_claims(ANN, ACME, int(time.time()), sid=SESSION))
        headers = f"Bearer {token}", f"ApiKey {ANNS_KEY}"
        for header in headers:
            await authz.authenticate(header)

        of_token, of_key = map(judging.recognise, headers)

        assert of_token is not None
        assert of_key is not None
        assert judging.stands(of_token)
        assert judging.stands(of_key)
        assert (False, True) == (of_token.is_endless, of_key.is_endless)
        assert of_token.token is await judging.verify_token(token)
        assert {"api_key": 0, "client": 0} == judging.waiting
        connection.execute("UPDATE auth.sessions SET revoked_at = now()")
        while judging.stands(of_key):
            await asyncio.sleep(0.01)
        assert not judging.stands(of_token)


def _bytes(id_: str) -> bytes:
    return bytes.fromhex(id_.replace("-", ""))
