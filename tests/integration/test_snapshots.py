"""Started while the database is away, a replica answers from what was kept, or says why not."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from qeetid_authz import Principal
from qeetid_authz.authorizer import AsyncAuthorizer, Authorizer
from qeetid_authz.postgres.migrate import migrate
from qeetid_authz.snapshots import keeping
from tests.faults.servers import Mortal
from tests.integration.following import described, eventually
from tests.server.town import ACME, ANN, KEY, build

ann = Principal.user(ANN, ACME)
SECRET = "a key of the operator's"


class Away:
    """A server that can be stopped, with a town in it and a directory to keep it in."""

    def __init__(self, server: Mortal, directory: Path) -> None:
        self.server = server
        self.dsn = server.dsn()
        self.directory = directory

    def open(self, **options: Any) -> Authorizer:
        """An authorizer that keeps what it knows."""
        given = {"snapshot_dir": self.directory, "snapshot_key": SECRET} | options
        return Authorizer.open(self.dsn, **cast("Any", given))

    def keep(self, **options: Any) -> dict[str, Any]:
        """Let what is known be kept; what that was."""
        with self.open(**options) as authz:
            eventually((self.directory / "seen.snapshot").exists)
            return described(authz)

    @property
    def facts(self) -> Path:
        """The file of facts."""
        (found,) = self.directory.glob("facts-*.snapshot")
        return found


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Away]:
    """A server of the test's own."""
    with Mortal() as server:
        migrate(server.dsn(), bootstrap=True)
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            build(connection)
        yield Away(server, tmp_path / "kept")


def test_it_answers_while_the_database_is_away_and_follows_when_it_is_back(
    away: Away,
) -> None:
    """All that was known is known, with its age; then everything is loaded anew."""
    known = away.keep()
    away.server.shut_down(signal.SIGINT)
    stopped_at = time.monotonic()
    with away.open() as authz:
        assert known == described(authz)
        assert authz.can(ann, KEY)
        decision = authz.check(ann, KEY)
        assert time.monotonic() - stopped_at <= decision.age < 30.0
        assert "database_unreachable" == getattr(authz.last_error, "code", None)

        away.server.come_back()
        with psycopg.connect(away.dsn, autocommit=True) as connection:
            connection.execute("DELETE FROM rbac.user_roles")
            connection.execute("DELETE FROM tenant.group_members")
        eventually(lambda: not authz.can(ann, KEY))
        assert "no_grant" == authz.check(ann, KEY).reason
        assert {"start": 1} == authz.replica.resyncs


async def test_the_asynchronous_form_does_so_too(away: Away) -> None:
    """On an event loop it keeps and begins the same way."""
    options: Any = {"snapshot_dir": away.directory}
    async with await AsyncAuthorizer.open(away.dsn, **options):
        while not (away.directory / "seen.snapshot").exists():
            await asyncio.sleep(0.01)
    away.server.shut_down(signal.SIGINT)
    async with await AsyncAuthorizer.open(away.dsn, **options) as authz:
        assert authz.can(ann, KEY)
        away.server.come_back()
        while not authz.replica.resyncs:
            await asyncio.sleep(0.01)


def test_changes_are_kept(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later revision takes the place of the former, and nothing is left over."""
    monkeypatch.setattr(keeping, "_FACTS_INTERVAL", 0.01)
    with away.open() as authz:
        eventually((away.directory / "seen.snapshot").exists)
        first = away.facts
        with psycopg.connect(away.dsn, autocommit=True) as connection:
            connection.execute("DELETE FROM rbac.user_roles")
        eventually(lambda: not first.exists())
        eventually(lambda: len(list(away.directory.iterdir())) == 2)
        known = described(authz)
    away.server.shut_down(signal.SIGINT)
    with away.open() as authz:
        assert known == described(authz)


def test_what_changes_no_fact_is_not_kept(
    away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions about other things make revisions, and no facts to write again."""
    monkeypatch.setattr(keeping, "_FACTS_INTERVAL", 0.01)
    monkeypatch.setattr(keeping, "_SEEN_INTERVAL", 0.01)
    with away.open() as authz:
        eventually((away.directory / "seen.snapshot").exists)
        written = away.facts.stat().st_mtime_ns
        first = authz.revision
        with psycopg.connect(away.dsn, autocommit=True) as connection:
            for _ in range(20):
                connection.execute("SELECT pg_current_xact_id()")
                time.sleep(0.02)
        eventually(lambda: authz.revision.xmax >= first.xmax + 20)
        noted = (away.directory / "seen.snapshot").read_bytes()
        eventually(lambda: (away.directory / "seen.snapshot").read_bytes() != noted)
        assert written == away.facts.stat().st_mtime_ns


def test_a_full_disk_keeps_nobody_from_answers(
    away: Away, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be kept is logged, not raised; what was kept before stays."""
    monkeypatch.setattr(keeping, "_FACTS_INTERVAL", 0.01)
    with away.open() as authz:
        eventually((away.directory / "seen.snapshot").exists)
        before = away.facts.read_bytes()

        def full(descriptor: int) -> None:
            os.close(os.open(os.devnull, os.O_RDONLY))
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with psycopg.connect(away.dsn, autocommit=True) as connection:
            connection.execute("DELETE FROM rbac.user_roles")
        eventually(lambda: "No space left" in caplog.text)
        assert authz.can(ann, KEY)
        assert before == away.facts.read_bytes()
    away.server.shut_down(signal.SIGINT)
    monkeypatch.undo()
    with away.open() as authz:
        assert authz.can(ann, KEY)
