"""The authorizer for tests answers as one that follows a database does."""

from collections.abc import Callable
from inspect import iscoroutinefunction

import pytest

from qeetid_authz import errors, testing
from qeetid_authz.authorizer import AsyncAuthorizer, Authorizer
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.defaults import configure
from qeetid_authz.engine.engine import Engine
from qeetid_authz.errors import AuthenticationError, StaleError
from qeetid_authz.ids import format_id
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.testing import AsyncInMemoryAuthorizer, InMemoryAuthorizer
from qeetid_authz.testing.world import derive

WRITE, READ = "billing:write", "billing:read"
SESSION = "5e551011-0000-4000-8000-000000000001"
FACTS = {
    "users": [{"email": "Ann@acme.example"}, {"email": "bob@acme.example"}],
    "tenants": [
        {
            "slug": "Acme",
            "roles": [{"name": "Biller", "permissions": [WRITE]}],
            "groups": [
                {
                    "name": "Finance",
                    "roles": ["Biller"],
                    "members": ["ann@acme.example"],
                }
            ],
        }
    ],
}


@pytest.fixture
def authz() -> InMemoryAuthorizer:
    return InMemoryAuthorizer()


def test_a_user_holds_what_is_said(authz: InMemoryAuthorizer) -> None:
    """One line makes a user who may that and nothing else, and says by what."""
    ann = authz.user("ann", WRITE)

    assert authz.can(ann, WRITE)
    assert not authz.can(ann, READ)
    assert ["role:granted to ann"] == [
        path.granted_by for path in authz.explain(ann, WRITE).paths
    ]


def test_the_same_name_is_the_same_user(authz: InMemoryAuthorizer) -> None:
    """In any case of its letters; what is said again adds to what was said before."""
    ann = authz.user("ann", WRITE)
    authz.user("bob", READ)

    assert ann == authz.user("Ann", READ)
    assert [READ, WRITE] == authz.effective_permissions(ann)


def test_tenants_are_apart(authz: InMemoryAuthorizer) -> None:
    """What a user may in one tenant it may not in another."""
    here, there = authz.user("ann", WRITE), authz.user("ann", READ, tenant="other")

    assert (here.id, authz.tenant("test")) == (there.id, here.tenant_id)
    assert authz.tenant("other") == there.tenant_id
    assert [READ] == authz.effective_permissions(there)


def test_roles_and_groups(authz: InMemoryAuthorizer) -> None:
    """They carry exactly what they were last said to, and can be left again."""
    authz.role("biller", WRITE, READ)
    authz.role("reader", READ)
    authz.group("finance", "biller")
    authz.group("guests", "reader")
    ann = authz.user("ann", roles=["reader"], groups=["finance"])
    bob = authz.user("bob", groups=["guests"])
    assert authz.explain(ann, WRITE).paths[0].via == "group:finance"

    authz.role("biller", WRITE)
    assert ["direct"] == [path.via for path in authz.explain(ann, READ).paths]
    authz.unassign(ann, "reader")
    assert [WRITE] == authz.effective_permissions(ann)
    authz.group("finance")
    assert [] == authz.effective_permissions(ann)
    authz.assign(ann, "biller")
    authz.join(ann, "guests")
    assert [READ, WRITE] == authz.effective_permissions(ann)
    authz.leave(ann, "guests")
    assert [WRITE] == authz.effective_permissions(ann)
    assert [READ] == authz.effective_permissions(bob)


@pytest.mark.parametrize(
    "mistaken",
    [
        lambda authz, ann: authz.user("ann", roles=["biler"]),
        lambda authz, ann: authz.user("ann", groups=["biler"]),
        lambda authz, ann: authz.group("finance", "biler"),
        lambda authz, ann: authz.assign(ann, "biler"),
        lambda authz, ann: authz.join(ann, "biler"),
    ],
)
def test_a_name_that_isnt_there(
    authz: InMemoryAuthorizer,
    mistaken: Callable[[InMemoryAuthorizer, Principal], object],
) -> None:
    """A role or group that is misspelt is told, with those that there are."""
    authz.role("biller", WRITE)
    ann = authz.user("ann")
    before = authz.revision

    with pytest.raises(ValueError, match=r"there is no (role|group) `biler`; make it"):
        mistaken(authz, ann)
    assert before == authz.revision


