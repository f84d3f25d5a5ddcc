"""Cerbos, a server of its own: policies from files, roles from whoever asks.

It doesn't know who holds which role, so the lookup of a user's roles is the caller's and
isn't in its time. A role of the tenant is a role of its policy, a permission an action.
"""

import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import cores
from bench.cases import Absent
from bench.peers.peer import REMEDY, Peer, Product
from bench.peers.relations import Relations, relations
from bench.synthesis import Tenancy
from qeetid_authz.principal import Principal

PATH = "/api/check/resources"
CONTENT_TYPE = "application/json"
ALLOW, DENY = "EFFECT_ALLOW", "EFFECT_DENY"
PATIENCE = 30.0  # seconds

_NODE_MODULES = Path(__file__).parent / "node_modules"
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_TICK = 0.02  # seconds
_QUIET = {"CERBOS_NO_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


class Server(NamedTuple):
    """Where it listens, and its process."""

    port: int
    pid: int


class Asked:
    """A server asked over one connection that stays open, one question a request."""

    def __init__(self, connection: HTTPConnection, told: Relations) -> None:
        self._connection = connection
        self._told = told

    def asker(self, principal: Principal) -> tuple[str, list[str]]:
        """A user and all roles of it, looked up."""
        return principal.id, self._told.roles(principal.id)

    def can(self, asker: tuple[str, list[str]], permission: str) -> bool:
        """The effect of the one action."""
        body = question(*asker, self._told.tenant, permission)
        self._connection.request("POST", PATH, body, {"Content-Type": CONTENT_TYPE})
        with self._connection.getresponse() as response:
            said = json.loads(response.read())
        effect: str = said["results"][0]["actions"][permission]
        assert effect in {ALLOW, DENY}, said
        return effect == ALLOW


def question(user: str, roles: list[str], tenant: str, permission: str) -> bytes:
    """The body of a request."""
    asked = {
        "principal": {"id": user, "roles": roles},
        "resources": [
            {"resource": {"kind": "tenant", "id": tenant}, "actions": [permission]}
        ],
    }
    return json.dumps(asked, separators=(",", ":")).encode()


@contextmanager
def cerbos(told: Relations) -> Iterator[Server]:
    """A server with the facts' roles in its policy; ended at the end.

    Raises:
        Absent: it isn't installed.
        RuntimeError: it doesn't come up.
    """
    program = _program()
    with TemporaryDirectory(prefix="bench-cerbos-") as made:
        folder, (port, grpc_port) = Path(made), _free_ports(2)
        configuration = _write(folder, told, port, grpc_port)
        log = folder / "log"
        with log.open("w") as output, cores.server():
            process = subprocess.Popen(
                [program, "server", f"--config={configuration}", "--log-level=warn"],
                stdout=output,
                stderr=output,
                env=os.environ | _QUIET,
            )
        with process:
            try:
                if not _comes_up(port, process):
                    raise RuntimeError(f"Cerbos doesn't come up: {log.read_text()}")
                yield Server(port, process.pid)
            finally:
                process.terminate()


def _program() -> Path:
    kind = _ARCHITECTURES.get(platform.machine(), platform.machine())
    name = f"cerbos-{platform.system().lower()}-{kind}"
    program = _NODE_MODULES / "@cerbos" / name / name
    if not program.exists():
        raise Absent(f"there is no `{program}`; {REMEDY} where npm is installed")
    return program


def _write(folder: Path, told: Relations, port: int, grpc_port: int) -> Path:
    rules = [
        {"actions": list(keys), "effect": ALLOW, "roles": [role]}
        for role, keys in told.granted.items()
    ]
    policy = {
        "apiVersion": "api.cerbos.dev/v1",
        "resourcePolicy": {"resource": "tenant", "version": "default", "rules": rules},
    }
    policies = folder / "policies"
    policies.mkdir()
    (policies / "tenant.json").write_text(json.dumps(policy))
    configuration = {
        "server": {
            "httpListenAddr": f"127.0.0.1:{port}",
            "grpcListenAddr": f"127.0.0.1:{grpc_port}",
        },
        "storage": {"driver": "disk", "disk": {"directory": str(policies)}},
        "telemetry": {"disabled": True},
    }
    path = folder / "cerbos.json"
    path.write_text(json.dumps(configuration))  # JSON is YAML
    return path


def _free_ports(count: int) -> list[int]:
    with ExitStack() as bound:
        sockets = [bound.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _comes_up(port: int, process: "subprocess.Popen[bytes]") -> bool:
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), closing(HTTPConnection("127.0.0.1", port)) as asking:
            asking.request("GET", "/_cerbos/health")
            if asking.getresponse().status == HTTPStatus.OK:
                return True
        time.sleep(_TICK)
    return False


@contextmanager
def _open(tenancy: Tenancy) -> Iterator[Peer]:
    told = relations(tenancy)
    with (
        cerbos(told) as server,
        closing(
            HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        ) as connection,
    ):
        yield Asked(connection, told)


CERBOS = Product(
    "Cerbos, told the user's roles", "a server over HTTP on localhost", _open
)
