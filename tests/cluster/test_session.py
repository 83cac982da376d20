"""`connect` in processes of its own: it changes process-wide state of Ray, and must put everything back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from ray._private import services

from cluster import discovery
from cluster.errors import ClusterError
from cluster.session import connect
from cluster.settings import ClusterSection
from cluster.stderr_filter import native_lines_dropped
from tests.head_node import HeadNode, environment

BEGIN = """
import logging, os, signal, sys
import psutil, ray
from cluster.errors import ClusterError
from cluster.session import connect
from cluster.settings import ClusterSection
"""


def _python(root: Path, code: str, variables: dict[str, str] | None = None) -> tuple[str, str]:
    """Run `code`; returns what it printed to stdout and stderr."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + code],
        env=environment(None) if variables is None else variables,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


def test_a_local_session_is_private_and_leaves_no_trace(root: Path, tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    out, err = _python(
        root,
        f"""
before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
try:
    with connect(ClusterSection(), need_cpus={cores} + 2):
        @ray.remote
        def chatter():
            print("noise of a worker")
            return os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"])
        print(ray.get(chatter.remote()), ray.cluster_resources()["CPU"])
        children = psutil.Process().children(recursive=True)
        print(*{{c.laddr.ip for p in children for c in p.net_connections("inet") if c.status == "LISTEN"}})
        raise KeyError("of the command")
except KeyError:
    pass
print(before == dict(os.environ), handler == signal.getsignal(signal.SIGTERM), ray.is_initialized())
print(not psutil.wait_procs(children, timeout=20)[1])
""",
        environment(None, HOME=str(tmp_path)),
    )
    auth, listening, restored, ended = out.splitlines()
    assert auth == f"('token', 64) {cores + 2:.1f}"
    assert set(listening.split()) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, "bound beyond the loopback interface"
    assert restored == "True True False"
    assert ended == "True"
    assert err.count("\n") <= 1, "nothing but the warning about too few cores"
    assert not list(tmp_path.rglob("*token*")), "the token is not written to disk"


def test_a_local_cluster_without_the_gpus_is_refused(root: Path) -> None:
    out, _ = _python(
        root,
        """
try:
    with connect(ClusterSection(), need_cpus=1, need_gpus=512): print("entered")
except ClusterError as error:
    print(error)
print(ray.is_initialized())
""",
    )
    assert "GPUs, this command needs 512 at once: lower cluster.workers (or its min) or cluster.gpus_per_worker" in out
    assert "entered" not in out
    assert out.endswith("False\n")


def test_an_open_session_is_used_and_left_open(root: Path) -> None:
    out, _ = _python(
        root,
        """
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
with connect(ClusterSection(), need_cpus=2): pass
try:
    with connect(ClusterSection(), need_cpus=3): pass
except ClusterError as error:
    print(error)
print(ray.is_initialized())
ray.shutdown()
""",
        environment(None, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64),
    )
    assert "the cluster has 2 CPUs, this command needs 3 at once" in out
    assert out.endswith("True\n")


@pytest.mark.usefixtures("ray_cluster")
def test_what_kills_a_worker_is_told_as_a_failure_of_the_cluster() -> None:
    @ray.remote(max_retries=0)
    def doomed(crash: bool) -> None:
        if crash:
            os._exit(1)
        raise KeyError("a defect")

    told = r"the Ray cluster failed \(WorkerCrashedError: .*run the same command again"
    with pytest.raises(ClusterError, match=told), connect(ClusterSection(), need_cpus=1):
        ray.get(doomed.remote(True))
    with pytest.raises(KeyError), connect(ClusterSection(), need_cpus=1):
        ray.get(doomed.remote(False))


def test_where_no_cluster_is_nobody_waits_for_it(root: Path, tmp_path: Path) -> None:
    out, err = _python(
        root,
        """
import time
began = time.monotonic()
for address in ("127.0.0.1:1", "nonsense"):  # what auto finds here may be anybody's
    try:
        with connect(ClusterSection(address=address), need_cpus=1): print("joined")
    except ClusterError as error:
        print(error)
print(time.monotonic() - began < 30)
""",
        environment(None, HOME=str(tmp_path), RAY_TMPDIR=str(tmp_path)),
    )
    *told, quick = out.splitlines()
    for line, address in zip(told, ("127.0.0.1:1", "nonsense"), strict=True):
        assert line.startswith(f"no Ray cluster answers at cluster.address '{address}'")
        assert "set --cluster.address local" in line
    assert (quick, err) == ("True", "")


@pytest.mark.parametrize("target", ["auto", "127.0.0.1:1", "nowhere.invalid:6379", "127.0.0.1", "127.0.0.1:99999"])
def test_where_nothing_listens_that_is_said_soon(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "get_ray_address_from_environment", lambda target, folder: "127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        discovery.find(target, "cluster.address")
    assert time.monotonic() - began < 10
    address = " (127.0.0.1:1)" if target == "auto" else ""
    assert str(caught.value).startswith(f"no Ray cluster answers at cluster.address {target!r}{address} (")
    assert "start one there" in str(caught.value)


def test_a_full_disk_is_told_before_ray_tries_for_ever(root: Path, tmp_path: Path) -> None:
    out, _ = _python(
        root,
        """
import shutil
from types import SimpleNamespace
shutil.disk_usage = lambda path: SimpleNamespace(free=5 << 20)
try:
    with connect(ClusterSection(), need_cpus=1): pass
except ClusterError as error:
    print(error)
print(ray.is_initialized())
""",
        environment(None, RAY_TMPDIR=str(tmp_path / "new")),
    )
    assert f"the disk of {tmp_path}/new/ray, where Ray keeps its logs and sockets, has 5 MB left: free 64 MB" in out
    assert out.endswith("False\n")


def test_what_listens_and_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_cluster(address: str) -> None:
        """As Ray's client, which has waited for an answer that it understands."""
        raise ray.exceptions.RpcError("Timed out while waiting for GCS to become available.")  # type: ignore[no-untyped-call]

    monkeypatch.setattr("ray._raylet.GcsClient", no_cluster)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"no Ray cluster answers at cluster.address '{address}' .Timed out"):
            discovery.find(address, "cluster.address")


def test_auto_without_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: None)
    with pytest.raises(
        ClusterError, match=r"no Ray cluster answers at RAY_ADDRESS 'auto' .*: .* local without RAY_ADDRESS to "
    ):
        discovery.find("auto", "RAY_ADDRESS")


