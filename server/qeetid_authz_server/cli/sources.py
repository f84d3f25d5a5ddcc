"""Where the commands that ask questions take the facts from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qeetid_authz.authorizer import Authorizer
from qeetid_authz.engine.engine import Engine
from qeetid_authz.model import Semantics
from qeetid_authz.postgres.connecting import connect
from qeetid_authz.postgres.lookup import DatabaseDirectory
from qeetid_authz.principal import Principal
from qeetid_authz_server.cli.directories import (
    Directory,
    DocumentDirectory,
    find_tenant,
    find_user,
)
from qeetid_authz_server.cli.files import read_file
from qeetid_authz_server.cli.output import console
from qeetid_authz_server.cli.state import State

# A question is answered at the snapshot that was loaded for it, however long that
# took; this many seconds are as good as no bound.
_NO_BOUND = 86_400.0


@dataclass
class Source:
    """Names and facts; the facts are loaded when a question needs them."""

    directory: Directory
    load: Callable[[], Engine]

    @cached_property
    def engine(self) -> Engine:
        """What answers."""
        return self.load()

    def close(self) -> None:
        """Let go of the facts, if they were loaded."""
        if "engine" in vars(self):
            self.engine.close()

    def tenant_id(self, tenant: str) -> str:
        """The id of a tenant, given by id or slug.

        Raises:
            UnknownNameError: no tenant has this slug.
        """
        return find_tenant(self.directory, tenant)

    def principal(self, user: str, tenant: str) -> Principal:
        """A user in a tenant, each given by id or by name.

        Raises:
            UnknownNameError: no user or no tenant has this name.
        """
        return Principal.user(find_user(self.directory, user), self.tenant_id(tenant))

    def user_label(self, principal: Principal) -> str:
        """What people call the user."""
        emails = self.directory.emails([principal.id])
        return emails.get(principal.id, principal.id)


@contextmanager
def open_source(
    state: State, facts: Path | None, semantics: str | None
) -> Iterator[Source]:
    """The document at `facts`, or else the database of the settings.

    Raises:
        SettingsError: the settings are wrong.
        DatabaseError: the database can't serve.
        DocumentError, FileError: the document can't.
    """
    if facts is not None:
        chosen = state.settings_without_database(semantics=semantics).semantics
        document = read_file(facts)
        yield Source(
            DocumentDirectory(document), lambda: Engine.from_facts(document, chosen)
        )
        return
    settings = state.settings(semantics=semantics)
    with connect(settings.database_url) as connection:
        source = Source(
            DatabaseDirectory(connection),
            lambda: _load(settings.database_url, settings.semantics),
        )
        try:
            yield source
        finally:
            source.close()


def _load(dsn: str, semantics: Semantics) -> Engine:
    with console(stderr=True).status("loading the facts"):
        return Authorizer.open(dsn, semantics=semantics, max_staleness=_NO_BOUND)
