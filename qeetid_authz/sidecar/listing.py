"""Who holds a permission, asked for page by page."""

from typing import Final

import msgspec

from qeetid_authz.engine.roster import require_key
from qeetid_authz.errors import StaleError
from qeetid_authz.ids import format_id, parse_id
from qeetid_authz.sidecar.asking import Asked, Asking, Came, quoted
from qeetid_authz.sidecar.messages import Request, Unanswered
from qeetid_authz.sidecar.refusals import accept
from qeetid_authz.sidecar.wire import PAGE, WHO_CAN, Holders

_holders: Final = msgspec.json.Decoder(Holders)


class Listing:
    """One listing, and how far it has come.

    Attributes:
        is_over: whether there is nothing more to ask for.
    """

    def __init__(
        self,
        asking: Asking,
        tenant_id: str,
        key: str,
        after: str | None,
        limit: int | None,
    ) -> None:
        """Prepare; raises TypeError and ValueError as `Engine.who_can` does."""
        self._asking = asking
        tenant = format_id(parse_id(tenant_id))
        self._after = "" if after is None else format_id(parse_id(after))
        require_key(key)
        if limit is not None and limit < 1:
            raise ValueError(f"a limit must be at least 1, not `{limit}`")
        self._target = f"{WHO_CAN.format(tenant=tenant)}?permission={quoted(key)}"
        self._left = limit
        self._is_begun = False
        self.is_over = False

    def page(self) -> Asked[list[str]]:
        """The next page of ids."""
        limit = PAGE if self._left is None else min(self._left, PAGE)
        target = f"{self._target}&limit={limit}"
        if self._after:
            target += f"&after={self._after}"
        return Asked(Request("GET", target), self._read, self._without)

    def _read(self, came: Came) -> list[str]:
        said = accept(came.reply, _holders, self._asking.name)
        ids, last = said.ids, said.next
        if last is not None and not (ids and self._after < last == ids[-1]):
            raise Unanswered("garbled", "its pages lead nowhere")
        if self._left is not None:
            self._left -= len(ids)
        self._after, self._is_begun = last or "", True
        self.is_over = last is None or self._left == 0
        return ids

    def _without(self, why: Unanswered) -> list[str]:
        """Nobody; but half a list doesn't pass for a whole one."""
        self.is_over = True
        self._asking.require_silence(why)
        if self._is_begun:
            raise StaleError(self._asking.complaint(why))
        return []