def test_grants_come_and_go(authz: InMemoryAuthorizer) -> None:
    """Each publishes a later revision, by which the next question is answered."""
    everybody = [
        authz.user("ann", READ),
        authz.machine("robot", READ),
        authz.machine("helper", READ, kind="agent"),
        authz.key("ci", READ),
    ]
    assert {*Kind} == {each.kind for each in everybody}

    for principal in everybody:
        before = authz.revision
        authz.grant(principal, WRITE)
        assert authz.can(principal, WRITE), principal
        assert authz.revision.xmin > before.xmin
        authz.revoke(principal, WRITE)
        assert not authz.can(principal, WRITE), principal
        assert authz.can(principal, READ), principal


def test_revoking_what_wasnt_granted(authz: InMemoryAuthorizer) -> None:
    """A test that takes away what isn't there would prove nothing."""
    ann = authz.user("ann", READ)

    with pytest.raises(ValueError, match=r"`ann` wasn't granted `billing:write`"):
        authz.revoke(ann, WRITE)


def test_revoking_what_is_held_otherwise_too(authz: InMemoryAuthorizer) -> None:
    """Nor would one that takes away one grant of two; nothing is changed then."""
    authz.role("biller", WRITE)
    authz.group("finance", "biller")
    ann = authz.user("ann", WRITE, groups=["finance"])

    with pytest.raises(ValueError, match=r"by `role:biller`, group:finance; take that"):
        authz.revoke(ann, WRITE)
    authz.leave(ann, "finance")
    assert authz.can(ann, WRITE)
    authz.revoke(ann, WRITE)
    assert not authz.can(ann, WRITE)


def test_a_users_key(authz: InMemoryAuthorizer) -> None:
    """It may what its user may, within its scopes, and isn't granted anything."""
    ann = authz.user("ann", READ, WRITE, tenant="other")
    key = authz.key("laptop", READ, user=ann)

    assert ann.tenant_id == key.tenant_id
    assert [READ] == authz.effective_permissions(key)
    with pytest.raises(ValueError, match=r"`laptop` may what its user may; grant to"):
        authz.grant(key, WRITE)


@pytest.mark.parametrize("kind", Kind)
def test_somebody_unknown(authz: InMemoryAuthorizer, kind: Kind) -> None:
    """Who wasn't made can't be changed; a principal of other ids is a mistake."""
    stranger = Principal.of(kind, bytes(15) + b"\1", authz.user("ann").tenant)

    for change in (authz.grant, authz.assign, authz.join):
        with pytest.raises(ValueError, match=r"there is no \w+ `0+-.*1` in `"):
            change(stranger, "x")
    for switch in (authz.suspend, authz.reinstate):
        with pytest.raises(ValueError, match=r"take what `user`, `machine` or `key`"):
            switch(stranger)


def test_a_machine_of_no_kind(authz: InMemoryAuthorizer) -> None:
    """Users are made otherwise."""
    with pytest.raises(ValueError, match="no machine is `user`; say `service` or"):
        authz.machine("robot", kind="user")


def test_a_permission_that_nobody_holds(authz: InMemoryAuthorizer) -> None:
    """It is known all the same, so that a question about it is no mistake."""
    ann = authz.user("ann")
    authz.permission(WRITE)

    assert Reason.NO_GRANT is authz.check(ann, WRITE).reason
    assert Reason.UNKNOWN_PERMISSION is authz.check(ann, READ).reason


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        (Kind.USER, errors.InactiveUserError),
        (Kind.SERVICE, errors.InactiveServiceError),
        (Kind.AGENT, errors.InactiveAgentError),
        (Kind.API_KEY, errors.ApiKeyRevokedError),
    ],
)
def test_suspending(
    authz: InMemoryAuthorizer, kind: Kind, refusal: type[AuthenticationError]
) -> None:
    """Whoever is suspended may nothing, and its credential is refused; then it may."""
    who = {
        Kind.USER: lambda: authz.user("ann", WRITE),
        Kind.SERVICE: lambda: authz.machine("robot", WRITE),
        Kind.AGENT: lambda: authz.machine("helper", WRITE, kind="agent"),
        Kind.API_KEY: lambda: authz.key("ci", WRITE),
    }[kind]()
    header = authz.header_for(who)
    assert who == authz.authenticate(header)

    authz.suspend(who)
    assert not authz.can(who, WRITE)
    with pytest.raises(refusal):
        authz.authenticate(header)
    authz.reinstate(who)
    assert who == authz.authenticate(header)
    assert authz.can(who, WRITE)


