"""Questions to a database, or to a document: check, explain, permissions, who-can."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import click

from qeetid_authz.decision.decision import Decision
from qeetid_authz.decision.reasons import Reason
from qeetid_authz.model import Semantics
from qeetid_authz_server.cli.answers import grounds, verdict, why_not
from qeetid_authz_server.cli.exits import Exit
from qeetid_authz_server.cli.output import console, printable, write_json
from qeetid_authz_server.cli.sources import Source, open_source
from qeetid_authz_server.cli.state import State, with_state
from qeetid_authz_server.outgoing.wire import explanation_body, sentence

_Parameter: TypeAlias = Callable[[Any], Any]
"""What gives a command, or a function, one more parameter."""

_PAGE = 1000  # users whose e-mails are looked up at once


class Text(click.ParamType[str]):
    """An argument that is text, not bytes of an unknown encoding."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Refuse what can't be encoded."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"`{ascii(text)[1:-1]}` is no UTF-8 text", param, ctx)
        return text


_user: _Parameter = click.argument("user", type=Text())
_tenant: _Parameter = click.argument("tenant", type=Text())
_permission: _Parameter = click.argument("permission", type=Text())
_facts = click.option(
    "--facts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Answer from a document instead of a database.",
)
_semantics = click.option(
    "--semantics",
    type=click.Choice([each.value for each in Semantics]),
    help="Tenants isolated and the inactive denied, or as Qeet ID's server answers.",
)


def _asking(*arguments: _Parameter) -> _Parameter:
    """What a question names, in this order, and what every question may add."""

    def decorate(command: Any) -> Any:
        for parameter in (_semantics, _facts, *reversed(arguments)):
            command = parameter(command)
        return command

    return decorate


def exit_code(reason: Reason) -> int:
    """What `check` and `explain` end with."""
    if reason is Reason.STALE:
        return Exit.FAILED
    return Exit.DONE if reason is Reason.GRANTED else Exit.DENIED


@click.command()
@_asking(_user, _tenant, _permission)
@with_state
def check(
    state: State,
    /,
    *,
    user: str,
    tenant: str,
    permission: str,
    facts: Path | None,
    semantics: str | None,
) -> int:
    """Ask whether USER may PERMISSION in TENANT.

    USER is an e-mail or an id, that of a service principal or an agent as well,
    TENANT an id or a slug. The exit code is 0 when allowed, 1 when denied, 2 when it
    couldn't be decided.
    """
    with open_source(state, facts, semantics) as source:
        principal = source.principal(user, tenant)
        decision = source.engine.check(principal, permission)
    if state.as_json:
        write_json(_decision_body(decision, source.engine.semantics))
        return exit_code(decision.reason)
    console().print(verdict(user, tenant, permission, allowed=decision.allowed))
    if not decision:
        console().print(why_not(decision.reason))
    return exit_code(decision.reason)


@click.command()
@_asking(_user, _tenant, _permission)
@with_state
def explain(
    state: State,
    /,
    *,
    user: str,
    tenant: str,
    permission: str,
    facts: Path | None,
    semantics: str | None,
) -> int:
    """Show why USER may, or may not, PERMISSION in TENANT.

    All grant paths are drawn as a tree; on a denial, what would be enough. The
    exit code is that of `check`.
    """
    with open_source(state, facts, semantics) as source:
        principal = source.principal(user, tenant)
        explanation = source.engine.explain(principal, permission)
        user = source.user_label(principal)
    body = explanation_body(explanation, source.engine.semantics)
    if state.as_json:
        write_json(body)
        return exit_code(explanation.reason)
    console().print(verdict(user, tenant, permission, allowed=explanation.allowed))
    for part in grounds(body, user):
        console().print(part)
    return exit_code(explanation.reason)


@click.command()
@_asking(_user, _tenant)
@with_state
def permissions(
    state: State,
    /,
    *,
    user: str,
    tenant: str,
    facts: Path | None,
    semantics: str | None,
) -> None:
    """List what USER may do in TENANT, one permission key a line."""
    with open_source(state, facts, semantics) as source:
        principal = source.principal(user, tenant)
        held = source.engine.effective_permissions(principal)
    if state.as_json:
        write_json({"permissions": held})
        return
    for key in held:
        click.echo(printable(key))


@click.command("who-can")
@_asking(_tenant, _permission)
@with_state
def who_can(
    state: State,
    /,
    *,
    tenant: str,
    permission: str,
    facts: Path | None,
    semantics: str | None,
) -> None:
    """List everyone who may PERMISSION in TENANT.

    Each line is the id and the e-mail of a user, or the id of a service principal or
    an agent; with --json an object.
    """
    with open_source(state, facts, semantics) as source:
        tenant_id = source.tenant_id(tenant)
        users = source.engine.who_can(tenant_id, permission)
        for user_id, email in _with_emails(source, users):
            if state.as_json:
                write_json({"user_id": user_id, "email": email})
            else:
                click.echo(f"{user_id}  {printable(email or '')}".rstrip())


def _with_emails(
    source: Source, users: Iterator[str]
) -> Iterator[tuple[str, str | None]]:
    while page := list(islice(users, _PAGE)):
        emails = source.directory.emails(page)
        yield from ((user_id, emails.get(user_id)) for user_id in page)


def _decision_body(decision: Decision, semantics: Semantics) -> dict[str, object]:
    reason = {} if decision else {"reason": sentence(decision.reason, semantics)}
    return {
        "allowed": decision.allowed,
        **reason,
        "code": decision.reason,
        "revision": str(decision.revision),
        "age_s": round(decision.age, 3),
    }
