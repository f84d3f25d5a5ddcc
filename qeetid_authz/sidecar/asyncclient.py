"""A sidecar asked by tasks of an event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Self, TypeVar, Unpack

from qeetid_authz.decision.decision import Basis, Decision
from qeetid_authz.decision.explain import Explanation
from qeetid_authz.engine.engine import denial
from qeetid_authz.principal import Principal
from qeetid_authz.revision import Revision
from qeetid_authz.sidecar.asking import Asked
from qeetid_authz.sidecar.asynclines import AsyncLines
from qeetid_authz.sidecar.listing import Listing
from qeetid_authz.sidecar.messages import Unanswered
from qeetid_authz.sidecar.opening import Client
from qeetid_authz.sidecar.options import Given
from qeetid_authz.sidecar.pending import Pending

_T = TypeVar("_T")


class AsyncSidecarClient(Client):
    """Asks a sidecar what an `AsyncAuthorizer` is asked; every question is awaited.

    As `SidecarClient`, for the tasks of one event loop. What isn't awaited is neither
    true nor false.
    """

    def __init__(self, address: str, **given: Unpack[Given]) -> None:
        super().__init__(address, **given)
        self._lines = AsyncLines(self._address, self._context, self._told.connections)

    @classmethod
    async def open(cls, address: str, **options: Unpack[Given]) -> Self:
        """A client whose sidecar answers; as `SidecarClient.open`."""
        return await cls(address, **options).__aenter__()

    async def __aenter__(self) -> Self:
        if not self._open():
            return self
        try:
            await self._ask(self._asking.basis())
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def close(self) -> None:
        """Ask nothing any more, and hang up as soon as the loop runs."""
        self._shut()
        self._lines.close()

    async def aclose(self) -> None:
        """Ask nothing any more. Closing twice is harmless."""
        self._shut()
        await asyncio.gather(*self._lines.close())

    async def _ask(self, asked: Asked[_T]) -> _T:
        request, sent_at, deadline = self._begin(asked.request)
        try:
            reply = await self._lines.exchange(request, deadline)
            return self._read(asked, reply, sent_at)
        except Unanswered as why:
            return self._miss(asked, why)

    def can(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Pending[bool]:
        """Whether a principal holds a permission; as `Engine.can`."""
        return Pending(self._ask(self._asking.can(principal, key, ip, at_least)))

    def check(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Pending[Decision]:
        """The decision, with its reason, revision and age; as `Engine.check`."""
        return Pending(self._ask(self._asking.check(principal, key, ip, at_least)))

    def check_many(
        self,
        questions: Iterable[tuple[Principal, str]],
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Pending[list[Decision]]:
        """The decisions on several questions; as `SidecarClient.check_many`."""
        return Pending(self._ask(self._asking.check_many(questions, ip, at_least)))

    def require(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Pending[None]:
        """Return when the principal holds the permission; as `Engine.require`.

        Raises:
            PermissionDenied: it doesn't; the error carries the decision.
        """
        return Pending(self._require(principal, key, ip, at_least))

    async def _require(
        self, principal: Principal, key: str, ip: str | None, at_least: str | None
    ) -> None:
        decision = await self.check(principal, key, ip, at_least)
        if not decision:
            raise denial(principal, key, decision)

    def explain(
        self,
        principal: Principal,
        key: str,
        ip: str | None = None,
        at_least: str | None = None,
    ) -> Pending[Explanation]:
        """The decision with every grant path; as `Engine.explain`."""
        return Pending(self._ask(self._asking.explain(principal, key, ip, at_least)))

    def effective_permissions(self, principal: Principal) -> Pending[list[str]]:
        """All keys that the principal holds, sorted; none when it may not act."""
        return Pending(self._ask(self._asking.effective_permissions(principal)))

    def who_can(
        self,
        tenant_id: str,
        key: str,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Pending[AsyncIterator[str]]:
        """The ids of all who hold a permission; as `SidecarClient.who_can`.

        Its first page is awaited: `async for id_ in await authz.who_can(...)`.
        """
        listing = Listing(self._asking, tenant_id, key, after, limit)
        return Pending(self._who_can(listing))

    async def _who_can(self, listing: Listing) -> AsyncIterator[str]:
        return self._all(await self._ask(listing.page()), listing)

    async def _all(self, first: list[str], listing: Listing) -> AsyncIterator[str]:
        for each in first:
            yield each
        while not listing.is_over:
            for each in await self._ask(listing.page()):
                yield each

    def authenticate(self, header: str) -> Pending[Principal]:
        """The principal of a credential; as `SidecarClient.authenticate`."""
        return Pending(self._ask(self._asking.authenticate(header)))

    def wait_for(self, at_least: str) -> Pending[None]:
        """Return when answers rest on a transaction; as `SidecarClient.wait_for`."""
        return Pending(self._wait_for(self._asking.basis(at_least)))

    async def _wait_for(self, asked: Asked[Basis]) -> None:
        await self._ask(asked)

    @property
    def revision(self) -> Pending[Revision]:
        """The snapshot that answers come from; as `SidecarClient.revision`."""
        return Pending(self._revision())

    async def _revision(self) -> Revision:
        return (await self._ask(self._asking.basis())).revision

    @property
    def age(self) -> Pending[float]:
        """Seconds since it was known to be current; as `SidecarClient.age`."""
        return Pending(self._age())

    async def _age(self) -> float:
        return (await self._ask(self._asking.basis())).age
