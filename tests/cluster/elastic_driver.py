"""Compresses with one to three workers on a cluster whose nodes come and go meanwhile; run by `test_elastic.py`.

Arguments: the configuration of compress, the file that names the node of each work item, and `here` or `namespaces`
(each node in a network namespace of its own, with its own address); or the address of the cluster, for the job itself.
Prints a JSON line of what happened.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from jobs.commits.ledger import LedgerRecord
from jobs.commits.work_items import WorkItem
from jobs.compress import command as compress
from jobs.compress.worker import CompressShards
from jobs.config.compress import CompressConfig

_ITEM_SECONDS, _PATIENCE_SECONDS = 0.5, 150
_BRIDGE = "mtest"

CONFIG, SEEN, PLACE = CompressConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


def _address() -> str:
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


class Slow(CompressShards):
    """Takes its time, and tells where it ran."""

    def compress(self, item: WorkItem) -> LedgerRecord:
        """As always, but slowly."""
        time.sleep(_ITEM_SECONDS)
        record = super().compress(item)
        context = ray.get_runtime_context()
        with open(SEEN, "a") as file:
            file.write(f"{context.get_node_id()} {_address()}\n")
        return record


class Nodes:
    """A head and nodes of one core each, here or in namespaces."""

    def __init__(self) -> None:
        self._count = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self.cluster: Any = None

    def start(self) -> None:
        """Start the head."""
        self._shell(f"ip link add {_BRIDGE} type bridge", f"ip addr add 10.77.0.1/24 dev {_BRIDGE}")
        self._shell(f"ip link set {_BRIDGE} up")
        here = {} if PLACE == "here" else {"node_ip_address": "10.77.0.1"}
        head = {"num_cpus": 0, "include_dashboard": False, **here}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)

    def add(self) -> Callable[[], object]:
        """Start a node; the function that ends it as if its machine were gone."""
        self._count += 1
        if PLACE == "here":
            node = self.cluster.add_node(num_cpus=1)
            return lambda: self.cluster.remove_node(node, allow_graceful=False)
        name, address = f"{_BRIDGE}{self._count}", f"10.77.0.{self._count + 1}"
        self._shell(
            f"ip netns add {name}",
            f"ip link add {name} type veth peer name eth0 netns {name}",
            f"ip link set {name} master {_BRIDGE} up",
            f"ip -n {name} addr add {address}/24 dev eth0",
            f"ip -n {name} link set eth0 up",
            f"ip -n {name} link set lo up",
        )
        command = f"ip netns exec {name} {Path(sys.executable).parent}/ray start --address={self.cluster.address}"
        command += f" --node-ip-address={address} --num-cpus=1 --block --disable-usage-stats"
        process = subprocess.Popen(command.split(), start_new_session=True, stdout=subprocess.DEVNULL)
        self._processes.append(process)

        def end() -> None:
            """Cut the link and kill all that runs there."""
            self._shell(f"ip link set {name} down")
            os.killpg(process.pid, signal.SIGKILL)
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
            for pid in map(int, pids.split()):
                os.kill(pid, signal.SIGKILL)

        return end

    def close(self) -> None:
        """End all of it."""
        if self.cluster is not None:
            self.cluster.shutdown()
        for number in range(1, self._count + 1):
            pids = subprocess.run(["ip", "netns", "pids", f"{_BRIDGE}{number}"], capture_output=True, text=True).stdout
            for pid in map(int, pids.split()):
                os.kill(pid, signal.SIGKILL)
            self._shell(f"ip netns del {_BRIDGE}{number}")
        self._shell(f"ip link del {_BRIDGE}")

    def _shell(self, *commands: str) -> None:
        if PLACE == "namespaces":
            for command in commands:
                subprocess.run(command.split(), check=False)


def seen() -> Counter[str]:
    """Work items by node so far."""
    return Counter(SEEN.read_text().splitlines()) if SEEN.exists() else Counter()


def until(what: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)


def come_and_go(nodes: Nodes) -> None:
    """A node joins once the first has done some items; when it has done some, the first vanishes, and a third joins."""
    leave_first = nodes.add()
    job = subprocess.Popen([sys.executable, __file__, *sys.argv[1:3], nodes.cluster.address], stdout=sys.stderr)
    until(lambda: seen().total() >= 2 or job.poll() is not None)
    nodes.add()
    until(lambda: len(seen()) >= 2 or job.poll() is not None)
    leave_first()
    nodes.add()
    status = job.wait(timeout=_PATIENCE_SECONDS)
    addresses = {line.split()[1] for line in seen()}
    print(json.dumps({"status": status, "nodes": len(seen()), "addresses": len(addresses)}))


def run_job(address: str) -> int:
    """The job, on the cluster at this address."""
    ray.init(address=address, log_to_driver=False)
    until(lambda: bool(ray.cluster_resources().get("CPU")))  # type: ignore[no-untyped-call]
    return compress.run(CONFIG, Slow)


def main() -> int:
    """One or the other."""
    if ":" in PLACE:
        return run_job(PLACE)
    nodes = Nodes()
    try:
        nodes.start()
        come_and_go(nodes)
    finally:
        nodes.close()
    return 0


sys.exit(main())
