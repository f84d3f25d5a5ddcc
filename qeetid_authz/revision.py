"""A revision: which transactions of which database an index has seen."""

import re
from dataclasses import dataclass
from typing import Self

_TOKEN = re.compile(r"([0-9a-f]{12})@([1-9][0-9]{0,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class RevisionToken:
    """Names one transaction that wrote, for who must see what it wrote.

    The writer gets it from `SELECT qeetid_authz.revision_token()`, anywhere in the
    transaction.

    Attributes:
        incarnation: the life of the database server in which it was.
        xid: its id there.
    """

    incarnation: str
    xid: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one as the database writes it, `incarnation@xid`.

        Raises:
            TypeError: it is no string.
            ValueError: it isn't written so.
        """
        if not isinstance(text, str):
            raise TypeError(f"a revision token must be a string, not `{text!r}`")
        read = _TOKEN.fullmatch(text)
        if read is None:
            raise ValueError(
                f"`{text}` is no revision token; pass on what"
                " `SELECT qeetid_authz.revision_token()` says"
            )
        return cls(read[1], int(read[2]))

    def __str__(self) -> str:
        return f"{self.incarnation}@{self.xid}"


@dataclass(frozen=True, slots=True)
class Revision:
    """One MVCC snapshot of one incarnation of a database.

    Attributes:
        incarnation: names one uninterrupted life of a database server; it changes
            with a crash, a failover and a restore, after which transaction ids no
            longer mean what they meant.
        xmin: every transaction below it was over.
        xmax: no transaction from it on had begun to be visible.
        running: those between the two that were still running.
    """

    incarnation: str
    xmin: int
    xmax: int
    running: tuple[int, ...] = ()

    @classmethod
    def parse(cls, incarnation: str, snapshot: str) -> Self:
        """Read a `pg_snapshot` in its text form, `xmin:xmax:xip,xip`."""
        xmin, xmax, running = snapshot.split(":")
        xips = tuple(int(xip) for xip in running.split(",") if xip)
        return cls(incarnation, int(xmin), int(xmax), xips)

    def has_seen(self, token: RevisionToken) -> bool:
        """Whether what a transaction wrote is in this snapshot."""
        return (
            token.incarnation == self.incarnation
            and token.xid < self.xmax
            and token.xid not in self.running
        )

    def __str__(self) -> str:
        """As short as a header wants it; those still running as a digest."""
        text = f"{self.incarnation}@{self.xmin}:{self.xmax}"
        if not self.running:
            return text
        from hashlib import blake2s  # noqa: PLC0415  (which loads OpenSSL)

        running = ",".join(map(str, self.running)).encode()
        return f"{text}:{blake2s(running, digest_size=6).hexdigest()}"


DOCUMENT_REVISION = Revision("document", 0, 0)
"""The revision of an index that was compiled from a document, not a database."""
