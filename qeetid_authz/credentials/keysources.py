"""Where an issuer's public keys come from: an endpoint, a file, or PEM as it stands."""

import os
from pathlib import Path
from typing import Protocol

from qeetid_authz.credentials.keyendpoint import Fetched, KeyEndpoint, within_limit
from qeetid_authz.credentials.keyfetch import SIZE_LIMIT
from qeetid_authz.errors import KeysUnavailableError


class Source(Protocol):
    """Something that holds keys, read again and again.

    Attributes:
        name: what messages call it; nothing in it is secret.
    """

    name: str

    def read(self) -> Fetched:
        """What it holds now.

        Raises:
            KeysUnavailableError: it can't be read, and why.
        """

    def abort(self) -> None:
        """End a read that is under way, and begin none any more."""


def source_of(given: str | os.PathLike[str]) -> Source:
    """The source that is meant; nothing is read yet.

    Args:
        given: an `http:` or `https:` URL, public keys as PEM, or the path of a file.

    Raises:
        TypeError: it is neither text nor a path.
        ValueError: it is none of the three.
    """
    text: object = given.__fspath__() if isinstance(given, os.PathLike) else given
    if not isinstance(text, str):
        raise TypeError(
            f"keys come from a URL, PEM or a path, not from a `{type(text).__name__}`"
        )
    if text.startswith("-----BEGIN"):
        return _Pem(text)
    if not text.strip():
        raise ValueError("keys come from a URL, PEM or a path, not from an empty text")
    if not text.isprintable() or text.lstrip().startswith("{") or "-----" in text:
        # It may be a key: it isn't quoted.
        raise ValueError(
            "keys come from a URL, PEM or a path, and this is none of them; PEM begins"
            " with `-----BEGIN`, and a JWKS goes into a file"
        )
    if "://" in text:
        return KeyEndpoint(text)
    return _File(Path(text))


class _Pem:
    name = "the PEM text"

    def __init__(self, text: str) -> None:
        self._data = text.encode("utf-8", "surrogateescape")

    def read(self) -> Fetched:
        return Fetched(self._data)

    def abort(self) -> None:
        pass


class _File:
    """A file that may be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self.name = f"the key file `{path}`"
        self._path = path

    def read(self) -> Fetched:
        try:
            if self._path.exists() and not self._path.is_file():  # a pipe would block
                raise KeysUnavailableError(f"{self.name} is no regular file")
            with self._path.open("rb") as file:
                data = file.read(SIZE_LIMIT + 1)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise KeysUnavailableError(f"{self.name} can't be read: {why}") from None
        return Fetched(within_limit(data, self.name))

    def abort(self) -> None:
        pass
