"""A revision: which transactions of which database an index has seen."""

from dataclasses import dataclass
from typing import Self


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
