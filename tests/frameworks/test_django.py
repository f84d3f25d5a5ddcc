"""What is Django's own: settings, classes, pages of errors, its REST framework."""

import asyncio
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission

from qeetid_authz.decision.decision import Decision
from qeetid_authz.frameworks import drf
from qeetid_authz.frameworks.django import requires
from qeetid_authz.principal import Principal
from qeetid_authz.testing import InMemoryAuthorizer
from tests.frameworks import djangoviews
from tests.frameworks.served import WRITE, Awaited

HERE = "tests.frameworks.test_django"
current = InMemoryAuthorizer()


def give() -> InMemoryAuthorizer:
    return current


def get(path: str, header: str | None = None) -> Any:
    headers = {} if header is None else {"Authorization": header}
    return Client().get(path, headers=headers)


@pytest.mark.parametrize("setting", [f"{HERE}.current", f"{HERE}.give", give, current])
def test_the_setting(setting: object) -> None:
    """It is an authorizer or what gives one, or where either is found."""
    header = current.header_for(current.user("ann", WRITE))

    with override_settings(QEETID_AUTHZ=setting):
        assert 200 == get("/sync/write", header).status_code


def test_no_setting() -> None:
    """The mistake is told to whoever asks first."""
    with pytest.raises(ImproperlyConfigured, match="no QEETID_AUTHZ in the settings"):
        get("/sync/open")


@pytest.fixture
def authz() -> Any:
    authz = InMemoryAuthorizer()
    with override_settings(QEETID_AUTHZ=authz):
        yield authz


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_without_the_middleware(*, authz: InMemoryAuthorizer, kind: str) -> None:
    """The decorator tells who sends the request by itself."""
    ann = authz.user("ann", WRITE)
    headers = {"Authorization": authz.header_for(ann)}

    with override_settings(MIDDLEWARE=[]):
        answer = await AsyncClient().get(f"/{kind}/write", headers=headers)
        assert (200, ann.id) == (answer.status_code, answer.content.decode())
        assert 401 == (await AsyncClient().get(f"/{kind}/write")).status_code


@pytest.mark.parametrize("view", ["sync", "async", "rest"])
async def test_awaited_under_asgi(view: str) -> None:
    """Answers are awaited on the loop that serves, whatever the view is."""
    world = InMemoryAuthorizer()
    ann, loops = world.user("ann", WRITE), []

    class Watched(Awaited):
        async def check(self, principal: Principal, key: str) -> Decision:
            loops.append(asyncio.get_running_loop())
            return await super().check(principal, key)

    headers = {"Authorization": world.header_for(ann)}
    with override_settings(QEETID_AUTHZ=Watched(world)):
        answer = await AsyncClient().get(f"/{view}/write", headers=headers)
    assert 200 == answer.status_code
    assert [asyncio.get_running_loop()] == loops


@pytest.mark.parametrize("kind", ["sync", "async", "dispatched"])
def test_a_class(authz: InMemoryAuthorizer, kind: str) -> None:
    """What `as_view()` gives can be wrapped, whatever its methods are.

    So can its `dispatch` be, if they aren't asynchronous.
    """
    ann = authz.user("ann", WRITE)

    answer = get(f"/class/{kind}", authz.header_for(ann))
    assert (200, ann.id) == (answer.status_code, answer.content.decode())
    assert 401 == get(f"/class/{kind}").status_code
    assert 403 == get(f"/class/{kind}", authz.header_for(authz.user("bob"))).status_code


class Urls:
    """The views, with a page of the project's own for a 403."""

    urlpatterns = djangoviews.urlpatterns

    @staticmethod
    def handler403(request: Any, exception: Exception) -> HttpResponse:
        return HttpResponse(f"our page: {exception}", status=403)


def test_pages_of_errors(authz: InMemoryAuthorizer) -> None:
    """A denial is shown as the project shows any."""
    header = authz.header_for(authz.user("ann"))

    with override_settings(ROOT_URLCONF=Urls):
        assert b"our page: permission denied" == get("/sync/write", header).content


def test_a_method_is_no_view(authz: InMemoryAuthorizer) -> None:
    """What isn't given the request first can't be guarded."""

    class Thing:
        @requires(WRITE)
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse("served")

    with pytest.raises(TypeError, match=r"is no request; put `requires` on a function"):
        Thing().get(None)


@pytest.mark.parametrize("path", ["/rest/outside", "/rest/inside"])
def test_functions_of_the_rest_framework(authz: InMemoryAuthorizer, path: str) -> None:
    """The decorator works on either side of `api_view`."""
    ann = authz.user("ann", WRITE)

    answer = get(path, authz.header_for(ann))
    assert (200, ann.id) == (answer.status_code, answer.json())
    assert 401 == get(path).status_code
    assert 403 == get(path, authz.header_for(authz.user("bob"))).status_code


def test_a_view_that_challenges_nobody(authz: InMemoryAuthorizer) -> None:
    """Where nothing says how to authenticate, the REST framework makes a 401 a 403."""
    ann, bob = authz.user("ann", WRITE), authz.user("bob")

    assert 200 == get("/rest/foreign", authz.header_for(ann)).status_code
    for header in (None, "Bearer nonsense", authz.header_for(bob)):
        assert 403 == get("/rest/foreign", header).status_code
    authz.go_stale()
    assert 503 == get("/rest/foreign", authz.header_for(ann)).status_code


def test_permission_classes_combine(authz: InMemoryAuthorizer) -> None:
    """Others can narrow a requirement; that it isn't met is a refusal in any case."""

    class Never(BasePermission):  # type: ignore[misc]
        def has_permission(self, request: Any, view: Any) -> bool:
            return False

    header = authz.header_for(authz.user("ann", WRITE))
    request = RequestFactory().get("/", headers={"Authorization": header})
    met: Any = drf.requires(WRITE)
    unmet: Any = drf.requires("refund")
    assert (met & met)().has_permission(request, None)
    assert not (met & Never)().has_permission(request, None)
    for combined in (unmet | met, unmet & met, ~unmet):
        with pytest.raises(PermissionDenied):
            combined().has_permission(request, None)


def test_the_caller(authz: InMemoryAuthorizer) -> None:
    """It is what the REST framework wants of a user: known, and told apart by its id."""
    ann = authz.user("ann")
    caller = drf.Caller(ann)

    assert (ann.id, True, False) == (
        caller.pk,
        caller.is_authenticated,
        caller.is_anonymous,
    )
