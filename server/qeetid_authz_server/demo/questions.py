"""What the demonstration asks, and what it must be told."""

from typing import NamedTuple

from qeetid_authz.principal import Kind

TENANT = "lumen-press"


class Question(NamedTuple):
    """May this user of `TENANT` do that?

    Attributes:
        user: the e-mail.
        permission: the key.
        allowed: the right answer.
        shows: what the question is there for.
    """

    user: str
    permission: str
    allowed: bool
    shows: str


QUESTIONS = (
    Question("mara@lumen.example", "billing:write", True, "a role of her own"),
    Question("tomas@lumen.example", "billing:write", True, "a role of a group"),
    Question("ines@lumen.example", "billing:write", False, "no role grants it"),
    Question("viktor@lumen.example", "manuscripts:publish", False, "a suspended user"),
    Question("sam@outside.example", "billing:write", False, "a role elsewhere only"),
)

MACHINES = (
    (Kind.SERVICE, "print-shop", ("orders:read",)),
    (Kind.AGENT, "bookkeeper", ("billing:read", "manuscripts:read")),
)
"""Who acts besides users: kind, name, and the scopes it is registered with."""
