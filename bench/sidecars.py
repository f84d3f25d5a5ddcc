"""A sidecar in a process of its own, as `qeetid-authz serve` runs."""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import psutil

from bench import cores
from bench.httpload import Address, Load, Window, ask

_PREFIX = "QEETID_AUTHZ_"


class Served(NamedTuple):
    """Where a server listens, and its process."""

    address: Address
    process: psutil.Process

    def processor_time(self) -> float:
        """Seconds that it has worked so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def loaded(
    served: Served, load: Load, connections: int, seconds: float, repeats: int
) -> tuple[list[Window], list[float]]:
    """Ask in windows of some seconds each, after one to warm up.

    Returns:
        The windows, and for each the microseconds that the server worked on a request.
    """
    windows, worked = [], []
    ask(load, connections, 1)
    for _ in range(repeats):
        before = served.processor_time()
        windows.append(ask(load, connections, seconds))
        spent = served.processor_time() - before
        worked.append(spent / windows[-1].requests * 1e6)
    return windows, worked


@contextmanager
def sidecar(
    dsn: str, pem: str = "", listen: str = "127.0.0.1:0", **settings: str
) -> Iterator[Served]:
    """Serve a database and the tokens signed with a key; ended at the end.

    Args:
        dsn: of the database.
        pem: the issuer's public key, if tokens are taken.
        listen: where, as `QEETID_AUTHZ_LISTEN` has it.
        settings: others, by their names.

    Raises:
        RuntimeError: it doesn't come up.
    """
    plain = {k: v for k, v in os.environ.items() if not k.startswith(_PREFIX)}
    given = {"DATABASE_URL": dsn, "LISTEN": listen, "JWKS": pem}
    given |= {name.upper(): value for name, value in settings.items()}
    with cores.server():
        process = subprocess.Popen(
            [sys.executable, "-m", "qeetid_authz_server", "serve"],
            stderr=subprocess.PIPE,
            text=True,
            env=plain | {_PREFIX + name: value for name, value in given.items()},
        )
    with process:
        try:
            served = Served(_address(process), psutil.Process(process.pid))
            drain = Thread(target=_drain, args=[process], daemon=True)
            drain.start()
            yield served
            process.terminate()
            drain.join()  # before the pipe is closed
        finally:
            process.terminate()


def _drain(process: subprocess.Popen[str]) -> None:
    """Read what it logs: it would wait for a pipe that is full."""
    deque(process.stderr or (), maxlen=0)


def _address(process: subprocess.Popen[str]) -> Address:
    """Where it says it listens."""
    told = []
    for line in process.stderr or ():
        told.append(line)
        if '"event": "serving"' in line:
            url = json.loads(line)["url"]
            scheme, _, path = url.partition(":")
            return Path(path) if scheme == "unix" else int(url.rpartition(":")[2])
    raise RuntimeError(f"the sidecar ended: {''.join(told)}")
