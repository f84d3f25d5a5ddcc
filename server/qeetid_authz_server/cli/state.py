"""What the options that go with every command say.

They may stand before the command or behind it; the later one counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias

import click

from qeetid_authz.postgres.connecting import has_password
from qeetid_authz_server.loading import DATABASE_MISSING, SettingsError, load_settings
from qeetid_authz_server.settings import PREFIX, Settings

_NO_DATABASE = "dbname=none"


@dataclass(slots=True)
class State:
    """The options that go with every command.

    Attributes:
        database_url: the DSN given as a flag, above environment and file.
        config: a file of settings.
        as_json: whether programs read the output.
    """

    database_url: str | None = None
    config: Path | None = None
    as_json: bool = False

    def settings(self, **flags: object) -> Settings:
        """The settings, each flag that isn't None above environment and file.

        Raises:
            SettingsError: with every problem there is.
        """
        return load_settings(self.config, **{"database_url": self.database_url} | flags)

    def settings_of_a_server(self, **flags: str | None) -> Settings:
        """The settings of a command that runs on, without a password in any flag.

        Everybody on the machine is shown the command lines of its processes.

        Raises:
            SettingsError: with every problem there is.
        """
        settings = self.settings(**flags)
        dsn, jwks = self.database_url, flags["jwks"]
        shown = {
            "DATABASE_URL": dsn is not None and has_password(dsn),
            "JWKS": jwks is not None and "://" in jwks and "@" in jwks,
        }
        problems = [
            f"{PREFIX}{name} has a password in it, and the flags of a process are shown"
            " to everybody on this machine; give it in the environment or in the file"
            " of --config"
            for name, is_shown in shown.items()
            if is_shown
        ]
        if problems:
            raise SettingsError(problems)
        return settings

    def settings_for_demo(self) -> tuple[str | None, Settings]:
        """The DSN, if flag, environment or file give one, and all other settings.

        Raises:
            SettingsError: with every problem there is.
        """
        try:
            settings = self.settings()
        except SettingsError as error:
            if not any(DATABASE_MISSING in problem for problem in error.problems):
                raise
            return None, self.settings_without_database()
        return settings.database_url, settings

    def settings_without_database(self, **flags: object) -> Settings:
        """The settings for a command that asks no database.

        Raises:
            SettingsError: with every problem there is.
        """
        return self.settings(database_url=_NO_DATABASE, **flags)


P = ParamSpec("P")
Command: TypeAlias = Callable[P, int | None]


def with_state(command: Callable[Concatenate[State, P], int | None]) -> Command[P]:
    """Give a command the options that go with every one, as a `State` in front."""
    decorated: Command[P] = click.make_pass_decorator(State, ensure=True)(command)
    for option in _OPTIONS:
        decorated = option(decorated)
    return decorated


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        setattr(context.ensure_object(State), str(option.name), value)


_OPTIONS = (
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Write JSON, for programs.",
    ),
    click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        expose_value=False,
        callback=_remember,
        help="A TOML file of settings.",
    ),
    click.option(
        "--database-url",
        metavar="DSN",
        expose_value=False,
        callback=_remember,
        help="The Qeet ID database. [env: QEETID_AUTHZ_DATABASE_URL]",
    ),
)