def test_native_lines_are_dropped_and_others_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    kept = "WARNING of Ray\n[2026-01-31 10:00:00,123 F 12 12] raylet.cc:10: Check failed\n"
    with native_lines_dropped():
        os.write(2, b"[2026-01-31 10:00:00,123 W 12 12] gcs_client.cc:210: Failed\n" + kept.encode())
        os.write(2, b"[2026-01-31 10:00:00,123 W 12 12] (python) rpc_client.h:153: Failed\n")
        os.write(2, b"[2026-01-31 10:00:00,123 I 12 12] logging.cc:303: Set ray log level from environment\n")
    assert capfd.readouterr().err == kept


@pytest.mark.slow  # 15 s: a head node, and three processes that import Ray
def test_addresses_that_cannot_be_joined(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    out, err = _python(
        root,
        f"""
from cluster.credentials import reload
for address, token in (
    ("ray://somewhere:10001", "{head_node.token}"),
    ("{head_node.gcs}", "{"0" * 64}"),
    ("{head_node.gcs}", "{head_node.token}"),
):
    os.environ["RAY_AUTH_TOKEN"] = token
    reload()
    try:
        with connect(ClusterSection(address=address), need_cpus=1): print("joined")
    except ClusterError as error:
        print(error)
""",
        # The head node is on the loopback interface only; Ray looks there only if told so before it is loaded.
        environment(None, RAY_AUTH_MODE="token", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0"),
    )
    client, *wrong, right = out.splitlines()
    assert "matryoshka submit" in client
    assert "does not take the token of this command, or misses one: give its token" in "".join(wrong)
    assert right == "joined", out
    assert err == ""
