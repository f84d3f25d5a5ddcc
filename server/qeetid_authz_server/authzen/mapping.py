"""Actions on resources as permission keys, and back.

resource.type is `permission`    action.name, verbatim (Qeet ID fact 9)
any other                        by a pattern such as `{type}:{action}`
and of instances, if they count  `{type}:{id}:{action}`
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

PERMISSION: Final = "permission"
"""The type of resource whose actions are permission keys."""

DEFAULT_PATTERN: Final = "{type}:{action}"

_PATTERN = re.compile(
    r"(?P<before>[^{}]*)\{(?P<first>type|action)\}(?P<between>[^{}]+)"
    r"\{(?P<second>type|action)\}(?P<after>[^{}]*)"
)
_PART: Final = ":"


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """How type and action make a key.

    Attributes:
        before: what comes first.
        between: what parts the two.
        after: what comes last.
        is_type_first: whether the type comes before the action.
    """

    before: str
    between: str
    after: str
    is_type_first: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one such as `{type}:{action}`.

        Raises:
            ValueError: it hasn't each of the two once, with something between them,
                or has another placeholder or something unprintable.
        """
        found = _PATTERN.fullmatch(text)
        if found is None or found["first"] == found["second"] or not text.isprintable():
            raise ValueError(
                "must have `{type}` and `{action}` once each, something printable"
                f" between them, and no other braces, as `{DEFAULT_PATTERN}` has"
            )
        is_type_first = found["first"] == "type"
        return cls(found["before"], found["between"], found["after"], is_type_first)

    def key(self, type_: str, action: str) -> str:
        """The key of an action on a type of resource."""
        start, end = self._frame(type_)
        return start + action + end

    def action(self, type_: str, key: str) -> str | None:
        """The action on a type of resource that a key stands for, or None."""
        return _within(key, *self._frame(type_))

    @property
    def is_of_instances(self) -> bool:
        """Whether its keys, of plain types and actions, have the form of instances'."""
        return _names_instance(self.before + self.between + self.after)

    def _frame(self, type_: str) -> tuple[str, str]:
        if self.is_type_first:
            return self.before + type_ + self.between, self.after
        return self.before, self.between + type_ + self.after


@dataclass(frozen=True, slots=True)
class KeyMapping:
    """Which permission keys let one do something to a resource.

    Where permissions of instances count, a key of three parts is that of one instance
    and of no action on a whole type, so that neither is taken for the other; types, ids
    and actions that have a colon themselves make none.

    Attributes:
        pattern: of keys for a whole type.
        has_instances: whether permissions of single instances count as well.
    """

    pattern: KeyPattern
    has_instances: bool = False

    def keys(self, action: str, type_: str, id_: str) -> tuple[str, ...]:
        """The keys of which any is enough."""
        if type_ == PERMISSION:
            return (action,)
        of_all = self.pattern.key(type_, action)
        if not self.has_instances:
            return (of_all,)
        of_one = _PART.join((type_, id_, action))
        keys = () if _names_instance(of_all) else (of_all,)
        return (*keys, of_one) if _names_instance(of_one) else keys

    def actions(self, type_: str, id_: str, held: Iterable[str]) -> list[str]:
        """What keys allow to do to a resource, sorted."""
        if type_ == PERMISSION:
            return sorted(set(held))
        found = (self._action(type_, id_, key) for key in held)
        return sorted({action for action in found if action is not None})

    def ids(self, type_: str, known: Iterable[str]) -> set[str]:
        """The instances of a type that keys name."""
        named = (key.split(_PART) for key in known if _names_instance(key))
        return {id_ for of, id_, _ in named if of == type_ != PERMISSION}

    def _action(self, type_: str, id_: str, key: str) -> str | None:
        if self.has_instances and _names_instance(key):
            *named, action = key.split(_PART)
            return action if named == [type_, id_] else None
        return self.pattern.action(type_, key)


def _names_instance(key: str) -> bool:
    return key.count(_PART) == 2  # noqa: PLR2004  (between type, id and action)


def _within(text: str, start: str, end: str) -> str | None:
    """What is between the two, or None where they aren't there."""
    if (
        len(text) < len(start) + len(end)
        or not text.startswith(start)
        or not text.endswith(end)
    ):
        return None
    return text[len(start) : len(text) - len(end)]
