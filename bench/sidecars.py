"""A sidecar in a process of its own, as `qeetid-authz serve` runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil

_PREFIX = "QEETID_AUTHZ_"


class Sidecar(NamedTuple):
    """Where it listens, and its process."""

    port: int
    process: psutil.Process

    def processor_time(self) -> float:
        """Seconds that it has worked so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def sidecar(dsn: str, pem: str) -> Iterator[Sidecar]:
    """Serve a database and the tokens signed with a key; ended at the end.

    Raises:
        RuntimeError: it doesn't come up.
    """
    plain = {k: v for k, v in os.environ.items() if not k.startswith(_PREFIX)}
    given = {"DATABASE_URL": dsn, "LISTEN": "127.0.0.1:0", "JWKS": pem}
    with subprocess.Popen(
        [sys.executable, "-m", "qeetid_authz_server", "serve"],
        stderr=subprocess.PIPE,
        text=True,
        env=plain | {_PREFIX + name: value for name, value in given.items()},
    ) as process:
        try:
            yield Sidecar(_port(process), psutil.Process(process.pid))
        finally:
            process.terminate()


def _port(process: subprocess.Popen[str]) -> int:
    """Where it says it listens."""
    told = []
    for line in process.stderr or ():
        told.append(line)
        if '"event": "serving"' in line:
            return int(json.loads(line)["url"].rpartition(":")[2])
    raise RuntimeError(f"the sidecar ended: {''.join(told)}")
