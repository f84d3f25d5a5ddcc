"""The command version: what runs here, and on what."""

import platform
from importlib.metadata import version as installed_version

import click
from psycopg import pq

from qeetid_authz.postgres.connecting import connect
from qeetid_authz.postgres.lookup import server_version
from qeetid_authz_server.cli.output import write_json, write_members
from qeetid_authz_server.cli.state import State, with_state


@click.command()
@with_state
def version(state: State) -> None:
    """Print versions.

    Ours, Python's and psycopg's; with --database-url the server's as well.
    """
    versions = {
        "qeetid-authz": installed_version("qeetid-authz"),
        "python": platform.python_version(),
        "psycopg": installed_version("psycopg"),
        "libpq": pq.version_pretty(pq.version()),
    }
    if state.database_url is not None:
        with connect(state.settings().database_url) as connection:
            versions["postgres"] = server_version(connection)
    if state.as_json:
        write_json(versions)
    else:
        write_members(versions)
