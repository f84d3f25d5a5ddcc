"""Settings from where they are given, and every way to get them wrong told at once.

A flag wins over the environment, the environment over the file.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from qeetid_authz.credentials.jwks import parse_key_set
from qeetid_authz.credentials.keyendpoint import KeyEndpoint
from qeetid_authz.credentials.keysources import source_of
from qeetid_authz.errors import AuthzError
from qeetid_authz_server.settings import PREFIX, Settings

DATABASE_MISSING = (
    f"{PREFIX}DATABASE_URL is missing; give the DSN of the Qeet ID database"
)

_NEVER_QUOTED = frozenset(  # or hold secrets
    {"database_url", "jwks", "proxy_secret", "snapshot_key", "upstream"}
)


class SettingsError(AuthzError):
    """The configuration breaks its rules.

    Attributes:
        problems: one sentence a problem, each naming the setting and the rule.
    """

    code: ClassVar[str] = "settings_invalid"

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("the settings are invalid: " + "; ".join(self.problems))


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """The settings from flags, environment and file.

    Args:
        config: a TOML file with the fields of `Settings` as top-level keys.
        **flags: fields of `Settings`; one that is None wasn't given.

    Raises:
        SettingsError: any of them is wrong; it lists all that are.
    """
    in_file, problems = _read(config) if config else ({}, [])
    given = {name: value for name, value in flags.items() if value is not None}
    merged = {**in_file, **EnvSettingsSource(Settings)(), **given}
    try:
        settings = Settings(**merged)
    except ValidationError as invalid:
        problems.extend(map(_sentence, invalid.errors(include_url=False)))
    else:
        if not problems:
            return settings
    # Out of the handler: the values it knows, the DSN among them, stay unseen.
    raise SettingsError(problems)


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        return tomllib.loads(path.read_text("utf-8")), []
    except (OSError, ValueError) as error:
        return {}, [f"the file `{path}` can't be read ({error})"]


def _sentence(error: ErrorDetails) -> str:
    name = str(error["loc"][0])
    spelling = PREFIX + name.upper()
    if error["type"] == "extra_forbidden":
        return f"`{name}` is no setting; there are {', '.join(Settings.model_fields)}"
    if error["type"] == "missing":
        return DATABASE_MISSING
    value = "" if name in _NEVER_QUOTED else f" `{error['input']}`"
    return f"{spelling}{value} {_rule(error)}"


def _rule(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    rule = error["msg"].removeprefix("Input ").removeprefix("String ")
    return rule.replace("should ", "must ", 1)


def require_readable_keys(settings: Settings) -> None:
    """Return when keys that lie in a file, or in the setting itself, are of use.

    An endpoint isn't asked: it may be down, and come back.

    Raises:
        SettingsError: they can't be read, or none of them can verify a token.
    """
    if settings.jwks is None:
        return
    source = source_of(settings.jwks)
    if isinstance(source, KeyEndpoint):
        return
    try:
        parse_key_set(source.read().data)
    except AuthzError as error:
        raise SettingsError([f"{PREFIX}JWKS is no source of keys: {error}"]) from None
