"""What the demonstration prints: for people, or one line for a program."""

from collections.abc import Sequence
from shlex import quote
from textwrap import indent
from typing import Protocol

from rich.text import Text

from qeetid_authz_server.cli.answers import grounds, verdict
from qeetid_authz_server.cli.output import console, write_json
from qeetid_authz_server.demo.asking import Answer
from qeetid_authz_server.demo.questions import TENANT
from qeetid_authz_server.demo.stage import Stage

_INDENT = " " * 3


class Audience(Protocol):
    """Who watches the demonstration."""

    def step(self, text: str) -> None:
        """Something begins."""

    def answers(self, stage: Stage, base_url: str, answers: Sequence[Answer]) -> None:
        """The sidecar is up and has answered everything rightly."""


class People:
    """Reads questions, answers and explanations, and what to try next."""

    def step(self, text: str) -> None:
        """Something begins."""
        console().print(f"{text} ...", style="dim")

    def answers(self, stage: Stage, base_url: str, answers: Sequence[Answer]) -> None:
        """The sidecar is up and has answered everything rightly."""
        out = console()
        out.print(f"\nThe sidecar answers at {base_url}, for tenant {TENANT}.")
        for number, answer in enumerate(answers, 1):
            _show(number, answer)
        curl = f"Authorization: ApiKey {stage.api_key}"
        url = base_url + answers[0].target
        out.print("\nAsk it yourself, in another terminal:", style="bold")
        out.print(f"\ncurl -s -H {quote(curl)} {quote(url)}\n")
        out.print("And who is an agent that acts for a user?", style="bold")
        agent = f"Authorization: {stage.credentials['agent_for_user']}"
        out.print(f"\ncurl -s -H {quote(agent)} {quote(f'{base_url}/v1/whoami')}\n")
        out.print(f"The database is {stage.database_url}")
        out.print(
            "What you change there counts within hundredths of a second."
            " Ctrl-C ends it all."
        )


class Program:
    """Reads one line of JSON once the sidecar is ready, and nothing else."""

    def step(self, text: str) -> None:
        """Something begins."""

    def answers(self, stage: Stage, base_url: str, answers: Sequence[Answer]) -> None:
        """The sidecar is up and has answered everything rightly."""
        write_json(
            {
                "base_url": base_url,
                "database_url": stage.database_url,
                "api_key": stage.api_key,
                "tenant_id": stage.tenant_id,
                "jwks": stage.jwks,
                "credentials": stage.credentials,
                "checks": [
                    {
                        "user_id": stage.users[each.question.user],
                        "permission": each.question.permission,
                        "allowed": each.question.allowed,
                    }
                    for each in answers
                ],
            }
        )


def _show(number: int, answer: Answer) -> None:
    out, (user, permission, allowed, shows) = console(), answer.question
    out.print(f"\n{number}. May {user} {permission}? ", style="bold", end="")
    out.print(f"({shows})", style="dim")
    out.print(f"{_INDENT}GET {answer.target}", style="dim")
    with out.capture() as captured:
        out.print(verdict(user, TENANT, permission, allowed=allowed))
        for part in grounds(answer.body, user):
            out.print(part)
    out.print(Text.from_ansi(indent(captured.get().rstrip(), _INDENT)))