def test_suspending_a_tenant(authz: InMemoryAuthorizer) -> None:
    """Nobody acts in it; others go on."""
    here, there = authz.user("ann", WRITE), authz.user("ann", WRITE, tenant="other")

    authz.suspend_tenant()
    assert (False, True) == (authz.can(here, WRITE), authz.can(there, WRITE))
    with pytest.raises(errors.InactiveTenantError):
        authz.authenticate(authz.header_for(here))
    authz.suspend_tenant("other")
    authz.reinstate_tenant()
    assert (True, False) == (authz.can(here, WRITE), authz.can(there, WRITE))


def test_a_credential_with_bounds(authz: InMemoryAuthorizer) -> None:
    """It stands for who it says within them."""
    ann, helper = authz.user("ann", READ, WRITE), authz.machine("helper", WRITE)
    header = authz.header_for(ann, limit=[READ])
    acting = authz.authenticate(authz.header_for(ann, actor=helper))

    assert ann == authz.authenticate(authz.header_for(ann))
    assert [READ] == authz.effective_permissions(authz.authenticate(header))
    assert [WRITE] == authz.effective_permissions(acting)


def test_a_session_ends(authz: InMemoryAuthorizer) -> None:
    """Its credential is refused from then on, the user isn't."""
    ann = authz.user("ann", WRITE)
    header = authz.header_for(ann, session_id=SESSION)
    principal = authz.authenticate(header)

    authz.end_session(SESSION)
    with pytest.raises(errors.SessionRevokedError):
        authz.authenticate(header)
    assert (False, True) == (authz.can(principal, WRITE), authz.can(ann, WRITE))


def test_time_passes_on_demand_only(authz: InMemoryAuthorizer) -> None:
    """A credential ends when the test says so, to the second."""
    ann = authz.user("ann", WRITE)
    header = authz.header_for(ann, expires_at=authz.now + 60)
    key = authz.key("ci", WRITE, expires_at=authz.now + 60)
    principal = authz.authenticate(header)
    assert authz.can(principal, WRITE)
    assert authz.can(key, WRITE)

    authz.advance(59.9)
    assert authz.can(principal, WRITE)
    authz.advance(0.2)
    assert not authz.can(principal, WRITE)
    assert not authz.can(key, WRITE)
    with pytest.raises(errors.TokenExpiredError):
        authz.authenticate(header)
    with pytest.raises(errors.ApiKeyExpiredError):
        authz.authenticate(authz.header_for(key))
    with pytest.raises(ValueError, match="time can't go back by `1` seconds"):
        authz.advance(-1)


def test_going_stale(authz: InMemoryAuthorizer) -> None:
    """Everything is denied until it catches up, then with what was changed meanwhile."""
    ann = authz.user("ann", WRITE)
    header = authz.header_for(ann)

    authz.go_stale()
    authz.grant(ann, READ)
    assert Reason.STALE is authz.check(ann, WRITE).reason
    with pytest.raises(StaleError):
        authz.authenticate(header)
    with pytest.raises(errors.RevisionUnseenError):
        authz.wait_for(authz.revision_token)
    authz.catch_up()
    assert ann == authz.authenticate(header)
    assert [READ, WRITE] == authz.effective_permissions(ann)


def test_going_stale_can_raise() -> None:
    """For applications that open theirs so."""
    authz = InMemoryAuthorizer(raises_stale=True)
    ann = authz.user("ann", WRITE)
    authz.go_stale()

    with pytest.raises(StaleError):
        authz.can(ann, WRITE)


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        ("Bearer nonsense", errors.MalformedCredentialError),
        ("Bearer test-api_key-1", errors.MalformedCredentialError),
        ("ApiKey test-user-2", errors.UnknownApiKeyError),
        ("apikey test-api_key-1", errors.MalformedCredentialError),
        ("ApiKey nonsense", errors.UnknownApiKeyError),
        ("Basic YW5uOnB3", errors.MalformedCredentialError),
        ("", errors.MalformedCredentialError),
    ],
)
def test_a_bad_credential(
    authz: InMemoryAuthorizer, header: str, refusal: type[AuthenticationError]
) -> None:
    """Refused as others would be, and not quoted."""
    key, ann = authz.key("ci"), authz.user("ann")
    assert "ApiKey test-api_key-1" == authz.header_for(key)
    assert "Bearer test-user-2" == authz.header_for(ann)
    assert ann == authz.authenticate("bearer test-user-2")

    with pytest.raises(refusal) as raised:
        authz.authenticate(header)
    assert "nonsense" not in str(raised.value)


