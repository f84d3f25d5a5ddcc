"""Row 9: connections that are closed, swallowed, slow, trickling or refused."""

import asyncio
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from qeetid_authz import AsyncAuthorizer
from qeetid_authz.postgres import feed
from qeetid_authz.postgres.connecting import connect
from qeetid_authz.postgres.patience import LONG, QUICK, Patience
from tests.faults.checking import History
from tests.faults.conftest import Recorder, Watched, authors, watched
from tests.faults.proxy import Mode, Proxy
from tests.faults.servers import DATABASE, Mortal, execute
from tests.faults.town import Author, build

BOUND = 0.5  # seconds
SOON = 0.7  # seconds of patience, in place of ten and sixty
CUT_OFF = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE application_name = 'qeetid-authz'"
)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Mortal]:
    """One server for all of these, which leave it well."""
    with Mortal() as made:
        yield made


@pytest.fixture
def server(lasting: Mortal) -> Mortal:
    """The same with a town of the test's own."""
    lasting.drop_database(DATABASE)
    lasting.create_database(DATABASE)
    build(lasting.town)
    return lasting


@pytest.fixture
def proxy(server: Mortal) -> Iterator[Proxy]:
    """A way to the server."""
    with Proxy(server.port) as made:
        yield made


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let patience run out soon."""
    monkeypatch.setattr(feed, "QUICK", Patience(SOON))
    monkeypatch.setattr(feed, "LONG", Patience(SOON, is_renewed=True))


def start(writing: list[Author]) -> None:
    for author in writing:
        author.start()
    time.sleep(0.3)


def settle(
    subject: Watched, writing: list[Author], server: Mortal, since: float
) -> float:
    """Let the authors end; the seconds until a write after the fault was seen."""
    for author in writing:
        author.stop()
    seconds = subject.wait_for_write(writing[0], since)
    subject.assert_right(server.town)
    return seconds


DROPS: dict[str, Callable[[Mortal, Proxy], None]] = {
    "backends of the feed terminated": lambda server, _: execute(server.town, CUT_OFF),
    "connections closed on the way": lambda _, proxy: proxy.close_all(),
}


@pytest.mark.parametrize("how", DROPS)
def test_a_connection_dropped_again_and_again(
    server: Mortal, proxy: Proxy, history: History, recorded: Recorder, how: str
) -> None:
    """It goes on from where it was: nothing is lost, and nothing loaded anew."""
    with (
        authors(history, server.town) as writing,
        watched(proxy.dsn(server.town), history, max_staleness=5.0) as subject,
    ):
        start(writing)
        for _ in range(10):
            DROPS[how](server, proxy)
            time.sleep(0.05)
        recorded(9, how, settle(subject, writing, server, time.monotonic()), subject)

    assert {"start": 1} == subject.authz.replica.resyncs
    assert proxy.accepted >= 3
    assert subject.answers[1] == 0


FAULTS = {
    "swallowed, whoever connects": (Mode.BLACKHOLE, 0.0),
    "each chunk 3 s late": (Mode.DELAY, 3.0),
    "5 bytes a second": (Mode.TRICKLE, 5.0),
    "50 bytes a second": (Mode.TRICKLE, 50.0),
    "refused, after all were closed": (Mode.REFUSE, 0.0),
}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_that_fails_for_a_while(
    server: Mortal, proxy: Proxy, history: History, recorded: Recorder, fault: str
) -> None:
    """Past the bound all is denied; then it goes on from where it was."""
    with (
        authors(history, server.town) as writing,
        watched(proxy.dsn(server.town), history, max_staleness=BOUND) as subject,
    ):
        start(writing)
        proxy.behave(*FAULTS[fault])
        if FAULTS[fault][0] is Mode.REFUSE:
            proxy.close_all()
        left = time.monotonic()
        time.sleep(2.5)
        back = time.monotonic()
        if FAULTS[fault][0] in (Mode.BLACKHOLE, Mode.REFUSE):
            history.away.append((left, back))
        assert subject.watcher.seen[-1].grants is None
        proxy.behave(Mode.PASS)
        recorded(9, fault, settle(subject, writing, server, back), subject)

    assert {"start": 1} == subject.authz.replica.resyncs


@pytest.mark.usefixtures("hurried")
def test_a_connection_that_hangs_is_given_up(
    server: Mortal, proxy: Proxy, history: History, recorded: Recorder
) -> None:
    """Where the old one stays dead and a new one works, the new one is taken."""
    with (
        authors(history, server.town) as writing,
        watched(proxy.dsn(server.town), history, max_staleness=BOUND) as subject,
    ):
        start(writing)
        proxy.abandon_all()
        left = time.monotonic()
        subject.watcher.wait_for(lambda each: each.grants is None, since=left)
        seconds = settle(subject, writing, server, left)
        recorded(9, "half-open, given up after 0.7 s", seconds, subject)

    assert SOON - 0.1 < seconds < SOON + 1.0
    assert proxy.accepted == 2
    assert {"start": 1} == subject.authz.replica.resyncs


@pytest.mark.usefixtures("hurried")
async def test_an_event_loop_gives_up_as_well(server: Mortal, proxy: Proxy) -> None:
    """The asyncio form isn't kept by a dead connection either."""
    async with await AsyncAuthorizer.open(
        proxy.dsn(server.town), max_staleness=BOUND
    ) as authz:
        known = authz.revision
        proxy.abandon_all()
        execute(server.town, "INSERT INTO rbac.permissions (key) VALUES ('a:new')")
        until = time.monotonic() + 10
        while authz.revision == known:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)

        assert proxy.accepted == 2
        assert {"start": 1} == authz.replica.resyncs


@pytest.mark.parametrize(
    ("patience", "seconds", "ends"),
    [
        (Patience(0.3), 0.6, True),
        (Patience(0.3, is_renewed=True), 0.6, True),
        (Patience(2.0), 0.6, False),
        (None, 0.6, False),
    ],
)
def test_patience_with_a_statement(
    database: str, patience: Patience | None, seconds: float, ends: bool
) -> None:
    """A statement that outlasts it ends the connection, and with it any pipeline."""
    with connect(database) as connection:
        connection.patience = patience
        begun = time.monotonic()
        if ends:
            with (
                pytest.raises(psycopg.OperationalError, match="no answer within 0.3"),
                connection.pipeline(),
            ):
                connection.execute("SELECT pg_sleep(%s)", [seconds]).fetchall()
        else:
            connection.execute("SELECT pg_sleep(%s)", [seconds])
        assert connection.closed == ends
        assert (time.monotonic() - begun < seconds) == ends


def test_rows_that_keep_coming_renew_patience(database: str) -> None:
    """So loading may take as long as it takes; a short poll may not."""
    slowly = "SELECT repeat('x', 8192), pg_sleep(0.1) FROM generate_series(1, 8)"
    with connect(database) as connection:
        connection.patience = Patience(0.4, is_renewed=True)
        assert len(connection.execute(slowly).fetchall()) == 8
        connection.patience = Patience(0.4)
        with pytest.raises(psycopg.OperationalError):
            connection.execute(slowly)


def test_the_patience_of_polls() -> None:
    """Short polls are given up first, and within what a usual bound allows."""
    assert QUICK == Patience(10.0)
    assert LONG == Patience(60.0, is_renewed=True)
