"""One application, with its authorizer in process or as a sidecar."""

import os

from qeetid_authz import Authorizer, PermissionDenied, Principal, SidecarClient

mara = Principal.user(
    "c21c6505-57ed-5bb4-aca1-6fa31b6a04e7",  # the user
    "84e3a337-c37a-5a13-8614-5ad2cd1d59ca",  # the tenant it acts in
)

if "SIDECAR" in os.environ:
    opened = SidecarClient.open(os.environ["SIDECAR"], api_key=os.environ["KEY"])
else:
    opened = Authorizer.open(os.environ["DATABASE_URL"])

with opened as authz:
    print(authz.can(mara, "billing:write"))
    print(authz.check(mara, "billing:fly").reason)
    for path in authz.explain(mara, "billing:write").paths:
        print(path.granted_by, path.via)
    print(authz.effective_permissions(mara))
    print(list(authz.who_can(mara.tenant_id, "billing:write")))
    narrow = Principal.user(mara.id, mara.tenant_id, limit=["billing:read"])
    try:
        authz.require(narrow, "billing:write")
    except PermissionDenied as denied:
        print(denied)
