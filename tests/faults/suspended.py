"""A process that asks without end, to be suspended: prints what it was told after.

Run as `python -m tests.faults.suspended DSN BOUND USER TENANT KEY`. A line `ready`, and
then one for each time that it woke up: how many of `can` and `check` were allowed within
a moment, in how many seconds it recovered, and the causes of full loads.
"""

import json
import sys
import time

from qeetid_authz import Authorizer, Principal

_SUSPENDED = 0.5  # seconds between two questions that tell of it


def main(dsn: str, bound: str, user: str, tenant: str, key: str) -> None:
    """Ask until killed."""
    who = Principal.user(user, tenant)
    with Authorizer.open(dsn, max_staleness=float(bound)) as authz:
        assert authz.can(who, key)
        assert authz.check(who, key)
        ended = time.monotonic()
        print("ready", flush=True)  # noqa: T201
        while True:
            began, before = time.monotonic(), ended
            checked = authz.check(who, key).allowed
            ended = time.monotonic()
            if ended - before > _SUSPENDED:
                # What was asked before it slept was rightly allowed.
                first = checked and began - before > _SUSPENDED
                told = json.dumps(_after_waking(authz, who, key, first))
                print(told, flush=True)  # noqa: T201
                ended = time.monotonic()


def _after_waking(
    authz: Authorizer, who: Principal, key: str, first: bool
) -> dict[str, object]:
    woke = time.monotonic()
    allowed, last = {"can": 0, "check": int(first)}, 0.0
    while time.monotonic() - woke < _SUSPENDED / 2:
        if authz.can(who, key):
            allowed["can"] += 1
            last = time.monotonic() - woke
        allowed["check"] += authz.check(who, key).allowed
    while authz.is_stale:
        time.sleep(0.001)
    return allowed | {
        "last": last,
        "recovered": time.monotonic() - woke,
        "resyncs": authz.replica.resyncs,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
