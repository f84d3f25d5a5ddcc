"""Rows 14 and 15: tables are changed under the feed, and its log is cut behind it."""

import threading
import time

import psycopg
import pytest

from qeetid_authz.postgres.migrate import migrate, remove
from tests.faults.checking import History
from tests.faults.conftest import Recorder, authors, watched
from tests.faults.servers import Mortal, execute
from tests.faults.town import DISTRICTS, Author

EXACT = {
    "TRUNCATE": ("TRUNCATE rbac.user_roles", "tables"),
    "TRUNCATE of what others refer to": ("TRUNCATE rbac.permissions CASCADE", "tables"),
    "an ALTER TABLE that rewrites": (
        "ALTER TABLE rbac.user_roles ADD COLUMN rewritten uuid DEFAULT gen_random_uuid()",
        "tables",
    ),
    "VACUUM FULL": ("VACUUM FULL rbac.user_roles", "tables"),
    "a new column": ("ALTER TABLE rbac.roles ADD COLUMN further text", None),
    "session_replication_role": (
        "SET session_replication_role = replica; DELETE FROM rbac.role_permissions",
        None,
    ),
}

CLOSED = {
    "DISABLE TRIGGER": "ALTER TABLE rbac.user_roles DISABLE TRIGGER ALL",
    "a column taken away": 'ALTER TABLE "user".users DROP COLUMN status CASCADE',
    "an empty table in another's place": (
        "ALTER TABLE rbac.user_roles RENAME TO former;"
        " CREATE TABLE rbac.user_roles (LIKE rbac.former INCLUDING ALL)"
    ),
    "a table taken away": "DROP TABLE tenant.group_members",
}


@pytest.mark.parametrize("what", EXACT)
def test_what_is_followed(
    server: Mortal, history: History, recorded: Recorder, what: str
) -> None:
    """What the log tells of is followed, and what it doesn't is loaded anew."""
    statements, cause = EXACT[what]
    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=10.0) as subject,
    ):
        for author in writing:
            author.write(author.granting())
            author.disconnect()
        history.lines.clear()  # it isn't an author who writes now
        execute(server.town, *statements.split("; "))
        back = time.monotonic()
        again = [Author(history, server.town, district) for district in DISTRICTS]
        seconds = subject.wait_for_write(again[0], back)
        for author in again:
            author.stop()
        subject.assert_current(server.town)
        recorded(14, what, seconds, subject)

    expected = {"start": 1} | ({cause: 1} if cause else {})
    assert expected == subject.authz.replica.resyncs
    assert subject.answers[1] == 0


@pytest.mark.parametrize("what", CLOSED)
def test_what_is_not(
    server: Mortal, history: History, recorded: Recorder, what: str
) -> None:
    """Where changes would go unseen, everything is denied at once, and stays so."""
    with watched(server.town, history, max_staleness=10.0) as subject:
        began = time.monotonic()
        execute(server.town, *CLOSED[what].split("; "))
        first = subject.watcher.wait_for(lambda each: each.grants is None, began)
        done = time.monotonic()
        time.sleep(0.3)
        recorded(14, f"{what}: denies", first.ended - began, subject)

        assert all(
            each.grants is None for each in subject.watcher.seen if each.began > done
        )


def test_a_schema_dropped_and_made_again(
    server: Mortal, history: History, recorded: Recorder
) -> None:
    """Without our schema all is denied; when it is back, all is as the tables say."""
    with watched(server.town, history, max_staleness=10.0) as subject:
        remove(server.town)
        subject.watcher.wait_for(lambda each: each.grants is None)
        execute(server.town, "DELETE FROM rbac.role_permissions")
        migrate(server.town)
        back = time.monotonic()
        first = subject.watcher.wait_for(lambda each: each.grants is not None, back)
        subject.assert_current(server.town)
        recorded(14, "the schema dropped, and back", first.ended - back, subject)


def test_pruning_under_writers(
    server: Mortal, history: History, recorded: Recorder
) -> None:
    """Whoever prunes the log as fast as he can takes no change from anybody."""
    over = threading.Event()

    def prune() -> None:
        with psycopg.connect(server.town, autocommit=True) as connection:
            while not over.is_set():
                connection.execute("SELECT qeetid_authz.prune('0')")

    pruning = threading.Thread(target=prune)
    with (
        authors(history, server.town) as writing,
        watched(server.town, history, max_staleness=5.0) as subject,
    ):
        pruning.start()
        for author in writing:
            author.start()
        time.sleep(2.0)
        for author in writing:
            author.stop()
        over.set()
        pruning.join()
        seconds = subject.wait_for_write(writing[0], time.monotonic())
        subject.assert_right(server.town)
        recorded(15, "the log pruned all the time", seconds, subject)

    assert subject.authz.replica.resyncs.get("pruned", 0) > 0
    assert subject.authz.replica.resyncs.keys() == {"start", "pruned"}
