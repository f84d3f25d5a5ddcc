"""Every question about somebody, as a test asks a client."""

from collections.abc import Callable
from typing import Any

from qeetid_authz import Principal
from tests.server.town import ACME, ANN, KEY

ann = Principal.user(ANN, ACME)
narrow = Principal.user(ANN, ACME, limit=[KEY])

QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "can": lambda client: client.can(ann, KEY),
    "can, with a limit": lambda client: client.can(narrow, KEY),
    "check": lambda client: client.check(ann, KEY),
    "check many": lambda client: client.check_many([(ann, KEY), (narrow, KEY)]),
    "require": lambda client: client.require(ann, KEY),
    "explain": lambda client: client.explain(ann, KEY),
    "permissions": lambda client: client.effective_permissions(ann),
    "who can": lambda client: list(client.who_can(ACME, KEY)),
}
