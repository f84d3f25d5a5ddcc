"""Qeet ID authorization decisions, in process: current, explained, in nanoseconds.

    with Authorizer.open(dsn) as authz:
        if authz.can(Principal.user(user_id, tenant_id), "billing:write"):
            ...

`Authorizer`, `AsyncAuthorizer`, `SidecarClient` and `AsyncSidecarClient` are imported
when first used, and a database driver when an authorizer is opened.
"""

from importlib import import_module
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
    from qeetid_authz.sidecar.asyncclient import AsyncSidecarClient
    from qeetid_authz.sidecar.client import SidecarClient

__all__ = [
    "AsyncAuthorizer",
    "AsyncSidecarClient",
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
    "SidecarClient",
    "UnavailableError",
    "can",
    "check",
    "configure",
    "explain",
    "require",
]


_LAZY = {
    "AsyncAuthorizer": "qeetid_authz.authorizer",
    "AsyncSidecarClient": "qeetid_authz.sidecar.asyncclient",
    "Authorizer": "qeetid_authz.authorizer",
    "SidecarClient": "qeetid_authz.sidecar.client",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_LAZY[name]), name)  # most import asyncio
    except ModuleNotFoundError as error:
        if error.name != "httptools":
            raise
        raise ImportError(
            "asking a sidecar needs more; `pip install 'qeetid-authz[client]'`"
        ) from error