def test_a_header_that_is_none(authz: InMemoryAuthorizer) -> None:
    """It is a mistake of the application, as everywhere."""
    with pytest.raises(TypeError, match="must be a string"):
        authz.authenticate(b"Bearer x")  # type: ignore[arg-type]


def test_own_writes_are_seen(authz: InMemoryAuthorizer) -> None:
    """A question can name the change that it must take into account."""
    ann = authz.user("ann", WRITE)
    authz.wait_for(authz.revision_token)

    assert authz.can(ann, WRITE, at_least=authz.revision_token)
    incarnation, _, transaction = authz.revision_token.partition("@")
    with pytest.raises(errors.RevisionUnseenError):
        authz.wait_for(f"{incarnation}@{int(transaction) + 1}")


def test_it_begins_with_a_document() -> None:
    """Its users and tenants are found by their names, in any case."""
    authz = InMemoryAuthorizer(FACTS, tenant="acme")
    ann, bob = authz.user("ann@acme.example"), authz.user("bob@acme.example")
    assert (True, False) == (authz.can(ann, WRITE), authz.can(bob, WRITE))

    authz.join(bob, "Finance")
    authz.role("biller", READ)
    assert [READ] == authz.effective_permissions(bob)


def test_its_ids_are_those_of_documents() -> None:
    """So that what a test made and what a document says are the same."""
    authz = InMemoryAuthorizer()
    made = authz.user("ann@acme.example", tenant="acme")
    read = InMemoryAuthorizer(FACTS).user("ann@acme.example", tenant="acme")

    assert made == read
    assert format_id(derive("tenant", "acme")) == read.tenant_id


def test_it_is_an_authorizer(authz: InMemoryAuthorizer) -> None:
    """It can be configured as the application's one, and is closed like any."""
    configure(authz)
    configure(None)
    ann = authz.user("ann", WRITE)

    assert isinstance(authz, Engine)
    with authz:
        assert authz.can(ann, WRITE)
    with pytest.raises(errors.NotOpenError):
        authz.authenticate(authz.header_for(ann))


async def test_the_asynchronous_one() -> None:
    """It is asked like the synchronous one, and awaited where that is usual."""
    async with AsyncInMemoryAuthorizer() as authz:
        ann = authz.user("ann", WRITE)
        await authz.wait_for(authz.revision_token)
        assert ann == await authz.authenticate(authz.header_for(ann))
        assert authz.can(ann, WRITE)

    with pytest.raises(errors.NotOpenError):
        authz.can(ann, WRITE)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(InMemoryAuthorizer, Authorizer), (AsyncInMemoryAuthorizer, AsyncAuthorizer)],
)
def test_whatever_an_authorizer_can_be_asked(ours: type, theirs: type) -> None:
    """It has the same methods, awaited or not, but for what follows a database."""
    following = {"authentication", "chore", "feed_failed", "open", "seats", "sizes"}
    methods = {name for name in dir(theirs) if not name.startswith("_")} - following

    assert set() == methods - set(dir(ours))
    assert [iscoroutinefunction(getattr(theirs, name)) for name in sorted(methods)] == [
        iscoroutinefunction(getattr(ours, name)) for name in sorted(methods)
    ]


def test_a_name_that_isnt_in_the_package() -> None:
    """What is imported when first used is those two names only."""
    with pytest.raises(AttributeError, match="no attribute 'Authorizer'"):
        testing.Authorizer  # noqa: B018


def test_the_fixture(
    qeetid_authz: InMemoryAuthorizer, qeetid_authz_async: AsyncInMemoryAuthorizer
) -> None:
    """Each test gets authorizers of its own, which know nobody."""
    assert [] == list(qeetid_authz.who_can(qeetid_authz.tenant("test"), WRITE))
    assert qeetid_authz.user("ann") == qeetid_authz_async.user("ann")
