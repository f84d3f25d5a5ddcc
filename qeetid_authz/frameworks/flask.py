"""Flask: `requires` as a decorator of views.

    init_app(app, authz)

    @app.get("/invoices")
    @requires("billing:write")
    def invoices(): ...

Who sends a request is `g.principal`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    ServiceUnavailable,
    Unauthorized,
)

from qeetid_authz.frameworks.asking import Source, find, run, settled
from qeetid_authz.frameworks.guarding import guard, require_guarded
from qeetid_authz.frameworks.visits import Refusal, Visit, arrive, permit, read_keys

View = TypeVar("View", bound=Callable[..., Any])

_NAME = "qeetid_authz"


def init_app(app: Flask, authorizer: Source) -> None:
    """Have an application tell who sends each request; it refuses nothing.

    Args:
        app: the application.
        authorizer: whom to ask, or a function that gives it, for one that is opened
            in each process.
    """
    app.extensions[_NAME] = authorizer
    app.before_request(_arrive)


def requires(*keys: str) -> Callable[[View], View]:
    """Serve a view to those only who hold all permissions, in their own tenant.

    For functions, `async` or not, and for `decorators` of a class. Without any key it
    is enough to be somebody.

    Raises:
        TypeError, ValueError: a key is no string, or empty.
    """
    wanted = read_keys(keys)

    def decorate(view: View) -> View:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            _admit(wanted)
            return current_app.ensure_sync(view)(*args, **kwargs)

        return cast("View", guard(view, guarded))

    return decorate


class _Refused(HTTPException):
    """A refusal as one of the framework's exceptions, with headers of its own."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self._refusal = refusal

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), *self._refusal.headers.items()]


class _Unauthorized(_Refused, Unauthorized):
    pass


class _Forbidden(_Refused, Forbidden):
    pass


class _ServiceUnavailable(_Refused, ServiceUnavailable):
    pass


_EXCEPTIONS: dict[int, type[_Refused]] = {
    each.code: each for each in (_Unauthorized, _Forbidden, _ServiceUnavailable)
}


def _arrive() -> None:
    if request.endpoint is not None:
        require_guarded(current_app.view_functions[request.endpoint])
    authorizer: Source = current_app.extensions[_NAME]
    steps = arrive(find(authorizer), request.headers.getlist("Authorization"))
    visit = run(steps, _settle)
    g.qeetid_visit, g.principal = visit, visit.principal


def _admit(keys: tuple[str, ...]) -> None:
    visit: Visit | None = g.get("qeetid_visit")
    if visit is None:
        raise RuntimeError("nobody tells who sends requests; `init_app(app, authz)`")
    found = run(permit(visit, keys), _settle)
    if isinstance(found, Refusal):
        raise _EXCEPTIONS[found.status](found)


def _settle(answer: Awaitable[Any]) -> Any:
    return current_app.async_to_sync(settled)(answer)
