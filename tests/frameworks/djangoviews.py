"""The views of the little application on Django and its REST framework."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.decorators import api_view
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from qeetid_authz.frameworks import drf
from qeetid_authz.frameworks.django import requires
from tests.frameworks.served import REQUIRED, WRITE, name_of


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(name_of(request.principal))


async def who_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(name_of(request.principal))


class Rest(APIView):  # type: ignore[misc]
    authentication_classes: tuple[Any, ...] = (drf.PrincipalAuthentication,)
    renderer_classes = (JSONRenderer,)

    def get(self, request: Any) -> Response:
        assert request.auth in (None, request.principal)
        return Response(name_of(request.principal))


class Open(Rest):
    permission_classes = ()


class Foreign(Rest):
    """A view whose first way to authenticate challenges nobody."""

    authentication_classes = ()
    permission_classes = (drf.requires(WRITE),)


class Sync(View):  # type: ignore[misc]
    def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@method_decorator(requires(WRITE), name="dispatch")
class Dispatched(Sync):
    pass


class Async(View):  # type: ignore[misc]
    async def get(self, request: HttpRequest) -> HttpResponse:
        return who(request)


@requires(WRITE)
@api_view(["GET"])  # type: ignore[untyped-decorator]
def outside(request: Any) -> Response:
    return Response(name_of(request.principal))


@api_view(["GET"])  # type: ignore[untyped-decorator]
@requires(WRITE)
def inside(request: Any) -> Response:
    return Response(name_of(request.principal))


urlpatterns = [
    path("sync/open", who),
    path("async/open", who_async),
    path("rest/open", Open.as_view()),
    path("class/sync", requires(WRITE)(Sync.as_view())),
    path("class/dispatched", Dispatched.as_view()),
    path("class/async", requires(WRITE)(Async.as_view())),
    path("rest/foreign", Foreign.as_view()),
    path("rest/outside", outside),
    path("rest/inside", inside),
]
for at, keys in REQUIRED.items():
    rest: Any = type(
        "Requiring", (Rest,), {"permission_classes": (drf.requires(*keys),)}
    )
    urlpatterns += [
        path(f"sync{at}", requires(*keys)(who)),
        path(f"async{at}", requires(*keys)(who_async)),
        path(f"rest{at}", rest.as_view()),
    ]
