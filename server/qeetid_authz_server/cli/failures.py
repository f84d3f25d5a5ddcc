"""How a command that failed tells so: on stderr, without a stack trace."""

import sys
from collections.abc import Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any

import click
import msgspec

from qeetid_authz.errors import AuthzError
from qeetid_authz_server.cli.output import console, printable


class UnknownNameError(AuthzError):
    """Nobody has this e-mail or slug, or several have."""

    code = "unknown_name"


class FileError(AuthzError):
    """A file can't be read or written."""

    code = "file"


def report(error: Exception, *, as_json: bool) -> None:
    """Say what failed, each problem on a line of its own or all in one object."""
    code, message, problems = _anatomy(error)
    if as_json:
        body: dict[str, Any] = {"code": code, "message": message}
        if problems:
            body["problems"] = problems
        sys.stderr.write(msgspec.json.encode({"error": body}).decode() + "\n")
        return
    if len(problems) > 1:
        message = message.removesuffix("; ".join(problems)).rstrip()
    else:
        problems = ()
    err = console(stderr=True)
    err.print("error:", style="bold red", end=" ")
    err.print(printable(message))
    for problem in problems:
        err.print(f"  - {printable(problem)}")


def _anatomy(error: Exception) -> tuple[str, str, Sequence[str]]:
    match error:
        case AuthzError():
            return error.code, str(error), getattr(error, "problems", ())
        case click.UsageError():
            return "usage", _usage(error), ()
        case click.ClickException():
            return "usage", _lowered(error.format_message()), ()
        case OSError():
            return "system", f"the system refuses: {error}", ()
        case ModuleNotFoundError():
            return "not_installed", _absent(error), ()
        case _:
            return "internal", _defect(error), ()


def _usage(error: click.UsageError) -> str:
    message = _lowered(error.format_message()).rstrip(".")
    path = error.ctx.command_path if error.ctx else "qeetid-authz"
    return f"{message}; see `{path} --help`"


def _absent(error: ModuleNotFoundError) -> str:
    return f"`{error.name}` isn't installed; `pip install 'qeetid-authz[cli]'`"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _defect(error: Exception) -> str:
    last = extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return (
        f"unexpected {type(error).__name__} in {place} ({error}); this is a defect of"
        " qeetid-authz, please report it"
    )
