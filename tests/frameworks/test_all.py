"""What holds in every framework, with every kind of authorizer."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qeetid_authz.errors import UnavailableError
from qeetid_authz.frameworks.asking import Authorizing
from qeetid_authz.principal import Principal
from qeetid_authz.testing import InMemoryAuthorizer
from tests.frameworks.onaiohttp import on_aiohttp
from tests.frameworks.ondjango import on_django, on_django_async, on_drf
from tests.frameworks.onflask import on_flask, on_flask_async
from tests.frameworks.onstarlette import (
    on_fastapi,
    on_fastapi_sync,
    on_starlette,
    on_starlette_sync,
)
from tests.frameworks.served import (
    KINDS,
    NOBODY,
    READ,
    TYPO,
    WRITE,
    Answer,
    Awaited,
    Blocking,
    Pending,
    Served,
    Serving,
    World,
    one_of,
)

EVERY = (
    on_starlette,
    on_starlette_sync,
    on_fastapi,
    on_fastapi_sync,
    on_django,
    on_django_async,
    on_drf,
    on_flask,
    on_flask_async,
    on_aiohttp,
)
ON_A_LOOP = (on_starlette, on_fastapi, on_django_async, on_aiohttp)
GENERIC = {
    "permission denied",
    "authentication required",
    "the credential is refused",
    "permissions cannot be judged now",
}

each = pytest.mark.parametrize("serving", EVERY, ids=lambda serving: serving.__name__)


@pytest.fixture
def authz() -> InMemoryAuthorizer:
    return InMemoryAuthorizer()


@pytest.fixture
def served(serving: Serving, authz: InMemoryAuthorizer) -> Iterator[Served]:
    with serving(authz) as served:
        yield served


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The events that were logged, with their messages and fields."""
    return [
        {**vars(record), "message": record.getMessage()}
        for record in caplog.records
        if record.name == "qeetid_authz"
    ]


def unsaid(answer: Answer, *secrets: str) -> bool:
    """Whether a response tells none of these, in its body or its headers."""
    said = answer.text + json.dumps(dict(answer.headers))
    return not any(secret in said for secret in secrets)


def is_generic(answer: Answer) -> bool:
    """Whether a body is one of those sentences, or the framework's own page."""
    return any(sentence in answer.text for sentence in GENERIC) or (
        "<h1>403 Forbidden</h1>" in answer.text
    )


@each
@pytest.mark.parametrize("kind", KINDS)
def test_allowed_and_denied(serving: Serving, kind: str) -> None:
    """Who holds the permission is served as who it is; after a revocation no more."""
    asked, world = one_of(kind)
    ann = world.user("ann", WRITE)
    header = world.header_for(ann)

    with serving(asked) as served:
        answer = served.get("/write", header)
        assert (200, ann.id) == (answer.status, answer.text)
        assert 403 == served.get("/both", header).status
        world.grant(ann, READ)
        assert 200 == served.get("/both", header).status
        world.revoke(ann, WRITE)
        assert 403 == served.get("/write", header).status
        assert 403 == served.get("/both", header).status
        assert 401 == served.get("/write").status
        world.go_stale()
        assert 503 == served.get("/write", header).status


