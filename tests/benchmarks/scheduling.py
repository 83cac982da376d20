"""Does compress keep all workers busy to the end, does a second machine help, and does anything go through the driver?

    python -m tests.benchmarks.scheduling [--shards 1000 --gigabytes 3 --input-dim 384 --dim 64] [--json FILE]

1. Shards two decades apart in size, in random order, on two workers of one raylet: time from the first start to the
   last end, against the work itself spread evenly (the sum of the times of the work items, over the workers).
2. The same work on one raylet with one core, and on two raylets with one core each on this machine (Ray's own way to
   have several nodes on one host).
3. Bytes put into the object stores of all raylets, per work item. Smaller objects travel inside messages: the sizes of
   the descriptors and results are printed beside.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from jobs.commits.failures import Cause
from jobs.commits.work_items import Planner, WorkItem
from jobs.config.compress import CompressConfig
from jobs.sources.source import open_source
from tests.benchmarks.sources import SourceShape, make_adaptor, make_source

Run = dict[str, Any]
Address = tuple[str, int]


def file_rows(shards: int, gigabytes: float, input_dim: int) -> tuple[int, ...]:
    """Rows of shards whose sizes are two decades apart, evenly on a logarithmic scale, in random order."""
    sizes = np.geomspace(1, 100, shards)
    rows = sizes * (gigabytes * 1e9 / (input_dim * 4 + 50) / sizes.sum())
    return tuple(max(1, int(count)) for count in np.random.default_rng(0).permutation(rows))


@contextmanager
def raylets(cores: list[int]) -> Iterator[list[Address]]:
    """A Ray cluster of one raylet for each entry, with so many cores; their addresses."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cores[0]})
    for count in cores[1:]:
        cluster.add_node(num_cpus=count)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        yield [(str(node["NodeManagerAddress"]), int(node["NodeManagerPort"])) for node in nodes]
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]


def object_store_bytes(addresses: list[Address]) -> int:
    """Bytes of all objects that were ever created in the object stores."""
    from ray._private.internal_api import node_stats

    stats = [node_stats(host, port, include_memory_info=False) for host, port in addresses]  # type: ignore[no-untyped-call]
    return sum(int(node.store_stats.cumulative_created_bytes) for node in stats)


def run(config: CompressConfig, items: tuple[WorkItem, ...], cores: list[int]) -> Run:
    """Do the work items on such a cluster with as many workers as it has cores."""
    from jobs.compress.worker import stream_results

    descriptor = TypeAdapter(WorkItem)
    with raylets(cores) as addresses:
        before = object_store_bytes(addresses)
        began, first, seconds, sizes = time.monotonic(), 0.0, [], []
        for result in stream_results(config, items):
            if isinstance(result.outcome, Cause):
                raise SystemExit(f"failed: {result.outcome}")
            now = time.monotonic()
            first = first or now - result.seconds
            seconds.append(result.seconds)
            sizes.append(len(descriptor.dump_json(result.item)) * 2 + len(result.outcome.to_json()))
        end = time.monotonic()
        stored = object_store_bytes(addresses) - before
    even = sum(seconds) / sum(cores)
    return {
        "raylets": len(cores),
        "workers": sum(cores),
        "work_items": len(items),
        "input_gb": round(sum(item.input_bytes for item in items) / 1e9, 3),
        "startup_seconds": round(first - began, 2),
        "makespan_seconds": round(end - first, 2),
        "even_spread_seconds": round(even, 2),
        "over_even_spread": round((end - first) / even, 3),
        "object_store_bytes_per_item": round(stored / len(items)),
        "message_bytes_per_item": round(sum(sizes) / len(items)),
    }


def main() -> None:
    """Make the source, run it on three clusters, print and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--input-dim", type=int, default=384)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    root = str(Path(__file__).resolve().parents[2])
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": root}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_LOG_LEVEL": "WARNING", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="scheduling-") as name:
        folder = Path(name)
        make_source(
            folder / "source",
            SourceShape(file_rows(given.shards, given.gigabytes, given.input_dim), given.input_dim, 20_000),
        )
        make_adaptor(folder / "adaptor", given.input_dim, [given.dim])
        runs: list[Run] = []
        for cores in ([2], [1], [1, 1]):
            output = folder / f"output-{len(runs)}"
            config = CompressConfig.model_validate(
                {
                    "source": {"uri": str(folder / "source")},
                    "adaptor": {"uri": str(folder / "adaptor")},
                    "output": {"dim": given.dim, "uri": str(output)},
                    "cluster": {"workers": sum(cores)},
                }
            )
            planner = Planner(config.reading.split_bytes, ".parquet")
            work = planner.plan(open_source(config.source).shards(), [], (), {})
            runs.append(run(config, work.todo, cores))
            print("; ".join(f"{key} {value}" for key, value in runs[-1].items()), flush=True)
    print(f"a second raylet: {runs[1]['makespan_seconds'] / runs[2]['makespan_seconds']:.2f} times as fast")
    if given.json:
        given.json.write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
