"""An authorizer for tests: facts in memory, made and changed in a few words.

    authz = InMemoryAuthorizer()
    ann = authz.user("ann", "billing:write")
    client.get("/invoices", headers={"Authorization": authz.header_for(ann)})
    authz.revoke(ann, "billing:write")

Its answers are those of the engine that follows a database in production. Under pytest
the fixtures `qeetid_authz` and `qeetid_authz_async` are new ones for each test.
"""

from qeetid_authz.testing.authorizer import AsyncInMemoryAuthorizer, InMemoryAuthorizer

__all__ = ["AsyncInMemoryAuthorizer", "InMemoryAuthorizer"]
