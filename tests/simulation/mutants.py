"""The feed with one thing wrong at a time, each of which the simulation has to find."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from qeetid_authz import replica as judgement
from qeetid_authz import replicated
from qeetid_authz.postgres import feed, following
from qeetid_authz.replica import Probe, Replica
from qeetid_authz.revision import Revision

Patch = Callable[[], AbstractContextManager[Any]]

_since, _probe, _cause = feed._since, feed._probe, Replica._cause


def _in_feed(**over: Any) -> Patch:
    return lambda: mock.patch.multiple(feed, **over)


def _deaf_to(*causes: str) -> Patch:
    def cause(self: Replica, probe: Probe, seen: Revision) -> str | None:
        found = _cause(self, probe, seen)
        return None if found in causes else found

    return lambda: mock.patch.object(Replica, "_cause", cause)


def _without_running(known: Revision) -> dict[str, Any]:
    return _since(known) | {"running": []}


def _from_after(known: Revision) -> dict[str, Any]:
    return _since(known) | {"xmax": str(known.xmax + 1)}


def _armed(shown: Any) -> Probe:
    *head, _, fingerprint = shown
    return _probe([*head, (), fingerprint])


def _as_primary(shown: Any) -> Probe:
    snapshot, incarnation, *rest = shown
    return _probe([snapshot, incarnation or "", *rest])


def _first_page(cursor: str, fetched: list[Any]) -> Iterator[Any]:
    yield from ()
    return fetched  # type: ignore[return-value]


def _first_some(touched: list[Any]) -> list[Any]:
    return _asked(touched[:3])


_asked = feed._asked


def _late(replica: Any, sink: Any, clock: Any, jitter: Any) -> Any:
    """The age counted from the end of a poll."""

    class Late:
        prepare, feed_failed = sink.prepare, sink.feed_failed
        chore, expire = sink.chore, sink.expire

        def publish(self, update: Any, current_at: float, prepared: Any = None) -> None:
            sink.publish(update, clock(), prepared)

    return following.follow(replica, Late(), clock, jitter)


def _patient(self: Replica, jitter: float) -> float:
    return self.interval * 2.0**self.failures


MUTANTS: dict[str, Patch] = {
    "running transactions skipped": _in_feed(_since=_without_running),
    "one transaction skipped": _in_feed(_since=_from_after),
    "incarnation not compared": _deaf_to("incarnation", "rewound"),
    "floor not compared": _deaf_to("pruned"),
    "fingerprint not compared": _deaf_to("tables"),
    "triggers not looked at": _in_feed(_probe=_armed),
    "standby taken for a primary": _in_feed(_probe=_as_primary),
    "tables not locked": _in_feed(_OPENING=("begin", "limit_lock", "forbid_jit")),
    "a snapshot for each statement": _in_feed(
        _SQL=feed._SQL | {"begin": "BEGIN READ ONLY"}
    ),
    "one page fetched": _in_feed(_fetch=_first_page),
    "some keys read again": _in_feed(_asked=_first_some),
    "cursor kept when an update failed": lambda: mock.patch.object(
        judgement, "UNTRUSTWORTHY", ()
    ),
    "index kept when changes went unseen": lambda: mock.patch.object(
        replicated, "UNTRUSTWORTHY", ()
    ),
    "news never believed": lambda: mock.patch.object(
        Replica, "is_followed_by", return_value=True
    ),
    "age counted from the answer": lambda: mock.patch(
        "tests.simulation.world.follow", _late
    ),
    "pauses without bound": lambda: mock.patch.object(Replica, "pause", _patient),
}
