"""Rows 5, 6 and 16: the server comes back with another past than the one followed."""

import signal
from time import monotonic

import psycopg

from tests.faults.checking import History
from tests.faults.conftest import Recorder, Watched, authors, watched
from tests.faults.servers import DATABASE, Mortal, Restored, execute, value
from tests.faults.town import build

CYCLES = 3
ABORTED = 150
FOLLOWER = "follower"
"""A role that is kept out for as long as the test wants to be the first."""


def test_transaction_ids_given_twice(
    server: Mortal, history: History, recorded: Recorder
) -> None:
    """Commits under ids that were seen to abort before a crash are not passed over."""
    execute(
        server.dsn(),
        f"CREATE ROLE {FOLLOWER} LOGIN PASSWORD 'x' IN ROLE qeetid_authz_reader",
    )
    dsn = psycopg.conninfo.make_conninfo(server.town, user=FOLLOWER, password="x")
    reused = 0
    seconds = []
    with (
        authors(history, server.town) as writing,
        watched(dsn, history, max_staleness=20.0) as subject,
    ):
        for _ in range(CYCLES):
            _seen_to_abort(server, subject)
            execute(server.dsn(), f"ALTER ROLE {FOLLOWER} NOLOGIN")
            # What isn't flushed is forgotten, and its ids are given again.
            highest = _seen_to_abort(server, subject)
            server.shut_down(signal.SIGKILL)
            server.come_back()
            for author in writing:
                author.disconnect()
                some = [author.write(author.statement()) for _ in range(2)]
                reused += sum(write.xid <= highest for write in some)
            execute(server.dsn(), f"ALTER ROLE {FOLLOWER} LOGIN")
            seconds.append(subject.wait_for_write(writing[0], monotonic()))
        subject.assert_right(server.town)
        recorded(5, "aborted transaction ids given again", max(seconds), subject)

    assert reused > 0
    assert {"start": 1, "incarnation": CYCLES} == subject.authz.replica.resyncs


def _seen_to_abort(server: Mortal, subject: Watched) -> int:
    highest = _abort(server)
    subject.watcher.wait_for(lambda each: each.revision.xmax > highest)
    return highest


def _abort(server: Mortal) -> int:
    """The last of many transaction ids that came to nothing."""
    highest = 0
    with psycopg.connect(server.town) as connection:
        for _ in range(ABORTED):
            row = connection.execute(
                "SELECT pg_current_xact_id()::text::bigint"
            ).fetchone()
            connection.rollback()
            assert row is not None
            highest = row[0]
    return highest


def test_commits_that_a_crash_forgets(history: History, recorded: Recorder) -> None:
    """What was seen of an asynchronous commit is gone as soon as the commit is."""
    with Mortal(synchronous_commit="off", wal_writer_delay="10s") as server:
        server.create_database(DATABASE)
        build(server.town)
        execute(server.dsn(), "CHECKPOINT")
        with (
            authors(history, server.town) as writing,
            watched(server.town, history, max_staleness=5.0) as subject,
        ):
            execute(server.dsn(), "CHECKPOINT")
            seen = [author.write(author.granting()) for author in writing]
            subject.watcher.wait_for(
                lambda each: all(
                    history.is_visible(write, each.revision) for write in seen
                )
            )
            server.shut_down(signal.SIGKILL)
            back = server.come_back()
            for author in writing:
                author.disconnect()
            seconds = [subject.wait_for_write(author, back) for author in writing]
            subject.assert_right(server.town)
            recorded(6, "asynchronous commits lost in a crash", seconds[0], subject)

        assert history.lost
        assert {"start": 1, "incarnation": 1} == subject.authz.replica.resyncs


def test_a_dump_restored_into_another_cluster(
    server: Mortal, history: History, recorded: Recorder
) -> None:
    """Where all transaction ids are lower, at the address that was followed."""
    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=5.0) as subject,
    ):
        dump = server.run("pg_dump", f"--dbname={server.town}")
        for _ in range(3):
            _abort(server)
        seen = [author.write(author.granting()) for author in writing]
        subject.watcher.wait_for(
            lambda each: all(history.is_visible(write, each.revision) for write in seen)
        )
        highest = subject.authz.revision.xmax
        server.shut_down(signal.SIGINT)
        with Restored(server, dump) as other:
            back = monotonic()
            for author in writing:
                author.disconnect()
            seconds = [subject.wait_for_write(author, back) for author in writing]
            subject.assert_right(other.town)
            recorded(16, "restored into another cluster", seconds[0], subject)

            assert value(other.town, "SELECT pg_current_xact_id()::text::int") < highest
    assert len(seen) == len(history.lost)
    assert {"start": 1, "incarnation": 1} == subject.authz.replica.resyncs
