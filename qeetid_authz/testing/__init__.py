"""An authorizer for tests: facts in memory, made and changed in a few words.

    authz = InMemoryAuthorizer()
    ann = authz.user("ann", "billing:write")
    client.get("/invoices", headers={"Authorization": authz.header_for(ann)})
    authz.revoke(ann, "billing:write")

Its answers are those of the engine that follows a database in production. Under pytest
the fixtures `qeetid_authz` and `qeetid_authz_async` are new ones for each test.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qeetid_authz.testing.authorizer import (
        AsyncInMemoryAuthorizer,
        InMemoryAuthorizer,
    )

__all__ = ["AsyncInMemoryAuthorizer", "InMemoryAuthorizer"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        # When first used, as pytest imports this package for its plugin in every run.
        from qeetid_authz.testing import authorizer  # noqa: PLC0415

        return getattr(authorizer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
