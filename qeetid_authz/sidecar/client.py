"""A sidecar asked by threads."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Self, TypeVar, Unpack

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.engine.defaults import Answering
from qeetid_authz.engine.engine import denial
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision
from qeetid_authz.sidecar.asking import Asked
from qeetid_authz.sidecar.lines import Lines
from qeetid_authz.sidecar.listing import Listing
from qeetid_authz.sidecar.messages import Unanswered
from qeetid_authz.sidecar.opening import Client
from qeetid_authz.sidecar.options import Given

_T = TypeVar("_T")


class SidecarClient(Client, Answering):
    """Asks a sidecar what an `Authorizer` is asked, by the same methods.

    A context manager, for any number of threads of one process. A question is sent
    once, and answered within `timeout`, whatever the sidecar does: one that can't be
    asked counts as a replica that is stale. Everything is denied then, as `stale`, or
    raises StaleError with `raises_stale`.

    What isn't a method's own failure is the same for all:

    Raises:
        TypeError, ValueError: what is asked makes no sense; nothing is sent.
        SidecarRefusedError: the sidecar refuses the client's key, or what it asks.
        RevisionUnseenError, RevisionForeignError: what `at_least` names isn't known.
        StaleError: the sidecar can't be asked, and the client was told to raise then.
        NotOpenError: the client isn't open, or was opened before a fork.
    """

    def __init__(self, address: str, **given: Unpack[Given]) -> None:
        super().__init__(address, **given)
        self._lines = Lines(self._address, self._context, self._told.connections)

    @classmethod
    def open(cls, address: str, **options: Unpack[Given]) -> Self:
        """A client whose sidecar answers.

        Args:
            address: `http://host:port`, `https://host:port` or `unix:/path`.
            **options: as `qeetid_authz.sidecar.options.ClientOptions` has them.

        Raises:
            TypeError, ValueError: the address or an option makes no sense.
            SidecarUnavailableError: it can't be asked.
            SidecarRefusedError: it refuses the client's key.
        """
        return cls(address, **options).__enter__()

    def __enter__(self) -> Self:
        if not self._open():
            return self
        try:
            self._ask(self._asking.basis())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Ask nothing any more. Closing twice is harmless."""
        self._shut()
        self._lines.close()

    def _ask(self, asked: Asked[_T]) -> _T:
        request, sent_at, deadline = self._begin(asked.request)
        try:
            return self._read(asked, self._lines.exchange(request, deadline), sent_at)
        except Unanswered as why:
            return self._miss(asked, why)

    def can(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> bool:
        """Whether a principal holds a permission; as `Engine.can`."""
        return self._ask(self._asking.can(principal, key, ip, at_least))

    def check(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Decision:
        """The decision, with its reason, revision and age; as `Engine.check`."""
        return self._ask(self._asking.check(principal, key, ip, at_least))

    def check_many(
        self,
        questions: Iterable[tuple[Principal, str]],
        ip: str | None = None,
        at_least: str | None = None,
    ) -> list[Decision]:
        """The decisions on several questions, in one request; as `Engine.check_many`.

        The sidecar takes no more at once than its `batch_limit`.
        """
        return self._ask(self._asking.check_many(questions, ip, at_least))

    def require(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> None:
        """Return when the principal holds the permission; as `Engine.require`.

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
        """The decision with every grant path; as `Engine.explain`."""
        return self._ask(self._asking.explain(principal, key, ip, at_least))

    def effective_permissions(self, principal: Principal) -> list[str]:
        """All keys that the principal holds, sorted; none when it may not act."""
        return self._ask(self._asking.effective_permissions(principal))

    def who_can(
        self,
        tenant_id: str,
        key: str,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Iterator[str]:
        """The ids of all who hold a permission in a tenant, ascending.

        As `Engine.who_can`, but page by page of 1,000: each page is of one revision,
        and the next may be of a later one.

        Raises:
            StaleError: the sidecar can't be asked for a page after the first.
        """
        listing = Listing(self._asking, tenant_id, key, after, limit)
        first = self._ask(listing.page())
        return chain(first, self._rest(listing))

    def _rest(self, listing: Listing) -> Iterator[str]:
        while not listing.is_over:
            yield from self._ask(listing.page())

    def authenticate(self, header: str) -> Principal:
        """The principal that a credential stands for.

        Args:
            header: the value of an `Authorization` header, `Bearer TOKEN` or
                `ApiKey KEY`.

        Raises:
            AuthenticationError: the credential is refused. The sidecar tells of few
                causes which it is; its log has them all.
            SidecarUnavailableError: it can't be asked, or can't judge it now.
        """
        return self._ask(self._asking.authenticate(header))

    def wait_for(self, at_least: str) -> None:
        """Return when the sidecar's answers rest on a transaction.

        Args:
            at_least: its revision token, which the writer gets in it from
                `SELECT qeetid_authz.revision_token()`.

        Raises:
            SidecarUnavailableError: it can't be asked.
        """
        self._ask(self._asking.basis(at_least))

    @property
    def revision(self) -> Revision:
        """The snapshot that the sidecar's answers come from, asked for now.

        Raises:
            SidecarUnavailableError: it can't be asked.
        """
        return self._ask(self._asking.basis()).revision

    @property
    def age(self) -> float:
        """Seconds since that snapshot was known to be current; as `revision`."""
        return self._ask(self._asking.basis()).age
