"""Django REST framework: `requires` as a permission class, and who authenticates.

    class Invoices(APIView):
        authentication_classes = [PrincipalAuthentication]
        permission_classes = [requires("billing:write")]

The setting `QEETID_AUTHZ` and `request.principal` are as in
`qeetid_authz.frameworks.django`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAuthenticated,
    PermissionDenied,
)
from rest_framework.permissions import BasePermission

from qeetid_authz.frameworks.django import admitting, here, visiting
from qeetid_authz.frameworks.visits import (
    ABSENT,
    CHALLENGE,
    DENIED,
    REFUSED,
    UNJUDGED,
    Refusal,
    identify,
    read_keys,
)
from qeetid_authz.principal import Principal


class CannotJudge(APIException):  # type: ignore[misc]  # (they have no types)
    """Permissions can't be judged now; another attempt may succeed."""

    status_code = UNJUDGED.status
    default_detail = UNJUDGED.text
    default_code = "unavailable"
    wait = int(UNJUDGED.headers["Retry-After"])  # becomes that header


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, as the framework wants its `request.user`."""

    principal: Principal
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    @property
    def pk(self) -> str:
        """The principal's id, by which requests are throttled."""
        return self.principal.id


class PrincipalAuthentication(BaseAuthentication):  # type: ignore[misc]  # (nor here)
    """Who sends a request, by its `Authorization` header.

    `request.auth` is then the principal. List it first, else the framework answers who
    presents nothing with a 403.
    """

    def authenticate(self, request: Any) -> tuple[Caller, Principal] | None:
        """The caller and the principal; None if no credential is presented.

        Raises:
            AuthenticationFailed: the credential is refused.
            CannotJudge: it can't be judged now.
        """
        visit = here(visiting(request))
        if visit.principal is None and visit.error is None:
            return None
        found = identify(visit)
        if isinstance(found, Refusal):
            raise _exception(found)
        return Caller(found), found

    def authenticate_header(self, request: Any) -> str:  # noqa: ARG002  (theirs)
        """The challenge that goes with a 401."""
        return CHALLENGE


def requires(*keys: str) -> type[BasePermission]:
    """A permission class: all permissions, in who sends the request's own tenant.

    Without any key it is enough to be somebody. It raises what the response is to be,
    so `|` with another never allows more.

    Raises:
        TypeError, ValueError: a key is no string, or empty.
    """
    wanted = read_keys(keys)

    class Requires(BasePermission):  # type: ignore[misc]  # (nor here)
        """Whether who sends a request holds all of some permissions."""

        def has_permission(self, request: Any, view: Any) -> bool:  # noqa: ARG002
            """True; it raises otherwise."""
            found = here(admitting(request, wanted))
            if isinstance(found, Refusal):
                raise _exception(found)
            return True

    return Requires


def _exception(refusal: Refusal) -> APIException:
    kinds = (
        (ABSENT, NotAuthenticated),
        (REFUSED, AuthenticationFailed),
        (DENIED, PermissionDenied),
    )
    for each, kind in kinds:
        if refusal is each:
            return kind(refusal.text)
    return CannotJudge()
