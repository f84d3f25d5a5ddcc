"""What goes out as JSON, byte for byte as Qeet ID's server writes it."""

from collections.abc import Iterable
from typing import Any

import msgspec

from qeetid_authz.decision.explain import Explanation, GrantPath, Missing
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.model import IpRule, Semantics

_HELPED_BY_ROLES = frozenset({Reason.NO_GRANT, Reason.ACTOR_LACKS})

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

    Ours are `code`, the reason from the closed set; `actor_paths`, those of who acts
    on the subject's behalf; `missing`, on a `no_grant` or an `actor_lacks`, what would
    be enough; `ip_rule`, on an `ip_denied`, the rule that denies the address, null if
    none lets it in; `revision`, and `age_s`, its age in seconds.
    """
    reason = explanation.reason
    body: dict[str, Any] = {
        "allowed": explanation.allowed,
        "paths": steps(explanation.paths),
    }
    if not explanation.allowed:
        body["reason"] = sentence(reason, semantics)
    body["code"] = reason
    if explanation.actor_paths:
        body["actor_paths"] = steps(explanation.actor_paths)
    if reason in _HELPED_BY_ROLES:
        body["missing"] = [_missing(role) for role in explanation.missing]
    if reason is Reason.IP_DENIED:
        body["ip_rule"] = ip_rule_body(explanation.ip_rule)
    body["revision"] = str(explanation.revision)
    body["age_s"] = round(explanation.age, 3)
    return body


def steps(paths: Iterable[GrantPath]) -> list[dict[str, str]]:
    """Grant paths as Qeet ID writes them (fact 1.4); that of a scope has no role."""
    return [_step(path) for path in paths]


def _step(path: GrantPath) -> dict[str, str]:
    step = {
        "permission": path.permission,
        "granted_by": path.granted_by,
        "via": path.via,
    }
    if path.group_id is not None:
        step["group_id"] = path.group_id
    if path.role_id is not None:
        step["role_id"] = path.role_id
    return step


def sentence(reason: Reason, semantics: Semantics) -> str:
    """A denial in words; under mirror the one sentence that the hosted server knows."""
    return SENTENCES[Reason.NO_GRANT if semantics is Semantics.MIRROR else reason]


def ip_rule_body(rule: IpRule | None) -> dict[str, str] | None:
    """The rule that denies an address, if it is one and not the lack of any."""
    if rule is None:
        return None
    return {"cidr": rule.cidr, "action": rule.action, "label": rule.label}


def _missing(role: Missing) -> dict[str, Any]:
    groups = [{"group": each.group, "group_id": each.group_id} for each in role.groups]
    return {"role": role.role, "role_id": role.role_id, "groups": groups}
