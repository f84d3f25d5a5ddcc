"""`/access/v1/search/…`: who may do something, what, and to which resources."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.ids import Id, format_id
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.authzen.entrance import Entrance, readable
from qeetid_authz_server.authzen.messages import (
    Action,
    Page,
    Resource,
    Sort,
    Subject,
    read_context,
    read_entity,
    read_page,
)
from qeetid_authz_server.authzen.paging import Place, Tokens, choose, digest, turn
from qeetid_authz_server.authzen.people import KINDS, People
from qeetid_authz_server.authzen.seeking import Seeker
from qeetid_authz_server.incoming.ownwrites import own_writes
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import decision_response
from qeetid_authz_server.outgoing.wire import encode


@dataclass(frozen=True, slots=True)
class _Search:
    """A search that was let in.

    Attributes:
        tenant: where to search.
        members: of the body.
        about: what is searched and by whom, as tokens are bound to it.
        page: which part of the results is asked for, if any is.
        place: where that begins.
    """

    tenant: Id
    members: Mapping[str, Any]
    about: bytes
    page: Page | None
    place: Place


class SearchRoutes:
    """Answer searches; all of them raise Problem where one is refused."""

    def __init__(
        self,
        engine: AsyncAuthorizer,
        entrance: Entrance,
        people: People,
        seeker: Seeker,
        tokens: Tokens,
        *,
        by_email: bool,
    ) -> None:
        """Prepare.

        Args:
            engine: what is searched.
            entrance: what lets requests in.
            people: who tells who is meant.
            seeker: what finds.
            tokens: what makes the tokens of pages.
            by_email: whether users are told by e-mail rather than by id.
        """
        self._engine = engine
        self._entrance = entrance
        self._people = people
        self._seeker = seeker
        self._tokens = tokens
        self._by_email = by_email

    async def subjects(self, request: web.Request) -> web.Response:
        """Who may do something, in the order of their ids.

        Where users are told by e-mail, those without one that names them are left out.
        """
        search = await self._begin(request, "subject")
        with readable():
            type_ = read_entity(search.members, "subject", Sort).type
            action = read_entity(search.members, "action", Action)
            resource = read_entity(search.members, "resource", Resource)
            context = read_context(search.members)
        await self._ready(request)
        kind = KINDS.get(type_)
        found: Iterable[str] = ()
        if kind is not None:
            found = self._seeker.subjects(
                search.tenant,
                kind,
                action,
                resource,
                context,
                after=search.place.after,
            )
        page = self._turn(search, found)
        if kind is Kind.USER and self._by_email:
            emails = await self._people.emails(page.found)
            page.found = [emails[id_] for id_ in page.found if id_ in emails]
        return page.response([{"type": type_, "id": id_} for id_ in page.found])

    async def actions(self, request: web.Request) -> web.Response:
        """What somebody may do to a resource, in the order of its names."""
        search = await self._begin(request, "action")
        with readable():
            subject = read_entity(search.members, "subject", Subject)
            resource = read_entity(search.members, "resource", Resource)
            context = read_context(search.members)
        await self._ready(request)
        who = await self._people.find(search.tenant, subject)
        found: list[str] = []
        if isinstance(who, Principal):
            found = self._seeker.actions(who, resource, context)
        page = self._turn(search, _behind(found, search.place))
        return page.response([{"name": name} for name in page.found])

    async def resources(self, request: web.Request) -> web.Response:
        """To which resources somebody may do something, in the order of their ids."""
        search = await self._begin(request, "resource")
        with readable():
            subject = read_entity(search.members, "subject", Subject)
            action = read_entity(search.members, "action", Action)
            type_ = read_entity(search.members, "resource", Sort).type
            context = read_context(search.members)
        await self._ready(request)
        who = await self._people.find(search.tenant, subject)
        found: list[str] = []
        if isinstance(who, Principal):
            found = self._seeker.resources(who, action, type_, context)
        page = self._turn(search, _behind(found, search.place))
        return page.response([{"type": type_, "id": id_} for id_ in page.found])

    async def _begin(self, request: web.Request, sought: str) -> _Search:
        caller, tenant = await self._entrance.admit(request)
        members = await self._entrance.read(request)
        about = _about(sought, tenant, caller, members)
        with readable():
            page = read_page(members)
            asked = page or Page()
            place = choose(
                asked.token, asked.limit, lambda token: self._tokens.read(token, about)
            )
        return _Search(tenant, members, about, page, place)

    async def _ready(self, request: web.Request) -> None:
        """Return when there is something to search.

        Raises:
            Problem: what is known is so old that nobody may anything: no answer would
                be complete.
        """
        await own_writes(request, self._engine)
        if self._engine.is_stale:
            raise Problem(Code.UNAVAILABLE, SENTENCES[Reason.STALE])

    def _turn(self, search: _Search, results: Iterable[str]) -> "_Answer":
        found, following = turn(results, search.place)
        token = "" if following is None else self._tokens.make(following, search.about)
        return _Answer(search.page, found, token, self._engine)


class _Answer:
    """A page of results, as of now.

    Attributes:
        found: they themselves.
    """

    def __init__(
        self, asked: Page | None, found: list[str], token: str, engine: AsyncAuthorizer
    ) -> None:
        self.found = found
        self._is_told = asked is not None or bool(token)
        self._token = token
        self._basis = engine.revision, engine.age

    def response(self, entities: list[dict[str, str]]) -> web.Response:
        """The response; it tells of pages where one was asked for, or is needed."""
        page = {"page": {"next_token": self._token}} if self._is_told else {}
        return decision_response(encode({**page, "results": entities}), *self._basis)


def _behind(results: list[str], place: Place) -> list[str]:
    """Those of sorted results that a page can have."""
    if place.after is None:
        return results
    return results[bisect_right(results, place.after) :]


def _about(
    sought: str, tenant: Id, caller: Principal | None, members: Mapping[str, Any]
) -> bytes:
    """What must be the same on every page: but for an id that is ignored anyway."""
    asked = {name: members.get(name) for name in _COUNTING}
    entity = asked[sought]
    if isinstance(entity, dict):
        asked[sought] = {name: it for name, it in entity.items() if name != "id"}
    who = None if caller is None else [caller.kind, caller.id]
    return digest(sought, format_id(tenant), who, asked)


_COUNTING = ("subject", "action", "resource", "context")
