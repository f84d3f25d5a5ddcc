"""Plain introspections, by clients that are known already, of tokens that are."""

from collections.abc import Iterator, Mapping
from hmac import compare_digest
from time import perf_counter

from aiohttp.helpers import rfc822_formatted_time

from qeetid_authz.authorizer import AsyncAuthorizer
from qeetid_authz.errors import AuthzError
from qeetid_authz.ids import Id
from qeetid_authz_server.fastpath.heads import END, NotPlainError, read_fields, text_of
from qeetid_authz_server.incoming.clients import Clients, read_basic
from qeetid_authz_server.incoming.forms import FORM_SIZE_LIMIT, FORM_TYPE, parse_form
from qeetid_authz_server.incoming.requestids import decent_request_id, request_ids
from qeetid_authz_server.introspection import INTROSPECTION_PATHS, Introspection
from qeetid_authz_server.outgoing.problems import Problem
from qeetid_authz_server.outgoing.responses import unstored_form
from qeetid_authz_server.telemetry.counts import Counts
from qeetid_authz_server.telemetry.health import Health
from qeetid_authz_server.telemetry.logs import log_request

_LINES = {f"POST {path} HTTP/1.1".encode(): path for path in INTROSPECTION_PATHS}
_RESPONSE = unstored_form()
_NEVER = -1  # edition


class LastAsker:
    """Who asked last on a connection, and in what words.

    Attributes:
        left_out: fields with which an introspection isn't plain.
        block: the fields of the last head, as they came.
        authorization: the credential that they held, or nothing.
        is_basic: whether that alone tells which client asks.
        request_id: what they called the request; None if that is no decent name.
        length: how many bytes the form has, in digits.
        tenant: of the client, where the credential alone tells it.
        edition: of the facts that made it one.
    """

    __slots__ = (
        "authorization",
        "block",
        "edition",
        "is_basic",
        "left_out",
        "length",
        "request_id",
        "tenant",
    )

    def __init__(self, left_out: frozenset[bytes]) -> None:
        self.left_out = left_out
        self.block = b""
        self.authorization = ""
        self.is_basic = False
        self.request_id: str | None = None
        self.length = b""
        self.tenant: Id | None = None
        self.edition = _NEVER

    def read(self, block: bytes) -> None:
        """Take in the fields of another head.

        Raises:
            NotPlainError: they say more than a form needs.
        """
        fields = read_fields(block)
        if fields.get(b"content-type") != FORM_TYPE.encode():
            raise NotPlainError
        if not self.left_out.isdisjoint(fields):
            raise NotPlainError
        self.authorization = text_of(fields, b"authorization") or ""
        self.is_basic = read_basic(self.authorization) is not None
        self.request_id = decent_request_id(text_of(fields, b"x-request-id"))
        self.length = fields.get(b"content-length", b"")
        self.edition = _NEVER
        self.block = block


class PlainIntrospections:
    """Answers introspections whose answer is at hand, and more than `inactive`."""

    def __init__(
        self,
        authorizer: AsyncAuthorizer,
        clients: Clients,
        introspection: Introspection,
        health: Health,
        counts: Counts,
    ) -> None:
        """Prepare.

        Args:
            authorizer: whose facts count.
            clients: who may ask.
            introspection: what there is to say.
            health: what knows when nothing new is begun any more.
            counts: what counts the answers.
        """
        self._authorizer = authorizer
        self._clients = clients
        self._introspection = introspection
        self._health = health
        self._counted = counts.introspections
        self._made: Iterator[str] = request_ids()

    def answer(self, data: bytes, asker: LastAsker) -> bytes:
        """The answer to one introspection; nothing if it takes more than this.

        Args:
            data: what came in, from the start of a request on.
            asker: who asked last on the connection that it came in on.
        """
        began = perf_counter()
        middle, end = data.find(b"\r\n"), data.find(END) + len(END)
        path, posted = _LINES.get(data[:middle]), data[end:]
        if path is None or self._health.draining or len(posted) > FORM_SIZE_LIMIT:
            return b""
        try:
            if not compare_digest(data[middle:end], asker.block):
                asker.read(data[middle:end])
            if asker.length != b"%d" % len(posted):
                return b""
            form = parse_form(posted)
            tenant = self._tenant(form, asker)
            token, hint = form.get(b"token", b""), form.get(b"token_type_hint", b"")
            body = self._introspection.recall(token, hint, tenant)
        except (NotPlainError, LookupError, Problem, AuthzError):
            return b""
        if body is None:
            return b""
        self._counted[path] = self._counted.get(path, 0) + 1
        request_id = asker.request_id or next(self._made)
        log_request("POST", path, 200, request_id, began)
        date = rfc822_formatted_time().encode()
        return _RESPONSE % (request_id.encode(), len(body), date, body)

    def _tenant(self, form: Mapping[bytes, bytes], asker: LastAsker) -> Id | None:
        """As `Clients.recall`, of whom the credential alone tells once an edition."""
        edition = self._authorizer.edition
        if asker.edition == edition:
            return asker.tenant
        tenant = self._clients.recall(asker.authorization, form)
        if asker.is_basic:
            asker.tenant, asker.edition = tenant, edition
        return tenant
