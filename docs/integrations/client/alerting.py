"""What becomes of questions while the sidecar can't be asked."""

import os

from qeetid_authz import Principal, SidecarClient
from qeetid_authz.errors import SidecarRefusedError, SidecarUnavailableError, StaleError

mara = Principal.user(
    "c21c6505-57ed-5bb4-aca1-6fa31b6a04e7", "84e3a337-c37a-5a13-8614-5ad2cd1d59ca"
)

try:
    authz = SidecarClient.open(
        os.environ["SIDECAR"], api_key=os.environ["KEY"], raises_stale=True
    )
except SidecarUnavailableError as error:
    raise SystemExit(f"not now ({error.cause}): {error}") from None
except SidecarRefusedError as error:
    raise SystemExit(f"never so ({error.problem}): {error}") from None

with authz:
    try:
        print(authz.can(mara, "billing:write"))
    except StaleError as error:
        print("can't tell:", error)
