"""A standby is refused until it is promoted: its snapshots can't carry the feed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psycopg
import pytest

from qeetid_authz import AsyncAuthorizer, Authorizer
from qeetid_authz.errors import StandbyError
from qeetid_authz.postgres.embedded import Cluster
from qeetid_authz.postgres.migrate import Status, migrate, remove, status
from qeetid_authz.replica import SCHEMA_VERSION
from tests.integration.following import assert_follows, described, eventually
from tests.integration.servers import BINARIES, Standby, rows, run, version_of
from tests.tables import write
from tests.writes import random_tables

READY = Status(
    version=SCHEMA_VERSION, latest=SCHEMA_VERSION, disarmed=(), differences=()
)
ADD_A_KEY = "INSERT INTO rbac.permissions (key) VALUES ('town:new')"
COUNT_IT = "SELECT count(*) FROM rbac.permissions WHERE key = 'town:new'"


@contextmanager
def pair(binaries: Path) -> Iterator[tuple[Cluster, Standby]]:
    """A primary with a migrated database `town` full of facts, and its standby."""
    with Cluster(binaries=binaries) as primary:
        primary.create_database("town")
        migrate(primary.dsn("town"), bootstrap=True)
        with psycopg.connect(primary.dsn("town")) as connection:
            write(random_tables(Random(1)), connection)
        with Standby(primary, binaries) as standby:
            yield primary, standby


@pytest.fixture(scope="module", params=BINARIES, ids=version_of)
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, Standby]]:
    """A pair for tests that leave it as it is."""
    with pair(request.param) as made:
        yield made


def test_the_standby_is_one(servers: tuple[Cluster, Standby]) -> None:
    """It replays what its primary commits, and takes no writes."""
    primary, standby = servers
    run(primary.dsn("town"), ADD_A_KEY)

    eventually(lambda: rows(standby.dsn("town"), COUNT_IT) == [(1,)])
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        run(standby.dsn("town"), ADD_A_KEY)


def test_opening_over_a_standby_is_refused(servers: tuple[Cluster, Standby]) -> None:
    """The error says what the server is, and whose address to give."""
    _, standby = servers
    authz = Authorizer(standby.dsn("town"))

    with pytest.raises(StandbyError, match="give the address of the primary"):
        authz.__enter__()

    assert not authz.is_loaded


async def test_the_asynchronous_form_is_refused_too(
    servers: tuple[Cluster, Standby],
) -> None:
    """The asyncio form tells the same."""
    _, standby = servers

    with pytest.raises(StandbyError, match="give the address of the primary"):
        await AsyncAuthorizer.open(standby.dsn("town"))


def test_a_standby_is_not_migrated(servers: tuple[Cluster, Standby]) -> None:
    """It tells what is installed; it installs and removes nothing."""
    _, standby = servers
    assert status(standby.dsn("town")) == READY

    with pytest.raises(StandbyError, match="give the address of the primary"):
        migrate(standby.dsn("postgres"), bootstrap=True)
    with pytest.raises(StandbyError, match="give the address of the primary"):
        remove(standby.dsn("town"))


@pytest.mark.parametrize("binaries", BINARIES, ids=version_of)
def test_a_failover(binaries: Path) -> None:
    """With both addresses in its DSN, a replica follows the promoted standby.

    In between it knows no more than it did; then it loads everything anew, since the
    two histories may differ.
    """
    with pair(binaries) as (primary, standby):
        address = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        dsn = primary.dsn("town").replace(f"127.0.0.1:{primary.port}", address)
        with Authorizer.open(dsn) as authz:
            known = described(authz)
            primary.stop()
            eventually(lambda: isinstance(authz.last_error, StandbyError))
            assert described(authz) == known

            run(standby.dsn("town"), "SELECT pg_promote()")
            run(standby.dsn("town"), ADD_A_KEY)

            with psycopg.connect(standby.dsn("town"), autocommit=True) as connection:
                assert_follows(authz, connection)
            assert authz.replica.resyncs == {"start": 1, "incarnation": 1}
            assert described(authz) != known
