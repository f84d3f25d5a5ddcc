"""`POST /authz/kubernetes`: the webhook of a Kubernetes API server's authorizer."""

from aiohttp import hdrs, web

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.decision.reasons import SENTENCES, Reason
from qeetid_authz.errors import DatabaseError, OverloadedError
from qeetid_authz.ids import Id, parse_wire_id
from qeetid_authz.postgres.names import Names
from qeetid_authz.principal import Kind, Principal
from qeetid_authz_server.incoming.bodies import Bodies
from qeetid_authz_server.incoming.callers import Gate
from qeetid_authz_server.incoming.subjects import Subjects
from qeetid_authz_server.kubernetes.credentials import presented
from qeetid_authz_server.kubernetes.mapping import permission_of
from qeetid_authz_server.kubernetes.reviews import (
    NonResourceAttributes,
    ResourceAttributes,
    Review,
    ReviewError,
    answer,
    read_review,
)
from qeetid_authz_server.outgoing.problems import Code, Problem
from qeetid_authz_server.outgoing.responses import decision_response, json_response
from qeetid_authz_server.outgoing.wire import encode
from qeetid_authz_server.parts import Family, Parts
from qeetid_authz_server.telemetry.counts import DECIDED, UNSTATED, Decided

KUBERNETES_PATH = "/authz/kubernetes"

_BODY_LIMIT = 1 << 18  # bytes; users in thousands of groups are told with all of them
_API = "kubernetes"


class _NoOpinion(Exception):  # noqa: N818  (an answer, no error)
    """It is for other authorizers to say.

    Attributes:
        why: one sentence.
        reason: as which it is counted.
        error: whether it couldn't be judged.
    """

    def __init__(
        self, why: str, reason: str = UNSTATED, *, error: bool = False
    ) -> None:
        super().__init__(why)
        self.why = why
        self.reason = reason
        self.error = error


class ReviewRoute:
    """Answers reviews: allowed, or no opinion; nothing is denied for good."""

    def __init__(
        self, authorizer: AsyncAuthorizer, gate: Gate, bodies: Bodies, names: Names
    ) -> None:
        self._authorizer = authorizer
        self._gate = gate
        self._bodies = bodies
        self._names = names
        self._subjects = Subjects(names)

    async def post(self, request: web.Request) -> web.Response:
        """The review's status.

        Raises:
            Problem: the caller or the body is refused.
        """
        caller = await self._identify(request)
        self._gate.require_may_ask(caller)
        review = await self._read(request)
        try:
            return await self._judge(request, review, caller)
        except _NoOpinion as none:
            request[DECIDED] = Decided(_API, {none.reason: 1})
            error = none.why if none.error else ""
            said = answer(review, allowed=False, reason=none.why, error=error)
            return json_response(encode(said))

    async def _identify(self, request: web.Request) -> Principal | None:
        if self._gate.is_open:
            return None
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        return await self._gate.judge(presented(given))

    async def _read(self, request: web.Request) -> Review:
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
        if request.content_type != "application/json" or encoding != "identity":
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE)
        body = bytearray()
        async with self._bodies.arriving(Code.BAD_REQUEST):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > _BODY_LIMIT:
                    detail = f"at most {_BODY_LIMIT} bytes are taken"
                    raise Problem(Code.BODY_TOO_LARGE, detail, is_last=True)
        try:
            return read_review(bytes(body))
        except ReviewError as error:
            raise Problem(Code.BAD_REQUEST, str(error)) from None

    async def _judge(
        self, request: web.Request, review: Review, caller: Principal | None
    ) -> web.Response:
        permission = permission_of(review.asked)
        if permission is None:
            raise _NoOpinion("no permission can be called like this request")
        tenant = await self._tenant(review.asked, caller)
        user = await self._user(review.spec.user)
        principal = Principal.of(Kind.USER, user, tenant)
        decision = self._authorizer.check(principal, permission)
        reason = decision.reason
        request[DECIDED] = Decided(_API, {reason: 1}, decision.revision)
        sentence = f"{permission}: {SENTENCES[reason]} ({reason})"
        error = SENTENCES[reason] if reason is Reason.STALE else ""
        said = answer(review, allowed=decision.allowed, reason=sentence, error=error)
        return decision_response(encode(said), decision.revision, decision.age)

    async def _tenant(
        self,
        asked: ResourceAttributes | NonResourceAttributes,
        caller: Principal | None,
    ) -> Id:
        """The namespace's tenant; of what is in none, the caller's where it is known.

        A caller learns nothing of namespaces that aren't its tenant's.
        """
        if isinstance(asked, NonResourceAttributes):
            if caller is None:
                raise _NoOpinion("paths belong to no tenant, and the caller to none")
            return caller.tenant
        if not asked.namespace:
            raise _NoOpinion("what is in no one namespace belongs to no tenant")
        tenant = await self._named(asked.namespace, is_vouched=caller is not None)
        if tenant is None or (caller is not None and caller.tenant != tenant):
            why = "the namespace is no tenant that the caller may ask about"
            raise _NoOpinion(why, Reason.UNKNOWN_TENANT)
        return tenant

    async def _named(self, namespace: str, *, is_vouched: bool) -> Id | None:
        """The tenant that a namespace is called by, or None.

        Whoever makes a tenant chooses its slug, and may choose that of a namespace
        which isn't its own: only where a caller stands for a tenant do slugs count.
        """
        id_ = parse_wire_id(namespace.encode("utf-8", "replace"))
        if id_ is not None or not is_vouched:
            return id_
        try:
            return (await self._names.tenants([namespace])).get(namespace)
        except (DatabaseError, OverloadedError):
            raise _unknowable("tenants") from None

    async def _user(self, name: str) -> Id:
        try:
            found = (await self._subjects.find([name])).get(name)
        except (DatabaseError, OverloadedError):
            raise _unknowable("users") from None
        if found is None:
            raise _NoOpinion("the user isn't one of Qeet ID's", Reason.UNKNOWN_USER)
        return found


def make(parts: Parts) -> Family:
    """The webhook."""
    route = ReviewRoute(
        parts.authorizer, parts.gate, parts.bodies, Names(parts.lookups)
    )
    return Family([web.post(KUBERNETES_PATH, route.post)])


def _unknowable(whose: str) -> _NoOpinion:
    return _NoOpinion(f"the names of {whose} can't be looked up now", error=True)
