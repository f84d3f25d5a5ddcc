"""Commands for the sidecar: serve, status, healthcheck."""

import click

from qeetid_authz.model import Semantics
from qeetid_authz_server import serving
from qeetid_authz_server.cli.exits import Exit
from qeetid_authz_server.cli.output import console, write_json, write_members
from qeetid_authz_server.cli.probing import Door, SidecarError, ask_health, read_url
from qeetid_authz_server.cli.state import State, with_state
from qeetid_authz_server.listening.tls import client_context
from qeetid_authz_server.settings import CallerAuth, LogLevel, SubjectIds

_url = click.option(
    "--url",
    metavar="URL",
    help="http[s]://host:port or unix:/path; by default where the settings say.",
)


@click.command()
@click.option("--listen", metavar="ADDRESS", help="host:port or unix:/path.")
@click.option(
    "--tls-certificate", metavar="FILE", help="PEM by which connections are encrypted."
)
@click.option("--tls-key", metavar="FILE", help="Its private key, PEM as well.")
@click.option(
    "--plaintext",
    metavar="true|false",
    help="Whether other machines may come unencrypted.",
)
@click.option("--semantics", metavar="|".join(Semantics), help="How facts decide.")
@click.option(
    "--max-staleness",
    metavar="SECONDS",
    help="Deny everything after so long without word from the database.",
)
@click.option(
    "--poll-interval",
    metavar="SECONDS",
    help="Between two looks at a quiet database.",
)
@click.option(
    "--jwks",
    metavar="SOURCE",
    help="URL or file of the token issuer's public keys; without it no tokens are taken.",
)
@click.option("--issuer", metavar="TEXT", help="What a token must have as `iss`.")
@click.option("--audience", metavar="TEXT", help="What must be in a token's `aud`.")
@click.option(
    "--leeway", metavar="SECONDS", help="By which the issuer's clock may differ."
)
@click.option(
    "--max-token-life",
    metavar="SECONDS",
    help="That a token of a session may live at most.",
)
@click.option(
    "--caller-auth",
    metavar="|".join(CallerAuth),
    help="Whether callers must say who they are.",
)
@click.option("--batch-limit", metavar="N", help="Checks in one batch, at most.")
@click.option(
    "--public-url",
    metavar="URL",
    help="Where callers reach it, for AuthZEN's metadata.",
)
@click.option(
    "--authzen-key",
    metavar="PATTERN",
    help="How `{type}` and `{action}` make a permission key.",
)
@click.option(
    "--authzen-instances",
    metavar="true|false",
    help="Whether permissions `{type}:{id}:{action}` count.",
)
@click.option(
    "--authzen-subject-id",
    metavar="|".join(SubjectIds),
    help="How searches call users.",
)
@click.option(
    "--fast-path",
    metavar="true|false",
    help="Whether plain checks are answered before they reach the framework.",
)
@click.option(
    "--routes", metavar="FILE", help="What requests need that proxies ask about."
)
@click.option(
    "--cookie", metavar="NAME", help="Where such requests may have a token as well."
)
@click.option("--log-level", metavar="|".join(LogLevel), help="Log from here on.")
@click.option(
    "--at-least-timeout",
    metavar="SECONDS",
    help="That a request waits for what its caller wrote.",
)
@click.option(
    "--snapshot-dir",
    metavar="DIRECTORY",
    help="Keep what is known here, for a start while the database is away.",
)
@click.option(
    "--drain-timeout",
    metavar="SECONDS",
    help="For requests in flight when it ends.",
)
@click.option(
    "--upstream",
    metavar="URL",
    help="Base URL of the hosted API, for what isn't answered here.",
)
@with_state
def serve(state: State, /, **flags: str | None) -> None:
    """Answer GET /v1/check on this machine until SIGTERM.

    Each option can be set in the environment, as QEETID_AUTHZ_LISTEN and so on, or
    in the file of --config.
    """
    serving.run(state.settings_of_a_server(**flags))


@click.command()
@_url
@with_state
def status(state: State, /, *, url: str | None) -> int:
    """Ask a running sidecar how it is: how current, how large, and what is wrong.

    The exit code is 0 when it is ready, 1 when it isn't, 2 when it doesn't answer.
    """
    door = _door(state, url)
    address, health = door.address, ask_health(door)
    if state.as_json:
        write_json({"address": str(address), "ready": health.ready, **health.body})
        return 0 if health.ready else Exit.NOT_READY
    word, style = ("ready", "bold green") if health.ready else ("not ready", "bold red")
    console().print(word, style=style)
    entries = health.body.pop("entries", {})
    write_members({"address": str(address), **health.body, **entries})
    return 0 if health.ready else Exit.NOT_READY


@click.command()
@_url
@click.option("-v", "--verbose", is_flag=True, help="Say why not.")
@with_state
def healthcheck(state: State, /, *, url: str | None, verbose: bool) -> int:
    """Exit 0 when the sidecar is ready, else 1.

    For containers; it prints nothing.
    """
    try:
        health = ask_health(_door(state, url))
    except SidecarError as error:
        if verbose:
            click.echo(str(error), err=True)
        return Exit.NOT_READY
    if verbose:
        write_members(health.body)
    return 0 if health.ready else Exit.NOT_READY


def _door(state: State, url: str | None) -> Door:
    if url is None:
        settings = state.settings_without_database()
        certificate = settings.tls_certificate
        tls = None if certificate is None else client_context(certificate)
        return Door(settings.address, tls)
    try:
        return read_url(url)
    except ValueError as error:
        raise click.UsageError(f"--url `{url}` {error}") from error
