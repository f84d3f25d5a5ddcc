"""Qeet ID authorization decisions, in process: current, explained, in nanoseconds.

    with Authorizer.open(dsn) as authz:
        if authz.can(Principal.user(user_id, tenant_id), "billing:write"):
            ...

`Authorizer` and `AsyncAuthorizer` are imported when first used, and a database driver
when one is opened.
"""

from typing import TYPE_CHECKING, Any

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.explain import Explanation, GrantPath, Missing
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.engine.defaults import can, check, configure, explain, require
from qeetid_authz.engine.engine import Engine
from qeetid_authz.errors import (
    AuthenticationError,
    AuthzError,
    DatabaseError,
    DocumentError,
    NotOpenError,
    PermissionDenied,
    UnavailableError,
)
from qeetid_authz.model import Semantics
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision

if TYPE_CHECKING:
    from qeetid_authz.authorizer import AsyncAuthorizer, Authorizer

__all__ = [
    "AsyncAuthorizer",
    "AuthenticationError",
    "Authorizer",
    "AuthzError",
    "DatabaseError",
    "Decision",
    "DocumentError",
    "Engine",
    "Explanation",
    "GrantPath",
    "Kind",
    "Missing",
    "NotOpenError",
    "PermissionDenied",
    "Principal",
    "Reason",
    "Revision",
    "Semantics",
    "UnavailableError",
    "can",
    "check",
    "configure",
    "explain",
    "require",
]


def __getattr__(name: str) -> Any:
    if name in ("AsyncAuthorizer", "Authorizer"):
        from qeetid_authz import authorizer  # noqa: PLC0415  (imports asyncio)

        return getattr(authorizer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
