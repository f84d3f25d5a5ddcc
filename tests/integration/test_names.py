"""E-mails and slugs, looked up as they are now."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from qeetid_authz.ids import format_id
from qeetid_authz.postgres.lookups import Lookups
from qeetid_authz.postgres.names import Names
from qeetid_authz_server.incoming.subjects import Subjects
from tests.tables import Tables, named, write

ACME, ANN, BOB = named("tenant", "acme"), named("user", "ann"), named("user", "bob")


@pytest.fixture
async def names(database: str, connection: psycopg.Connection) -> AsyncIterator[Names]:
    """Those of a town with Ann, Bob and Acme."""
    users = {ANN: "active", BOB: "active"}
    write(Tables(tenants={ACME: "active"}, users=users), connection)
    for id_, email in ((ANN, "Ann@acme.test"), (BOB, "bob@acme.test")):
        rename(connection, id_, email)
    connection.execute("UPDATE tenant.tenants SET slug = 'Acme'")
    async with Lookups(database) as lookups:
        yield Names(lookups)


def rename(connection: psycopg.Connection, user: bytes, email: str) -> None:
    connection.execute(
        'UPDATE "user".users SET email = %s WHERE id = %s', [email, format_id(user)]
    )


async def test_users(names: Names) -> None:
    """By their e-mails in any case, told by them as they were given."""
    given = ["ANN@acme.test", "bob@acme.test", "eve@acme.test"]

    assert {given[0]: ANN, given[1]: BOB} == await names.users(given)


async def test_the_deleted_are_nobody(
    names: Names, connection: psycopg.Connection
) -> None:
    """Whoever has their e-mail now is meant."""
    deletion = 'UPDATE "user".users SET deleted_at = now() WHERE id = %s'
    connection.execute(deletion, [format_id(ANN)])
    assert {} == await names.users(["ann@acme.test"])

    rename(connection, BOB, "ann@acme.test")
    assert {"ann@acme.test": BOB} == await names.users(["ann@acme.test"])


async def test_tenants(names: Names) -> None:
    """By their slugs in any case."""
    assert {"ACME": ACME} == await names.tenants(["ACME", "acme2"])


async def test_emails(names: Names) -> None:
    """As they are written, of those who exist."""
    expected = {ANN: "Ann@acme.test"}

    assert expected == await names.emails([ANN, named("user", "eve")])


@pytest.mark.parametrize("text", ["a\0@x", "\udcff@x", "\n@x", ""])
async def test_what_no_database_holds(names: Names, text: str) -> None:
    """It is nobody's name, and no error."""
    assert {} == await names.users([text])
    assert {} == await names.tenants([text])
    assert {} == await Subjects(names).find([text])


async def test_subjects(names: Names) -> None:
    """Ids are read in each of their spellings, e-mails looked up."""
    plain, prefixed = format_id(ANN), f"usr_{format_id(BOB)}"
    given = [plain, prefixed, "bob@acme.test", "eve@acme.test", "ann", ""]

    found = await Subjects(names).find(given)

    assert {plain: ANN, prefixed: BOB, "bob@acme.test": BOB} == found
