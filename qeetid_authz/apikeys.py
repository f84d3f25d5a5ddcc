"""API keys: which there are, and whether a secret belongs to one.

A key reads `qk_<prefix>.<secret>`; the database keeps the prefix in clear and a slow
hash of the secret (Qeet ID fact 6).
"""

from collections.abc import Iterator

from qeetid_authz.ids import Id
from qeetid_authz.model import ApiKey, Changes, Snapshot
from qeetid_authz.revision import Revision


class ApiKeys:
    """The API keys of a database, by prefix.

    A row that didn't change stays the same object from revision to revision, so who
    remembers a row can tell by identity whether it still stands.
    """

    def __init__(self) -> None:
        self._rows: dict[Id, ApiKey] = {}
        self._by_prefix: dict[str, set[Id]] = {}

    def publish(self, update: Snapshot | Changes | Revision) -> None:
        """Take over the keys of a later revision."""
        if isinstance(update, Snapshot):
            for gone in self._rows.keys() - update.api_keys.keys():
                self._put(gone, None)
            for id_, row in update.api_keys.items():
                self._put(id_, row)
        elif isinstance(update, Changes):
            for id_, changed in update.api_keys.items():
                self._put(id_, changed)

    def _put(self, id_: Id, row: ApiKey | None) -> None:
        former = self._rows.get(id_)
        if former == row:
            return
        if former is not None:
            ids = self._by_prefix[former.prefix]
            ids.discard(id_)
            if not ids:
                del self._by_prefix[former.prefix]
        if row is None:
            del self._rows[id_]
        else:
            self._rows[id_] = row
            self._by_prefix.setdefault(row.prefix, set()).add(id_)

    def row(self, id_: Id) -> ApiKey | None:
        """The key's row as it stands now."""
        return self._rows.get(id_)

    def candidates(self, prefix: str) -> Iterator[tuple[Id, ApiKey]]:
        """The keys of a prefix, which isn't unique; revoked ones are left out."""
        for id_ in self._by_prefix.get(prefix, ()):
            row = self._rows[id_]
            if not row.revoked:
                yield id_, row


def parse_api_key(text: str) -> tuple[str, str] | None:
    """A key's prefix and secret, parted by the first dot; None without one."""
    prefix, dot, secret = text.partition(".")
    return (prefix, secret) if dot else None


def verify_secret(stored_hash: str, secret: str) -> bool:
    """Whether a secret is the one of a stored hash; slow, as it is meant to be.

    Needs the extra `apikeys`.

    Args:
        stored_hash: an Argon2id string in PHC form or, of older rows, bcrypt; no
            secret belongs to anything else.
        secret: what the caller presents.
    """
    # Here, since who only follows a database needs neither.
    import bcrypt  # noqa: PLC0415
    from cryptography.exceptions import InvalidKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415

    given = secret.encode("utf-8", "surrogateescape")
    try:
        if stored_hash.startswith("$argon2id$"):
            Argon2id.verify_phc_encoded(given, stored_hash)
            return True
        # bcrypt refuses more than 72 bytes, which it couldn't tell apart.
        return bcrypt.checkpw(given, stored_hash.encode())
    except (InvalidKey, ValueError, MemoryError):
        return False
