"""Routes that change while the sidecar runs."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qeetid_authz_server.proxies import keeping
from tests.proxies.test_endpoints import ask, counted
from tests.server.sidecars import eventually, sidecar

HEAD = "proxies: [nginx]\nroutes:\n"
A, B = (f"{HEAD}  - path: /{name}\n    for: anybody\n" for name in "ab")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the routes are; `A` at first."""
    path = tmp_path / "routes.yaml"
    path.write_text(A)
    return path


@pytest.fixture
def base_url(
    settled: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A sidecar that looks often."""
    monkeypatch.setattr(keeping, "LOOK_INTERVAL", 0.02)
    with sidecar(settled, routes=path) as base_url:
        yield base_url


def passes(base_url: str, target: str) -> bool:
    """Whether anybody may have it."""
    return ask(base_url, target, secret=None).status == 200


def is_refused(base_url: str) -> bool:
    """Whether the metrics say that what is in the file can't be used."""
    return counted(base_url)["qeetid_authz_routes_refused"] == 1


def test_a_good_file_is_taken(base_url: str, path: Path) -> None:
    """Written in place, or moved there; another proxy in front included."""
    assert passes(base_url, "/a")
    path.write_text(B)
    eventually(lambda: passes(base_url, "/b"))
    assert not passes(base_url, "/a")

    other = path.with_suffix(".new")
    other.write_text(A)
    other.replace(path)
    eventually(lambda: passes(base_url, "/a"))
    assert not passes(base_url, "/b")

    path.write_text(A.replace("nginx", "caddy"))
    eventually(lambda: ask(base_url, "/a", secret=None).status == 404)


@pytest.mark.parametrize("bad", ["", "x", HEAD, f"{A}{A}", B + "  - path: /c\n", None])
def test_a_bad_file_changes_nothing(
    base_url: str, path: Path, bad: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good routes stay, one event says why, and a metric that it is so."""
    if bad is None:
        path.unlink()
    else:
        path.write_text(bad)
    eventually(lambda: is_refused(base_url))
    assert passes(base_url, "/a")

    path.write_text(A)
    eventually(lambda: not is_refused(base_url))
    assert passes(base_url, "/a")
    told = [r for r in caplog.records if r.getMessage() == "routes_refused"]
    assert 1 == len(told)
    assert logging.ERROR == told[0].levelno
    assert str(path) in told[0].__dict__["problems"][0]


def test_a_permission_that_comes_later_is_waited_for(
    base_url: str, path: Path, connection: psycopg.Connection
) -> None:
    """A file that names one before there is one is taken as soon as there is."""
    path.write_text(f"{B}  - path: /c\n    permission: soon:there\n")
    eventually(lambda: is_refused(base_url))
    assert passes(base_url, "/a")
    connection.execute("INSERT INTO rbac.permissions (key) VALUES ('soon:there')")
    eventually(lambda: passes(base_url, "/b"))
    assert not is_refused(base_url)


def test_a_file_that_is_being_written_is_not_taken(path: Path) -> None:
    """Only one that two looks found alike; what is half there may say too much."""
    keeper = keeping.Keeper(path, lambda _key: True)
    keeper._seen = keeper._judged = A.encode()
    path.write_text(B)

    async def look_twice() -> list[bool]:
        taken = []
        for _ in range(2):
            await keeper.look()
            taken.append(keeper.routing is not None)
        return taken

    assert [False, True] == asyncio.run(look_twice())
