"""What goes out as JSON, byte for byte as Qeet ID's server writes it."""

from typing import Any

import msgspec

from qeetid_authz.decision import SENTENCES, Reason
from qeetid_authz.explain import Explanation, GrantPath, Missing
from qeetid_authz.model import Semantics

# Go's encoder keeps JSON safe inside HTML and JavaScript; these stand in strings only.
_ESCAPES = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def encode(value: Any) -> bytes:
    """A JSON body: escaped as Go does, with a newline at its end (fact 1.4)."""
    text = msgspec.json.encode(value)
    for char, escape in _ESCAPES:
        text = text.replace(char, escape)
    return text + b"\n"


ALLOWED = encode({"allowed": True})
DENIED = encode({"allowed": False})


def explanation_body(explanation: Explanation, semantics: Semantics) -> dict[str, Any]:
    """Qeet ID's members in its order (fact 1.4), then ours.

    Ours are `code`, the reason from the closed set; `missing`, on a `no_grant`, what
    would be enough; `revision`, and `age_s`, its age in seconds.
    """
    body: dict[str, Any] = {
        "allowed": explanation.allowed,
        "paths": [_step(path) for path in explanation.paths],
    }
    if not explanation.allowed:
        body["reason"] = sentence(explanation.reason, semantics)
    body["code"] = explanation.reason
    if explanation.reason is Reason.NO_GRANT:
        body["missing"] = [_missing(role) for role in explanation.missing]
    body["revision"] = str(explanation.revision)
    body["age_s"] = round(explanation.age, 3)
    return body


def _step(path: GrantPath) -> dict[str, str]:
    step = {
        "permission": path.permission,
        "granted_by": path.granted_by,
        "via": path.via,
    }
    if path.group_id is not None:
        step["group_id"] = path.group_id
    step["role_id"] = path.role_id
    return step


def sentence(reason: Reason, semantics: Semantics) -> str:
    """A denial in words; under mirror the one sentence that the hosted server knows."""
    return SENTENCES[Reason.NO_GRANT if semantics is Semantics.MIRROR else reason]


def _missing(role: Missing) -> dict[str, Any]:
    groups = [{"group": each.group, "group_id": each.group_id} for each in role.groups]
    return {"role": role.role, "role_id": role.role_id, "groups": groups}