@each
def test_a_denial_is_explained_to_the_log_only(
    served: Served, authz: InMemoryAuthorizer, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells who lacks what and what would be enough, the response nothing."""
    authz.role("Accountant", WRITE)
    authz.group("Finance", "Accountant")
    ann = authz.user("ann")
    header = authz.header_for(ann)

    answer = served.get("/write", header)
    assert 403 == answer.status
    assert is_generic(answer)
    assert unsaid(answer, WRITE, "Accountant", "Finance", ann.id, "grant", header[7:])

    (event,) = told(caplog)
    assert "request_denied" == event["event"]
    assert logging.WARNING == event["levelno"]
    assert ("no_grant", WRITE) == (event["reason"], event["permission"])
    assert (ann.id, ann.tenant_id) == (event["principal"], event["tenant"])
    assert str(authz.revision) == event["revision"]
    assert ["Accountant (through Finance)"] == event["missing"]
    assert "Accountant (through Finance)" in event["message"]
    assert header[7:] not in str(event)


@each
def test_nobody(
    served: Served, authz: InMemoryAuthorizer, caplog: pytest.LogCaptureFixture
) -> None:
    """Who presents nothing gets a 401 that says how to authenticate."""
    caplog.set_level(logging.INFO, "qeetid_authz")
    authz.permission(WRITE)

    for path in ("/write", "/both", "/me", "/typo"):
        answer = served.get(path)
        assert 401 == answer.status, path
        assert 'Bearer realm="qeetid"' == answer.headers["WWW-Authenticate"]
        assert is_generic(answer)
    assert {"credential_absent"} == {event["cause"] for event in told(caplog)}
    assert {"request_unauthenticated"} == {event["event"] for event in told(caplog)}


@each
@pytest.mark.parametrize(
    ("presented", "cause"),
    [
        (("Bearer some-made-up-token",), "credential_malformed"),
        (("ApiKey some-made-up-token",), "api_key_unknown"),
        (("Basic some-made-up-token",), "credential_malformed"),
        (("",), "credential_malformed"),
        (("Bearer test-user-1", "Bearer test-user-1"), "credential_malformed"),
        (("Bearer test-user-1, Bearer test-user-1",), "credential_malformed"),
        (("Bearer test-user-1", "Bearer some-made-up-token"), "credential_malformed"),
        (("Bearer test-user-2",), "token_expired"),
    ],
)
def test_a_bad_credential(
    served: Served,
    authz: InMemoryAuthorizer,
    caplog: pytest.LogCaptureFixture,
    presented: tuple[str, ...],
    cause: str,
) -> None:
    """It gets a 401, also where it comes beside a good one; the log has the cause."""
    caplog.set_level(logging.INFO, "qeetid_authz")
    ann = authz.user("ann", READ, WRITE)
    assert "Bearer test-user-1" == authz.header_for(ann)
    assert "Bearer test-user-2" == authz.header_for(ann, expires_at=authz.now)

    for path in ("/write", "/both", "/me"):
        answer = served.get(path, *presented)
        assert 401 == answer.status
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="qeetid"')
        assert is_generic(answer)
        assert unsaid(answer, "made-up", "test-user", cause, WRITE)
    for event in told(caplog):
        assert ("request_unauthenticated", cause) == (event["event"], event["cause"])
        assert "made-up" not in str(event)
        assert "test-user" not in event["message"]
    assert 3 == len(told(caplog))


@each
def test_what_cant_be_judged(
    served: Served, authz: InMemoryAuthorizer, caplog: pytest.LogCaptureFixture
) -> None:
    """While the facts are too old, and once it is closed, there is a 503."""
    header = authz.header_for(authz.user("ann", READ, WRITE))
    assert 200 == served.get("/write", header).status

    authz.go_stale()
    for path in ("/write", "/both", "/me"):
        answer = served.get(path, header)
        assert (503, "1") == (answer.status, answer.headers["Retry-After"])
        assert is_generic(answer)
        assert unsaid(answer, "stale", "staleness", WRITE)
    authz.catch_up()
    assert 200 == served.get("/write", header).status
    authz.close()
    assert 503 == served.get("/write", header).status
    events = [(event["event"], event["cause"]) for event in told(caplog)]
    assert [("request_unjudged", "stale")] * 3 + [
        ("request_unjudged", "not_open")
    ] == events


@each
@pytest.mark.parametrize("raises", [False, True])
def test_what_stops_being_judged_meanwhile(*, serving: Serving, raises: bool) -> None:
    """Between who sends a request and whether it may, facts can grow too old."""
    world = InMemoryAuthorizer(raises_stale=raises)
    header = world.header_for(world.user("ann", READ, WRITE))

    class GoesStale(Blocking):
        def authenticate(self, header: str) -> Principal:
            world.catch_up()
            principal = world.authenticate(header)
            world.go_stale()
            return principal

    with serving(GoesStale(world)) as served:
        for path in ("/write", "/both", "/typo"):
            assert 503 == served.get(path, header).status
        assert 200 == served.get("/me", header).status


@each
def test_what_is_closed_meanwhile(serving: Serving) -> None:
    """An application that stops answers what it can't judge any more with a 503."""
    world = InMemoryAuthorizer()
    header = world.header_for(world.user("ann", WRITE))

    class Closes(Blocking):
        def authenticate(self, header: str) -> Principal:
            with world:
                return world.authenticate(header)

    with serving(Closes(world)) as served:
        assert 503 == served.get("/write", header).status


@each
def test_a_misspelt_permission(
    served: Served, authz: InMemoryAuthorizer, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that doesn't exist is denied, and told as the mistake that it is."""
    header = authz.header_for(authz.user("ann", READ, WRITE))

    answer = served.get("/typo", header)
    assert 403 == answer.status
    assert unsaid(answer, TYPO)
    (event,) = told(caplog)
    assert ("permission_unknown", TYPO) == (event["event"], event["permission"])
    assert logging.ERROR == event["levelno"]
    assert f"no permission has the key '{TYPO}'; correct" in event["message"]


@each
def test_what_anybody_may(
    served: Served, authz: InMemoryAuthorizer, caplog: pytest.LogCaptureFixture
) -> None:
    """A view that requires nothing is told who it is, if it is anybody."""
    ann = authz.user("ann")
    header = authz.header_for(ann)

    assert (200, NOBODY) == served.get("/open")[::2]
    assert (200, ann.id) == served.get("/open", header)[::2]
    assert (200, ann.id) == served.get("/me", header)[::2]
    assert (200, NOBODY) == served.get("/open")[::2]  # nothing is left of the former
    assert [] == told(caplog)


@each
def test_tenants_are_apart(served: Served, authz: InMemoryAuthorizer) -> None:
    """Permissions are asked for in the tenant of who sends the request."""
    authz.user("ann", WRITE)
    elsewhere = authz.user("ann", READ, tenant="other")

    assert 403 == served.get("/write", authz.header_for(elsewhere)).status


@each
def test_everyone_is_known(served: Served, authz: InMemoryAuthorizer) -> None:
    """Machines and API keys as users, and each within what its credential says."""
    everybody = [
        authz.user("ann", WRITE),
        authz.machine("robot", WRITE),
        authz.machine("helper", WRITE, kind="agent"),
        authz.key("ci", WRITE),
    ]

    for principal in everybody:
        assert 200 == served.get("/write", authz.header_for(principal)).status
    narrow = authz.header_for(everybody[0], limit=[READ])
    assert 403 == served.get("/write", narrow).status


@each
def test_who_is_told_once(serving: Serving) -> None:
    """However often it is asked, a request's credential is judged once."""
    world = InMemoryAuthorizer()
    header, calls = world.header_for(world.user("ann", READ, WRITE)), []

    class Counting(Blocking):
        def authenticate(self, header: str) -> Principal:
            calls.append(header)
            return super().authenticate(header)

    with serving(Counting(world)) as served:
        assert 200 == served.get("/both", header).status
        assert 200 == served.get("/open", header).status
    assert [header] * 2 == calls


@pytest.mark.parametrize("kind", [Blocking, Pending, Awaited])
@pytest.mark.parametrize("serving", ON_A_LOOP, ids=lambda serving: serving.__name__)
def test_the_event_loop_isnt_blocked(
    serving: Serving, kind: Callable[[World], Authorizing]
) -> None:
    """What may block is asked on another thread than the one that serves.

    What is awaited is asked on that one, to whose loop its connections belong.
    """
    world = InMemoryAuthorizer()
    header = world.header_for(world.user("ann"))
    world.permission(WRITE)
    threads: dict[str, int] = {}

    class Watched(InMemoryAuthorizer):
        def __getattribute__(self, name: str) -> Any:
            threads[name] = threading.get_ident()
            return getattr(world, name)

    def source() -> Authorizing:
        threads["loop"] = threading.get_ident()
        return kind(Watched())

    with serving(source) as served:
        assert 403 == served.get("/write", header).status
    asked = {threads[name] for name in ("authenticate", "check", "explain")}
    assert (threads["loop"] in asked) is (kind is not Blocking)
    assert (len(asked | {threads["loop"]}) == 1) is (kind is not Blocking)


@each
def test_an_explanation_that_fails(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """A denial stays one when there is nobody any more who explains it."""
    world = InMemoryAuthorizer()
    header = world.header_for(world.user("ann"))
    world.permission(WRITE)

    class Mute(Blocking):
        def explain(self, principal: Principal, key: str) -> Any:
            raise UnavailableError("the sidecar is away")

    with serving(Mute(world)) as served:
        assert 403 == served.get("/write", header).status
    (event,) = told(caplog)
    assert ("request_denied", []) == (event["event"], event["missing"])


@each
def test_defects_are_no_permission(serving: Serving) -> None:
    """Whatever goes wrong otherwise is the framework's 500."""
    world = InMemoryAuthorizer()
    header = world.header_for(world.user("ann", WRITE))

    class Broken(Blocking):
        def check(self, principal: Principal, key: str) -> Any:
            raise RuntimeError("out of order")

    with serving(Broken(world)) as served:
        assert 500 == served.get("/write", header).status
