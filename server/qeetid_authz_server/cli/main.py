"""The commands, and how each ends."""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from qeetid_authz_server.cli.exits import Exit
from qeetid_authz_server.cli.failures import report
from qeetid_authz_server.cli.state import State, with_state

_MODULES = {
    "demo": "demonstration",
    "serve": "sidecars",
    "migrate": "databases",
    "import": "databases",
    "export": "databases",
    "check": "questions",
    "explain": "questions",
    "permissions": "questions",
    "who-can": "questions",
    "status": "sidecars",
    "healthcheck": "sidecars",
    "version": "versions",
}
"""The commands, and in which module of this package each is."""


class _Commands(click.Group):
    """Commands that are imported when needed, as some need much."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which one needs them."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        if cmd_name not in _MODULES:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"qeetid_authz_server.cli.{_MODULES[cmd_name]}")
        attribute = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        command: click.Command = getattr(module, attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run one, and be silent when nobody reads on."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(Exit.UNREAD)
        return code


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@with_state
def commands(_: State) -> None:
    """Qeet ID authorization decisions: a sidecar, and questions to a database.

    Settings are taken from flags, then from the environment (QEETID_AUTHZ_...),
    then from the file of --config.
    """


def run(args: Sequence[str]) -> int:
    """Run one command; the result is the exit code."""
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # we report its errors
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: int | None = commands.main(
            list(args), prog_name="qeetid-authz", standalone_mode=False
        )
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.FAILED
    except Exception as error:  # noqa: BLE001  (no user sees a stack trace)
        report(error, as_json="--json" in args)
        return Exit.FAILED
    return code or 0
