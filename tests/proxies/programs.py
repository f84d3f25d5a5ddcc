"""The real proxies, run by the configuration that the documentation shows."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx

CONFIGURATION = Path(__file__).parents[2] / "docs" / "integrations" / "proxies"
PROXIES = ("nginx", "caddy", "traefik", "envoy")

_PATIENCE = 15.0  # seconds
_UNCONFIGURED = 404  # what Traefik answers before it has read its routes
_TOO_LITTLE = "http {\n"
_OF_OUR_OWN = "http {\n    access_log off;\n" + "".join(
    f"    {kind}_temp_path {kind};\n"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
_FILES = {
    "nginx": ["nginx.conf"],
    "caddy": ["Caddyfile"],
    "traefik": ["traefik.yaml", "traefik-routes.yaml"],
    "envoy": ["envoy.yaml"],
}
_COMMANDS = {
    "nginx": ["-p", ".", "-c", "nginx.conf", "-e", "stderr"],
    "caddy": ["run", "--config", "Caddyfile", "--adapter", "caddyfile"],
    "traefik": ["--configfile=traefik.yaml"],
    "envoy": ["-c", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1"],
}


def find(name: str) -> str:
    """Where a proxy's program is: the system's, else that of a wheel."""
    beside = Path(sys.executable).parent
    everywhere = f"{os.environ['PATH']}:/usr/sbin"
    found = shutil.which(name, path=everywhere) or shutil.which(name, path=beside)
    found = found or shutil.which(f"{name}-wheel", path=beside)
    assert found is not None, f"`{name}` is missing; `pip install -e '.[dev]'`"
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def configuration(name: str, replaced: Mapping[str, str]) -> str:
    """A file of the documentation's with pieces of it replaced, each of which it has."""
    text = (CONFIGURATION / name).read_text("utf-8")
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


@contextmanager
def running(name: str, directory: Path, authorizer: int, backend: int) -> Iterator[str]:
    """A proxy between its clients and an application; its base URL."""
    port = free_port()
    replaced = {
        ":8080": f":{port}",
        "port_value: 8080": f"port_value: {port}",
        ":4010": f":{authorizer}",
        "port_value: 4010": f"port_value: {authorizer}",
        ":8000": f":{backend}",
        "port_value: 8000": f"port_value: {backend}",
        _TOO_LITTLE: _OF_OUR_OWN,
        "events {}": "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}",
    }
    directory.mkdir(parents=True, exist_ok=True)
    for file in _FILES[name]:
        (directory / file).write_text(configuration(file, replaced))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [find(name), *_COMMANDS[name]],
            cwd=directory,
            env=os.environ | {"HOME": str(directory)},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(process, port, directory / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = monotonic() + _PATIENCE
    while monotonic() < deadline and process.poll() is None:
        try:
            url = f"http://127.0.0.1:{port}/"
            if httpx.get(url, timeout=1, trust_env=False).status_code != _UNCONFIGURED:
                return
        except httpx.HTTPError:
            pass
        sleep(0.02)
    raise AssertionError(log.read_text("utf-8", "replace")[-4000:])
