"""`GET /v1/users/{user}/tenants/{tenant}/permissions` (fact 1.6)."""

import pytest

from tests.server.sidecars import request
from tests.server.test_check import BAD_REQUEST, FORBIDDEN, UNAUTHORIZED, error
from tests.server.town import ACME, ACME_KEY, ANN, EVE, GUS, NOBODY, OTHER_KEY, SUE

BOTH = rb'{"permissions":["a\u0026b \u003cc\u003e\u2028;+%\u2029' + "é".encode()
BOTH += b'","billing:write"]}\n'
NONE = b'{"permissions":[]}\n'


def path(user: str = ANN, tenant: str = ACME) -> str:
    """Where the permissions of a user in a tenant are."""
    return f"/v1/users/{user}/tenants/{tenant}/permissions"


@pytest.mark.parametrize(
    ("user", "in_strict", "in_mirror"),
    [
        (ANN, BOTH, BOTH),
        (f"usr_{ANN.upper()}", BOTH, BOTH),
        ("{" + ANN + "}", BOTH, BOTH),
        (f"%7B{ANN}%7D", BOTH, BOTH),
        (EVE, NONE, NONE),
        (NOBODY, NONE, NONE),
        (SUE, NONE, BOTH),
        (GUS, NONE, BOTH),
    ],
)
def test_all_that_a_user_holds(
    strict: str, mirror: str, user: str, in_strict: bytes, in_mirror: bytes
) -> None:
    """Keys come sorted and once each, with the revision they were read at."""
    for base_url, expected in ((strict, in_strict), (mirror, in_mirror)):
        reply = request(base_url, path(user), key=ACME_KEY)

        assert (reply.status, reply.body) == (200, expected)
        assert reply.header("X-Qeetid-Revision")
        assert reply.header("X-Qeetid-Age")


@pytest.mark.parametrize(
    ("target", "key", "status", "expected", "detail"),
    [
        (path("x", "x"), None, 401, UNAUTHORIZED, None),
        (path("x", "x"), ACME_KEY, 400, BAD_REQUEST, "invalid tenantID"),
        (path("x"), OTHER_KEY, 403, FORBIDDEN, "tenant mismatch"),
        (path("x"), ACME_KEY, 400, BAD_REQUEST, "invalid userID"),
        (path("%FF"), ACME_KEY, 400, BAD_REQUEST, "invalid userID"),
    ],
)
def test_the_tenant_comes_first(  # noqa: PLR0917
    strict: str,
    target: str,
    key: str | None,
    status: int,
    expected: tuple[str, str],
    detail: str | None,
) -> None:
    """The tenant is judged before the user, the caller before both."""
    reply = request(strict, target, key=key, X_Request_Id="r")

    assert reply.status == status
    assert reply.body == error(*expected, detail, "r")


@pytest.mark.parametrize(
    "target", [path() + "/", path().replace(ANN, ""), path() + "/x", path()[:-1]]
)
def test_no_such_path(strict: str, target: str) -> None:
    """Paths that only look alike are unknown."""
    assert request(strict, target, key=ACME_KEY).status == 404
