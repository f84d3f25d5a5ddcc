"""The command demo."""

import click

from qeetid_authz_server.cli.state import State, with_state
from qeetid_authz_server.demo.running import run
from qeetid_authz_server.demo.showing import People, Program


@click.command()
@with_state
def demo(state: State) -> None:
    """Show it all, with a database made for the occasion.

    Then serve until Ctrl-C, and leave nothing behind. With a DSN the database must
    be empty, and keeps the demonstration's tenants. With --json it prints one line
    once it is ready.
    """
    dsn, settings = state.settings_for_demo()
    run(dsn, settings, Program() if state.as_json else People())
