"""A real head node with token authentication, started as a stranger would start it: `ray start --head`."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
#: Services of a head node that would otherwise take Ray's usual ports.
SERVICES = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
    "ray-client-server-port",
    "node-manager-port",
    "object-manager-port",
)


@dataclass(frozen=True)
class HeadNode:
    """A running cluster of one node."""

    address: str
    """Of the dashboard."""
    gcs: str
    """`host:port` to join it."""
    token: str


@contextmanager
def running_head_node() -> Iterator[HeadNode]:
    """A head node of our own: two cores, loopback only, a token, its own temporary folder and ports. About 5 s."""
    folder = Path(tempfile.mkdtemp(prefix="mh", dir="/tmp"))  # short: Ray makes Unix sockets below it
    ports = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True))
    node = HeadNode(f"http://127.0.0.1:{ports['dashboard-port']}", f"127.0.0.1:{ports['port']}", secrets.token_hex(32))
    command: list[str | Path] = [
        BIN / "ray",
        "start",
        "--head",
        "--block",
        "--num-cpus=2",
        f"--temp-dir={folder}",
        "--disable-usage-stats",
    ]
    command += ["--include-dashboard=true", "--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0"]
    command += [f"--{name}={port}" for name, port in ports.items()]
    if setpriv := shutil.which("setpriv"):  # ends with the tests, even when those are killed
        command = [setpriv, "--pdeathsig", "TERM", *command]
    with (folder / "start.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment(node, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0"),
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
        try:
            _wait(node, process, folder / "start.log")
            yield node
        finally:
            _end(process)
            shutil.rmtree(folder, ignore_errors=True)


def environment(node: HeadNode | None, **more: str) -> dict[str, str]:
    """Environment of a process that knows the token of `node` (none: no token at all) and nothing else about Ray."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": node.token} if node else {}
    path = f"{BIN}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path} | ray | more


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait(node: HeadNode, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if _answers(node):
            return
        if process.poll() is not None:
            break
        time.sleep(0.3)
    raise RuntimeError(f"the head node did not start:\n{log.read_text()}")


def _answers(node: HeadNode) -> bool:
    connection = HTTPConnection(node.address.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/api/jobs/", headers={"Authorization": f"Bearer {node.token}"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End this head node and nothing else (`ray stop` would end every Ray on the machine)."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for member in family:
        if member.is_running():
            member.kill()
