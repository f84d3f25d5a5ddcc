"""Subjects as AuthZEN names them, and the principals that they are."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.errors import DatabaseError, OverloadedError
from qeetid_authz.ids import Id, format_id, parse_id, parse_wire_id
from qeetid_authz.postgres.names import Names
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.authzen.messages import Subject
from qeetid_authz_server.incoming.subjects import Subjects
from qeetid_authz_server.outgoing.problems import Code, Problem

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stranger:
    """A subject that nobody is.

    Attributes:
        code: why nobody is it.
        sentence: the same in words.
    """

    code: str
    sentence: str


Known: TypeAlias = Principal | Stranger

UNKNOWN_TYPE: Final = Stranger(
    "unknown_subject_type",
    "no subject is of this type; there are user, api_key, service and agent",
)
_UNKNOWN = MappingProxyType(
    {
        Kind.USER: Reason.UNKNOWN_USER,
        Kind.API_KEY: Reason.CREDENTIAL_REVOKED,
        Kind.SERVICE: Reason.SERVICE_INACTIVE,
        Kind.AGENT: Reason.AGENT_INACTIVE,
    }
)
_STRANGERS = MappingProxyType(
    {kind: Stranger(reason, SENTENCES[reason]) for kind, reason in _UNKNOWN.items()}
)
KINDS = MappingProxyType({str(kind): kind for kind in Kind})
"""The kinds of principals by the type of subject that they are called."""


class People:
    """Tells who is meant, and how others may call those who are known."""

    def __init__(self, engine: AsyncAuthorizer, names: Names) -> None:
        self._engine = engine
        self._names = names
        self._subjects = Subjects(names)
        self._failure = ""

    def at_hand(self, tenant: Id, subject: Subject) -> Known | None:
        """Who a subject of a tenant is, or None where that must be looked up.

        A machine's id isn't a user's here: each subject has one type.
        """
        kind = KINDS.get(subject.type)
        if kind is None:
            return UNKNOWN_TYPE
        id_ = parse_wire_id(subject.id.encode())
        if id_ is None:
            is_name = kind is Kind.USER and "@" in subject.id
            return None if is_name else _STRANGERS[kind]
        if kind is Kind.USER and self._engine.kind_of(id_) is not kind:
            return _STRANGERS[kind]
        return Principal.of(kind, id_, tenant)

    async def find(self, tenant: Id, subject: Subject) -> Known:
        """Who a subject of a tenant is.

        Raises:
            Problem: its e-mail can't be looked up.
        """
        known = self.at_hand(tenant, subject)
        if known is None:
            return (await self.find_named(tenant, [subject.id]))[subject.id]
        return known

    async def find_named(self, tenant: Id, emails: Iterable[str]) -> dict[str, Known]:
        """Which users of a tenant have such e-mails.

        Who has neither a role nor a group in the tenant may nothing there, and is as
        unknown as who doesn't exist: nobody learns who else uses Qeet ID.

        Raises:
            Problem: they can't be looked up.
        """
        given = list(emails)
        found = await self._looked_up(given)
        return {email: self._user(tenant, found.get(email)) for email in given}

    def _user(self, tenant: Id, id_: Id | None) -> Known:
        if id_ is None or not self._engine.belongs(tenant, id_):
            return _STRANGERS[Kind.USER]
        return Principal.of(Kind.USER, id_, tenant)

    async def emails(self, users: list[str]) -> dict[str, str]:
        """The e-mails by which users are found, by their canonical ids.

        Those are left out whose e-mail is unknown, or that of somebody else by now.

        Raises:
            Problem: they can't be looked up.
        """
        try:
            told = await self._names.emails([parse_id(user) for user in users])
            meant = await self._names.users(list(told.values()))
        except (DatabaseError, OverloadedError) as error:
            raise self._problem(error) from None
        self._failure = ""
        return {
            format_id(id_): email
            for id_, email in told.items()
            if meant.get(email) == id_
        }

    async def _looked_up(self, emails: list[str]) -> dict[str, Id]:
        try:
            found = await self._subjects.find(emails)
        except (DatabaseError, OverloadedError) as error:
            raise self._problem(error) from None
        self._failure = ""
        return found

    def _problem(self, error: DatabaseError | OverloadedError) -> Problem:
        """The refusal, and a word to the log for as long as it stays the same."""
        if self._failure != error.code:
            extra = {"cause": error.code, "error": str(error)}
            _log.warning("lookup_failed", extra=extra)
        self._failure = error.code
        return Problem(Code.UNAVAILABLE, "e-mails can't be looked up now")
