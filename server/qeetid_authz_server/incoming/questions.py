"""The parts of a question as they come off the wire, and who may ask it."""

from qeetid_authz.ids import Id, parse_wire_id
from qeetid_authz.index.iprules import parse_address
from qeetid_authz.principal import Principal
from qeetid_authz_server.outgoing.problems import Code, Problem


def read_id(raw: bytes, name: str) -> Id:
    """A UUID in any spelling that Qeet ID takes.

    Raises:
        Problem: it is none; `name` says which.
    """
    id_ = parse_wire_id(raw)
    if id_ is None:
        raise Problem(Code.BAD_REQUEST, f"invalid {name}")
    return id_


def read_permission(raw: bytes) -> str:
    """A permission key, verbatim.

    Raises:
        Problem: it is missing or empty, or no text that a database can hold.
    """
    if not raw:
        raise Problem(Code.PERMISSION_REQUIRED)
    try:
        key = raw.decode()
    except UnicodeDecodeError:
        raise Problem(Code.BAD_REQUEST, "invalid permission") from None
    if "\0" in key:
        raise Problem(Code.BAD_REQUEST, "invalid permission")
    return key


def read_address(raw: bytes | None) -> str | None:
    """The address that a subject acts from; None where the caller doesn't say.

    Raises:
        Problem: it is no IP address.
    """
    if raw is None:
        return None
    try:
        text = raw.decode("ascii")
        parse_address(text)
    except ValueError:
        raise Problem(Code.BAD_REQUEST, "invalid client_ip") from None
    return text


def require_same_tenant(caller: Principal | None, tenant: Id) -> None:
    """Return when the caller may ask about a tenant (fact 1.3).

    Args:
        caller: who it is; None where callers aren't asked for one.
        tenant: the one the question is about.

    Raises:
        Problem: it is of another tenant.
    """
    if caller is not None and caller.tenant != tenant:
        raise Problem(Code.FORBIDDEN, "tenant mismatch")
