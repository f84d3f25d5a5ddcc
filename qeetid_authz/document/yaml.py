"""YAML with the complaints that a document deserves; needs PyYAML."""

from collections.abc import Hashable
from typing import Any

from yaml import (
    CollectionEndEvent,
    CollectionStartEvent,
    CSafeLoader,
    MarkedYAMLError,
    YAMLError,
    parse,
)
from yaml import load as load_with
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode

from qeetid_authz.errors import DocumentError


class _Loader(CSafeLoader):
    """Refuses a mapping that says a key twice, which YAML calls an error."""

    def construct_mapping(
        self,
        node: MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002  (PyYAML's signature)
    ) -> dict[Hashable, Any]:
        seen = set()
        names = [key for key, _ in node.value if isinstance(key, ScalarNode)]
        for name in names:
            line = name.start_mark.line + 1
            if name.tag == "tag:yaml.org,2002:merge":
                # Merges of merges double with each line.
                raise DocumentError(
                    [f"`<<` in line {line} merges mappings; write them out instead"]
                )
            if name.value in seen:
                problem = f"key `{name.value}` stands twice, again in line {line}"
                raise DocumentError([f"{problem}; join them"])
            seen.add(name.value)
        return super().construct_mapping(node, deep)

    def construct_object(
        self,
        node: Node,
        deep: bool = False,  # noqa: FBT001, FBT002  (PyYAML's signature)
    ) -> Any:
        """Complain of a value that its tag or form doesn't allow, such as a date."""
        try:
            return super().construct_object(node, deep)
        except (AttributeError, LookupError, OverflowError, ValueError) as error:
            mark = node.start_mark
            raise ConstructorError(
                None, None, f"a value can't be read, quote it ({error})", mark
            ) from error


def load(text: str, *, deepest: int) -> Any:
    """Read plain data.

    Raises:
        DocumentError: it is malformed, with line and column, or says a key twice.
        RecursionError: it nests deeper than `deepest` levels.
    """
    try:
        _measure(text, deepest)
        return load_with(text, Loader=_Loader)  # noqa: S506  (a safe loader)
    except YAMLError as error:
        raise DocumentError([f"this is no YAML: {_complaint(error)}"]) from None


def _measure(text: str, deepest: int) -> None:
    """Count levels event by event: the C loader overruns its stack on deep ones."""
    depth = 0
    for event in parse(text, Loader=CSafeLoader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > deepest:
                raise RecursionError
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def _complaint(error: YAMLError) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{error.problem} at line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split())
