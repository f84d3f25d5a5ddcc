"""Django: a middleware, and `requires` as a decorator of views.

    QEETID_AUTHZ = "shop.authz.authorizer"  # in the settings: what gives it
    MIDDLEWARE = [..., "qeetid_authz.frameworks.django.authz_middleware"]

    @requires("billing:write")
    def invoices(request): ...

Who sends a request is `request.principal`. The REST framework's way is in
`qeetid_authz.frameworks.drf`.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.module_loading import import_string

from qeetid_authz.frameworks.asking import (
    Authorizing,
    Steps,
    find,
    run,
    run_async,
    settled,
)
from qeetid_authz.frameworks.guarding import guard
from qeetid_authz.frameworks.visits import (
    DENIED,
    Refusal,
    Visit,
    arrive,
    permit,
    read_keys,
)
from qeetid_authz.principal import Principal

View = TypeVar("View", bound=Callable[..., Any])

_VISIT = "_qeetid_visit"


def authorizer() -> Authorizing:
    """Whom the setting `QEETID_AUTHZ` says to ask.

    Raises:
        ImproperlyConfigured: there is no such setting.
    """
    source = getattr(settings, "QEETID_AUTHZ", None)
    if source is None:
        raise ImproperlyConfigured(
            "there is no QEETID_AUTHZ in the settings; set it to the dotted path of a"
            " function that gives the open authorizer"
        )
    return find(import_string(source) if isinstance(source, str) else source)


@sync_and_async_middleware  # type: ignore[untyped-decorator]  # (Django has no types)
def authz_middleware(get_response: Callable[[HttpRequest], Any]) -> Any:
    """Tell who sends each request; it refuses nothing."""
    if iscoroutinefunction(get_response):

        async def middleware_async(request: HttpRequest) -> Any:
            await _offloaded(visiting(request))
            return await get_response(request)

        return middleware_async

    def middleware(request: HttpRequest) -> Any:
        here(visiting(request))
        return get_response(request)

    return middleware


def requires(*keys: str) -> Callable[[View], View]:
    """Serve a view to those only who hold all permissions, in their own tenant.

    For functions that are given the request, `async` or not, and for what `as_view()`
    gives. Without any key it is enough to be somebody.

    Raises:
        TypeError, ValueError: a key is no string, or empty.
    """
    wanted = read_keys(keys)

    def decorate(view: View) -> View:
        async def guarded_async(request: Any, *args: Any, **kwargs: Any) -> Any:
            refused = _refused(await _offloaded(admitting(request, wanted)))
            if refused is not None:
                return refused
            return await view(request, *args, **kwargs)

        def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
            refused = _refused(here(admitting(request, wanted)))
            if refused is not None:
                return refused
            return view(request, *args, **kwargs)

        is_async = iscoroutinefunction(view)
        return cast("View", guard(view, guarded_async if is_async else guarded))

    return decorate


def visiting(request: Any) -> Steps[Visit]:
    """Tell who sends a request, once."""
    request = getattr(request, "_request", request)  # the REST framework's has it
    if not hasattr(request, "META"):
        raise TypeError(
            f"`{request!r}` is no request; put `requires` on a function that is given"
            " one first, or around `as_view()`"
        )
    visit: Visit | None = getattr(request, _VISIT, None)
    if visit is None:
        header = request.META.get("HTTP_AUTHORIZATION")
        presented = [] if header is None else [header]
        visit = yield from arrive(authorizer(), presented)
        setattr(request, _VISIT, visit)
        request.principal = visit.principal
    return visit


def admitting(request: Any, keys: tuple[str, ...]) -> Steps[Principal | Refusal]:
    """Tell whether who sends a request holds all of some permissions."""
    visit = yield from visiting(request)
    return (yield from permit(visit, keys))


Found = TypeVar("Found")


def here(steps: Steps[Found]) -> Found:
    """Ask in this thread."""
    return run(steps, _settle)


def _settle(answer: Awaitable[Any]) -> Any:
    return async_to_sync(settled)(answer)


async def _offloaded(steps: Steps[Found]) -> Found:
    return await run_async(steps, _offload)


async def _offload(ask: Callable[[], Any]) -> Any:
    return await sync_to_async(ask, thread_sensitive=False)()


def _refused(found: Principal | Refusal) -> HttpResponse | None:
    """The response to who may not.

    Raises:
        PermissionDenied: it is known, and lacks a permission.
    """
    if not isinstance(found, Refusal):
        return None
    if found is DENIED:
        raise PermissionDenied(found.text)
    plain = partial(HttpResponse, content_type="text/plain; charset=utf-8")
    return plain(found.text, status=found.status, headers=dict(found.headers))
