"""Requests as AuthZEN writes them (Authorization API 1.0, sections 5 to 8).

Members that aren't known here are ignored. Optional ones that are null were left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from qeetid_authz.index.iprules import parse_address

Properties: TypeAlias = dict[str, Any] | None


class Subject(msgspec.Struct, frozen=True):
    """Who would do it."""

    type: str
    id: str
    properties: Properties = None


class Action(msgspec.Struct, frozen=True):
    """What would be done."""

    name: str
    properties: Properties = None


class Resource(msgspec.Struct, frozen=True):
    """To what."""

    type: str
    id: str
    properties: Properties = None


class Sort(msgspec.Struct, frozen=True):
    """A subject or a resource to be found: its `id`, if it has one, is ignored."""

    type: str
    properties: Properties = None


@dataclass(frozen=True, slots=True)
class Context:
    """What of a request's `context` counts here.

    Attributes:
        explains: whether grant paths are asked for, by `"explain": true`.
        client_ip: the address that the subject acts from.
    """

    explains: bool = False
    client_ip: str | None = None


NO_CONTEXT: Final = Context()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One question."""

    subject: Subject
    action: Action
    resource: Resource
    context: Context = NO_CONTEXT


class Semantic(StrEnum):
    """How many of several questions are answered."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


@dataclass(frozen=True, slots=True)
class Failure:
    """A question among others that can't be answered.

    Attributes:
        status: what a request with it alone would be answered with.
        message: what is wrong.
    """

    status: int
    message: str


Item: TypeAlias = Evaluation | Failure


@dataclass(frozen=True, slots=True)
class Batch:
    """Several questions.

    Attributes:
        items: they, in order, each read or refused.
        semantic: how many of them are answered.
    """

    items: list[Item]
    semantic: Semantic


_LARGEST: Final = 2**53 - 1  # beyond which numbers of JSON aren't whole any more


class Page(msgspec.Struct, frozen=True):
    """The part of the results that is asked for."""

    token: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)] | None = None
    properties: Properties = None


Members: TypeAlias = Mapping[str, Any]
Entity = TypeVar("Entity", Subject, Action, Resource, Sort)


def read_evaluation(members: Members) -> Evaluation:
    """One question.

    Raises:
        ValueError: something is missing, or not of its type.
    """
    return Evaluation(
        read_entity(members, "subject", Subject),
        read_entity(members, "action", Action),
        read_entity(members, "resource", Resource),
        read_context(members),
    )


def read_questions(members: Members, limit: int) -> Batch | Evaluation:
    """Several questions, or one where there are none in the list.

    What is wrong with one of several fails that one; what they have in common must be
    right.

    Args:
        members: of the request.
        limit: how many questions there may be.

    Raises:
        ValueError: something isn't of its type, the semantic unknown, or they are too
            many.
    """
    semantic = _semantic(members)
    given = _converted(members.get("evaluations"), list[Any] | None, "evaluations")
    if not given:
        return read_evaluation(members)
    if len(given) > limit:
        raise ValueError(f"{len(given)} evaluations; at most {limit} are taken")
    return Batch(_Items(members).read(given), semantic)


class _Items:
    """Reads questions over what they have in common, which it reads once."""

    def __init__(self, common: Members) -> None:
        self._subject = _optional(common, "subject", Subject)
        self._action = _optional(common, "action", Action)
        self._resource = _optional(common, "resource", Resource)
        self._context = read_context(common)

    def read(self, given: list[Any]) -> list[Item]:
        return [self._read_one(f"evaluations[{at}]", it) for at, it in enumerate(given)]

    def _read_one(self, place: str, given: Any) -> Item:
        if not isinstance(given, dict):
            return Failure(400, f"{place} is no object")
        try:
            return Evaluation(
                _own_or_common(given, "subject", Subject, self._subject),
                _own_or_common(given, "action", Action, self._action),
                _own_or_common(given, "resource", Resource, self._resource),
                self._context if given.get("context") is None else read_context(given),
            )
        except ValueError as error:
            return Failure(400, f"{place}: {error}")


def _semantic(members: Members) -> Semantic:
    options = _converted(members.get("options"), Properties, "options") or {}
    given = options.get("evaluations_semantic")
    if given is None:
        return Semantic.EXECUTE_ALL
    if given not in list(Semantic):
        raise ValueError(
            "options.evaluations_semantic is none of " + ", ".join(Semantic)
        )
    return Semantic(given)


def read_entity(members: Members, name: str, kind: type[Entity]) -> Entity:
    """A member that must be there.

    Raises:
        ValueError: it isn't, or not as it must be.
    """
    if name not in members:
        raise ValueError(f"{name} is missing")
    entity: Entity = _converted(members[name], kind, name)
    return entity


def read_context(members: Members) -> Context:
    """What of a context counts.

    Raises:
        ValueError: it is no object, or `client_ip` no address.
    """
    given = members.get("context")
    if given is None:
        return NO_CONTEXT
    known = _converted(given, dict[str, Any], "context")
    address = known.get("client_ip")
    if "client_ip" in known:
        try:
            parse_address(address)
        except (TypeError, ValueError):
            raise ValueError("context.client_ip is no IP address") from None
    return Context(known.get("explain") is True, address)


def read_page(members: Members) -> Page | None:
    """Which part of the results is asked for, or None where none is named.

    Raises:
        ValueError: something isn't of its type.
    """
    page: Page | None = _converted(members.get("page"), Page | None, "page")
    return page


def _optional(members: Members, name: str, kind: type[Entity]) -> Entity | None:
    return read_entity(members, name, kind) if name in members else None


def _own_or_common(
    members: Members, name: str, kind: type[Entity], common: Entity | None
) -> Entity:
    if common is None or name in members:
        return read_entity(members, name, kind)
    return common


def _converted(value: Any, kind: Any, name: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from None
