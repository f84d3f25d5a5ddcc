"""The engine: answers from the index that is current."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Self

from qeetid_authz.decision.account import Account, account
from qeetid_authz.decision.authority import deadline, effective, grounds
from qeetid_authz.decision.decision import (
    Decision,
    Question,
    decide,
    ip_verdict,
    refusal,
)
from qeetid_authz.decision.explain import Explanation, explain
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.engine.published import CREDENTIAL_MARGIN
from qeetid_authz.engine.roster import Roster, require_key, require_question
from qeetid_authz.errors import NotOpenError, PermissionDenied
from qeetid_authz.ids import Id, format_id, parse_id
from qeetid_authz.index.holders import Holders
from qeetid_authz.index.iprules import parse_address
from qeetid_authz.index.permissions import Grants
from qeetid_authz.model import Semantics
from qeetid_authz.principal import Kind, Principal
from qeetid_authz.revision import Revision, RevisionToken

if TYPE_CHECKING:
    from qeetid_authz.document import Document


class Engine(Roster):
    """Answers questions from the published index, from any thread.

    `can` reads one dict of principals that were asked about before, each seated at
    the answers of its `Grants`, which never change: so it needs no lock and can't see
    half of a change; so does `check` with reasons, and makes sure that the revision is
    still the same after. Everything else, the first question about a principal
    included, takes the lock, and so sees exactly one revision.
    """

    @staticmethod
    def from_facts(
        document: "Document | Mapping[str, Any]",
        semantics: Semantics | str = Semantics.STRICT,
    ) -> "Engine":
        """An engine over the facts of a declarative document; no I/O, no ageing.

        It has no clock: neither its facts grow old, nor do credentials end.

        Raises:
            DocumentError: the document breaks its rules.
        """
        # Most who follow a database never read one, and it takes long to import.
        from qeetid_authz.document import read_document, snapshot  # noqa: PLC0415

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

    def can(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> bool:
        """Whether a principal holds a permission; unknown ids are denied.

        Args:
            principal: who.
            key: the permission.
            ip: the address that the principal acts from, for the tenant's IP rules.
            at_least: the revision token of a transaction whose writes the answer must
                take into account.

        Raises:
            TypeError: `principal` is no Principal, or `key`, `ip` or `at_least` no
                string.
            ValueError: `ip` is no IP address, or `at_least` no revision token.
            NotOpenError: the authorizer isn't open.
            StaleError: it is stale, and was told to raise then.
            RevisionUnseenError: that transaction hasn't arrived; an `Authorizer` waits
                for it first, for a while.
            RevisionForeignError: it is of another life of the database.
        """
        if ip is not None or at_least is not None:
            return self.check(principal, key, ip, at_least).allowed
        try:
            return self._answers[principal.key][key]
        except (KeyError, AttributeError, TypeError):
            return self._seat_and_ask(principal, key)

    def _reach(self, at_least: str | None) -> None:
        """Return when answers rest on a transaction, if one is named.

        Raises:
            TypeError, ValueError: what is given is no revision token.
            RevisionError: the transaction isn't known to have arrived.
        """
        if at_least is not None:
            self.require_seen(RevisionToken.parse(at_least))

    def _seat_and_ask(self, principal: Principal, key: str) -> bool:
        require_question(principal, key)
        with self._lock:
            self._require_index()
            return not self._must_refuse() and self._ask(principal, key)

    def _ask(self, principal: Principal, key: str) -> bool:
        grants = self._seats.kept(principal.key) or self._seat(principal)
        return grants is not None and grants.allows(key)

    def _seat(self, principal: Principal) -> Grants | None:
        """What a principal may do now, from where it is seated at the answers."""
        index, key = self._require_index(), principal.key
        if (
            not principal.is_bounded
            and index.identities.kind(principal.subject) is Kind.USER
        ):
            grants = index.grants(principal.tenant, principal.subject)
            if grants is not None:
                self._seats.take(key, grants)
            return grants
        now = self._wall_clock()
        grants = effective(index, principal, now)
        if grants is None:
            return None
        ends = deadline(index, principal)
        if ends is None or ends - now > 2 * CREDENTIAL_MARGIN:
            rests_on = grounds(index, principal)
            self._seats.take_bounded(key, grants, rests_on, ends)
        return grants

    def check(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Decision:
        """The decision, with its reason, revision and age; as `can`."""
        if ip is None and at_least is None:
            decisions = self._decisions
            try:
                decision = decisions[self._reasons[principal.key][key]]
            except (KeyError, AttributeError, TypeError):
                return self._seat_and_check(principal, key)
            if self._clock() <= self._stale_from and self._decisions is decisions:
                return decision
        question = self._question(principal, key, ip)
        self._reach(at_least)
        with self._lock:
            return self._decide(question, self._must_refuse())

    def _seat_and_check(self, principal: Principal, key: str) -> Decision:
        require_question(principal, key)
        with self._lock:
            index = self._require_index()
            if self._must_refuse():
                return self._decision(Reason.STALE)
            grants = self._seats.kept(principal.key) or self._seat(principal)
            reason = Reason.GRANTED
            if grants is None or not grants.allows(key):
                reason = refusal(index, Question(principal, key, self._wall_clock()))
            # Keys that are made up would fill the memory.
            if grants is not None and index.vocabulary.position(key) is not None:
                self._seats.note(principal.key, grants, key, reason)
            return self._decision(reason)

    def check_many(
        self,
        questions: Iterable[tuple[Principal, str]],
        ip: str | None = None,
        at_least: str | None = None,
    ) -> list[Decision]:
        """The decisions on several questions, in order, all at one revision; as `can`.

        Raises:
            TypeError: a question isn't a Principal and a string.
        """
        asked = [self._question(principal, key, ip) for principal, key in questions]
        self._reach(at_least)
        with self._lock:
            is_refused = self._must_refuse()  # once: no batch grows stale half way
            return [self._decide(question, is_refused) for question in asked]

    def _question(self, principal: Principal, key: str, ip: str | None) -> Question:
        require_question(principal, key)
        address = None if ip is None else parse_address(ip)
        return Question(principal, key, self._wall_clock(), address)

    def can_many(
        self, tenant: Id, questions: Iterable[tuple[Id, str]], ip: str | None = None
    ) -> tuple[list[bool], Revision, float]:
        """Whether those of one tenant hold permissions, in order, at one revision.

        What `check_many` says, without its reasons, for the sake of speed.

        Args:
            tenant: whose.
            questions: ids of users or machines, sixteen bytes each, with keys.
            ip: the address that all of them act from.

        Returns:
            The answers, their revision and its age in seconds.

        Raises:
            TypeError, ValueError: `ip` is no string or no IP address.
            NotOpenError: the authorizer isn't open.
        """
        asked = list(questions)
        address = None if ip is None else parse_address(ip)
        with self._lock:
            index, seats = self._require_index(), self._answers
            revision, age = self._basis.revision, self.age
            somebody = Principal.of(Kind.USER, tenant, tenant)
            if self._must_refuse() or not ip_verdict(index, somebody, address).lets_in:
                return [False for _ in asked], revision, age
            try:
                answers = [seats[tenant + who][key] for who, key in asked]
            except KeyError:
                answers = [self._answer(tenant, who, key) for who, key in asked]
            return answers, revision, age

    def _answer(self, tenant: Id, who: Id, key: str) -> bool:
        try:
            return self._answers[tenant + who][key]
        except KeyError:
            return self._ask(Principal.of(Kind.USER, who, tenant), key)

    def _decide(self, question: Question, is_refused: bool) -> Decision:  # noqa: FBT001
        index = self._require_index()
        reason = Reason.STALE if is_refused else decide(index, question)
        return self._decision(reason)

    def _decision(self, reason: Reason) -> Decision:
        """The one decision of a reason at the current revision."""
        decision = self._decisions.get(reason.value)
        if decision is None:
            decision = Decision(reason is Reason.GRANTED, reason, self._basis)
            self._decisions[reason.value] = decision
        return decision

    def require(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> None:
        """Return when the principal holds the permission; as `can`.

        Raises:
            PermissionDenied: it doesn't; the error carries the decision.
        """
        decision = self.check(principal, key, ip, at_least)
        if not decision:
            raise denial(principal, key, decision)

    def explain(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Explanation:
        """The decision with every grant path, or with what would be enough; as `can`."""
        question = self._question(principal, key, ip)
        self._reach(at_least)
        with self._lock:
            index = self._require_index()
            revision, age = self._basis.revision, self.age
            if self._must_refuse():
                return Explanation(False, key, (), Reason.STALE, (), revision, age)
            known = self._answers.get(principal.key)
            if known and known.get(key) and ip is None:
                reason = Reason.GRANTED
            else:
                reason = decide(index, question)
                if reason is Reason.GRANTED and known is None:
                    self._seat(principal)
            return explain(index, question, reason, revision, age)

    def account(
        self, principal: Principal, ip: str | None = None
    ) -> tuple[Account, Revision, float]:
        """All that a principal may do, and why, at one revision; as `can`.

        Returns:
            The account, its revision and the age of that in seconds.
        """
        question = self._question(principal, "", ip)
        with self._lock:
            index = self._require_index()
            if self._must_refuse():
                held = Account(principal.kind, reason=Reason.STALE)
            else:
                held = account(index, question)
            return held, self._basis.revision, self.age

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
        require_question(principal, "")
        with self._lock:
            index = self._require_index()
            revision, age = self._basis.revision, self.age
            grants = effective(index, principal, self._wall_clock())
            if self._must_refuse() or grants is None:
                return [], revision, age
            return index.vocabulary.keys(grants.mask), revision, age

    def who_can(
        self,
        tenant_id: str,
        key: str,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Iterator[str]:
        """The ids of all who hold a permission in a tenant, ascending.

        Users and, under strict semantics, service principals and agents: whoever may
        be asked about as a user, so no API keys. All of them are of one revision,
        that of the call, however long the caller takes to read on.

        Args:
            tenant_id: where.
            key: of the permission.
            after: only those whose id is greater, such as the last of a page before.
            limit: at most so many.

        Raises:
            TypeError: `tenant_id`, `key` or `after` is no string.
            ValueError: `tenant_id` or `after` is no UUID, or `limit` less than 1.
            NotOpenError: the authorizer isn't open.
        """
        tenant = parse_id(tenant_id)
        begin = b"" if after is None else parse_id(after)
        require_key(key)
        if limit is not None and limit < 1:
            raise ValueError(f"a limit must be at least 1, not `{limit}`")
        with self._lock:
            index = self._require_index()
            entry = index.tenants.get(tenant)
            if self._must_refuse() or entry is None or not index.is_open(entry):
                return iter(())
            holders = Holders(index, tenant, key).after(begin)
            if index.is_strict:
                machines = index.identities.registered_for(tenant, key)
                later = sorted(each for each in machines if each > begin)
                holders = _distinct(merge(holders, later))
        return map(format_id, islice(holders, limit))


def denial(principal: Principal, key: str, decision: Decision) -> PermissionDenied:
    """What `require` raises of a decision that denies."""
    return PermissionDenied(
        f"{principal.kind} `{principal.id}` may not `{key}` in tenant"
        f" `{principal.tenant_id}`: {SENTENCES[decision.reason]}",
        decision,
    )


def _distinct(ordered: Iterable[Id]) -> Iterator[Id]:
    return (id_ for id_, _ in groupby(ordered))
