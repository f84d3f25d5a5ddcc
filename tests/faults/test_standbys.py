"""Rows 7 and 8: a standby is promoted without its primary's last commits."""

import time
from collections.abc import Iterator

import pytest

from qeetid_authz import Authorizer
from qeetid_authz.errors import StandbyError
from qeetid_authz.postgres.programs import find_binaries
from tests.faults.checking import History
from tests.faults.conftest import Recorder, authors, watched
from tests.faults.servers import DATABASE, Mortal, execute, given_binaries, value
from tests.integration.following import eventually
from tests.integration.servers import Standby

BOUND = 0.6  # seconds


@pytest.fixture
def standby(server: Mortal) -> Iterator[Standby]:
    """One that streams from the server."""
    with Standby(server, given_binaries() or find_binaries()) as made:
        yield made


def test_a_failover_that_loses_commits(
    server: Mortal, standby: Standby, history: History, recorded: Recorder
) -> None:
    """The standby is refused until it is promoted; then what it lacks is unlearned."""
    here, there = f"127.0.0.1:{server.port}", f"127.0.0.1:{standby.port}"
    both = server.town.replace(here, f"{here},{there}")
    with (
        authors(history, server.town) as writing,
        watched(both, history, max_staleness=BOUND) as subject,
    ):
        eventually(lambda: _replayed(standby) == len(writing))
        execute(
            standby.dsn(),
            "ALTER SYSTEM SET primary_conninfo = ''",
            "SELECT pg_reload_conf()",
        )
        eventually(lambda: value(standby.dsn(), RECEIVERS) == 0)
        ghosts = [author.write(author.granting()) for author in writing]
        subject.watcher.wait_for(
            lambda each: all(
                history.is_visible(write, each.revision) for write in ghosts
            )
        )
        server.stop()
        left = time.monotonic()
        subject.watcher.wait_for(lambda each: each.grants is None)
        eventually(lambda: isinstance(subject.authz.last_error, StandbyError))
        with pytest.raises(StandbyError, match="give the address of the primary"):
            Authorizer.open(standby.dsn(DATABASE))
        time.sleep(BOUND / 2)
        history.away.append((left, time.monotonic()))
        recorded(8, "connected to a standby, which is refused", None, subject)

        execute(standby.dsn(), "SELECT pg_promote()")
        back = time.monotonic()
        for author in writing:
            author.disconnect()
            author.dsn = standby.dsn(DATABASE)
        seconds = [subject.wait_for_write(author, back) for author in writing]
        subject.assert_right(standby.dsn(DATABASE))
        recorded(7, "a failover that loses commits", seconds[0], subject)

    assert len(ghosts) == len(history.lost)
    assert {"start": 1, "incarnation": 1} == subject.authz.replica.resyncs


RECEIVERS = "SELECT count(*) FROM pg_stat_wal_receiver"


def _replayed(standby: Standby) -> int:
    count: int = value(standby.dsn(DATABASE), "SELECT count(*) FROM faults.written")
    return count
