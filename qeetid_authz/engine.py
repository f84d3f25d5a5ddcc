"""The engine: answers from the index that is current."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from qeetid_authz.decision import SENTENCES, Decision, Reason, decide
from qeetid_authz.document import Document, read_document, snapshot
from qeetid_authz.errors import NotOpenError, PermissionDenied
from qeetid_authz.explain import Explanation, explain
from qeetid_authz.ids import Id, format_id, parse_id
from qeetid_authz.model import Principal, Semantics
from qeetid_authz.published import Published
from qeetid_authz.revision import Revision


class Engine(Published):
    """Answers questions from the published index, from any thread.

    `can` reads one dict of principals that were asked about before, each seated at
    the answers of its `Grants`, which never change: so it needs no lock and can't see
    half of a change. Everything else, the first question about a principal included,
    takes the lock, and so sees exactly one revision.
    """

    @staticmethod
    def from_facts(
        document: Document | Mapping[str, Any],
        semantics: Semantics | str = Semantics.STRICT,
    ) -> "Engine":
        """An engine over the facts of a declarative document; no I/O, no ageing.

        Raises:
            DocumentError: the document breaks its rules.
        """
        engine = Engine(semantics)
        engine.publish(snapshot(read_document(document)), 0.0)
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer nothing any more. Closing twice is harmless."""
        self.shut(NotOpenError("this authorizer is closed; open another"))

    def can(self, principal: Principal, key: str) -> bool:
        """Whether a principal holds a permission; unknown ids are denied.

        Raises:
            TypeError: `principal` is no Principal, or `key` no string.
            NotOpenError: the authorizer isn't open.
        """
        try:
            return self._seats[principal.key][key]
        except (KeyError, AttributeError, TypeError):
            return self._seat_and_ask(principal, key)

    def _seat_and_ask(self, principal: Principal, key: str) -> bool:
        _require_question(principal, key)
        with self._lock:
            index = self._require_index()
            if self.is_stale:
                return False
            grants = index.grants(principal.tenant, principal.subject)
            if grants is None:
                return False
            self._seats[principal.key] = grants.answers
            return grants.allows(key)

    def check(self, principal: Principal, key: str) -> Decision:
        """The decision, with its reason, revision and age.

        Raises:
            TypeError: `principal` is no Principal, or `key` no string.
            NotOpenError: the authorizer isn't open.
        """
        _require_question(principal, key)
        with self._lock:
            return self._decide(principal, key)

    def check_many(self, questions: Iterable[tuple[Principal, str]]) -> list[Decision]:
        """The decisions on several questions, in order, all at one revision.

        Raises:
            TypeError: a question isn't a Principal and a string.
            NotOpenError: the authorizer isn't open.
        """
        asked = list(questions)
        for principal, key in asked:
            _require_question(principal, key)
        with self._lock:
            return [self._decide(*question) for question in asked]

    def can_many(
        self, tenant: Id, questions: Iterable[tuple[Id, str]]
    ) -> tuple[list[bool], Revision, float]:
        """Whether users of one tenant hold permissions, in order, at one revision.

        What `check_many` says, without its reasons, for the sake of speed.

        Args:
            tenant: whose.
            questions: user ids, sixteen bytes each, with permission keys.

        Returns:
            The answers, their revision and its age in seconds.

        Raises:
            NotOpenError: the authorizer isn't open.
        """
        asked = list(questions)
        with self._lock:
            index = self._require_index()
            revision, age = self._revision, self.age
            if self.is_stale:
                return [False for _ in asked], revision, age
            grants = index.grants
            held = ((grants(tenant, user), key) for user, key in asked)
            answers = [each is not None and each.allows(key) for each, key in held]
            return answers, revision, age

    def _decide(self, principal: Principal, key: str) -> Decision:
        index = self._require_index()
        reason = Reason.STALE if self.is_stale else decide(index, principal, key)
        return Decision(reason is Reason.GRANTED, reason, self._revision, self.age)

    def require(self, principal: Principal, key: str) -> None:
        """Return when the principal holds the permission.

        Raises:
            PermissionDenied: it doesn't; the error carries the decision.
            TypeError: `principal` is no Principal, or `key` no string.
            NotOpenError: the authorizer isn't open.
        """
        decision = self.check(principal, key)
        if not decision:
            raise PermissionDenied(
                f"{principal.kind} `{principal.id}` may not `{key}` in tenant"
                f" `{principal.tenant_id}`: {SENTENCES[decision.reason]}",
                decision,
            )

    def explain(self, principal: Principal, key: str) -> Explanation:
        """The decision with every grant path, or with what would be enough.

        Raises:
            TypeError: `principal` is no Principal, or `key` no string.
            NotOpenError: the authorizer isn't open.
        """
        _require_question(principal, key)
        with self._lock:
            index = self._require_index()
            revision, age = self._revision, self.age
            if self.is_stale:
                return Explanation(False, key, (), Reason.STALE, (), revision, age)
            return explain(index, principal, key, revision, age)

    def effective_permissions(self, principal: Principal) -> list[str]:
        """All keys that the principal holds, sorted; none when it may not act.

        Raises:
            TypeError: `principal` is no Principal.
            NotOpenError: the authorizer isn't open.
        """
        keys, _, _ = self.holdings(principal)
        return keys

    def holdings(self, principal: Principal) -> tuple[list[str], Revision, float]:
        """The same with its revision, and the age of that in seconds."""
        _require_question(principal, "")
        with self._lock:
            index = self._require_index()
            revision, age = self._revision, self.age
            grants = index.grants(principal.tenant, principal.subject)
            if grants is None or self.is_stale:
                return [], revision, age
            return index.vocabulary.keys(grants.mask), revision, age

    def who_can(self, tenant_id: str, key: str) -> Iterator[str]:
        """The ids of all users who hold a permission in a tenant, ascending.

        All of them are of one revision, that of the call, however long the caller
        takes to read on.

        Raises:
            TypeError: `tenant_id` or `key` is no string.
            ValueError: `tenant_id` is no UUID.
            NotOpenError: the authorizer isn't open.
        """
        tenant = parse_id(tenant_id)
        _require_key(key)
        with self._lock:
            index = self._require_index()
            entry = index.tenants.get(tenant)
            if entry is None or self.is_stale or not index.is_open(entry):
                return iter(())
            holders = set(index.holders(tenant, key))
            users = [user for user, held in entry.rows.items() if held in holders]
        users.sort()
        return map(format_id, users)


def _require_question(principal: Principal, key: str) -> None:
    if not isinstance(principal, Principal):
        raise TypeError(
            f"`{principal!r}` is no principal; make one with"
            " `Principal.user(user_id, tenant_id)`"
        )
    _require_key(key)


def _require_key(key: str) -> None:
    if not isinstance(key, str):
        raise TypeError(f"a permission key must be a string, not `{key!r}`")
