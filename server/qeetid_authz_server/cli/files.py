"""Documents in files."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import get_args

import click

from qeetid_authz.document import Document, Format, decode_document
from qeetid_authz.errors import DocumentError
from qeetid_authz_server.cli.failures import FileError

STANDARD = Path("-")
"""Names standard input, or standard output."""

_FORMATS: dict[str, Format] = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}


document_path = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(get_args(Format)),
    help="Where the file's suffix doesn't tell.",
)


def read_file(path: Path, format_: Format | None = None) -> Document:
    """Read a document from a file, or from standard input.

    Raises:
        DocumentError: it breaks its rules.
        FileError: it can't be read, or its format isn't known.
    """
    chosen = format_ or _format(path)
    try:
        data = sys.stdin.buffer.read() if path == STANDARD else path.read_bytes()
    except OSError as error:
        raise FileError(f"can't read `{path}`: {error.strerror}") from error
    try:
        return decode_document(data, format=chosen)
    except DocumentError as error:
        raise DocumentError([f"{path}: {each}" for each in error.problems]) from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; a device or a pipe just gets the data.

    Raises:
        FileError: it can't be written.
    """
    try:
        path = path.resolve()
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(path, data)
    except (OSError, RuntimeError) as error:  # a loop of links
        said = error.strerror if isinstance(error, OSError) else error
        raise FileError(f"can't write `{path}`: {said}") from error


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        Path(name).chmod(path.stat().st_mode if path.exists() else _new_mode())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _new_mode() -> int:
    # The mask of a process can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _format(path: Path) -> Format:
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise FileError(
            f"`{path}` doesn't end in .json, .yaml or .yml; name it so, or"
            " say --format to `import` and `export`"
        )
    return found


def format_of(path: Path, format_: Format | None) -> Format:
    """The format that was said, else the one of the suffix; YAML on a stream.

    Raises:
        FileError: the suffix says nothing.
    """
    if format_ is not None:
        return format_
    return "yaml" if path == STANDARD else _format(path)
