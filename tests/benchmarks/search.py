"""Sharded exact search on Ray beside one faiss flat index on the same cores, interleaved.

    python -m tests.benchmarks.search [--rows 100000] [--dim 768] [--repeats 3] [--blas default] [--json FILE]

Both search every row among all others. The sharded side is what fit does (`jobs.fit.neighbour_search`): as many workers
as cores, one thread each, rows in Ray's object store; the other is `faiss.IndexFlatIP` with as many threads as cores.
The ids must be equal (a near-tie apart). Reported: seconds of each repeat, their ratio (above 1: the sharded side is
faster), TFLOP/s, and the peak private memory of a worker. `--blas default` runs without OPENBLAS_CORETYPE, which numpy
and faiss both read. Where torch sees a GPU, its search is measured against the card's own product of matrices.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil

from adaptor.candidates import candidates
from adaptor.neighbours import top_k
from adaptor.rows import Floats
from cluster.session import connect
from cluster.settings import ClusterSection
from jobs.fit.neighbour_search import NeighbourSearch


def make_rows(rows: int, dim: int) -> Floats:
    """Unit rows with the falling spectrum of real vectors, float32 (n, d)."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((rows, dim), dtype=np.float32) * (np.arange(1, dim + 1) ** -0.5).astype(np.float32)
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, and what it gives."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


class WorkerMemory:
    """The largest private memory of any Ray worker below this process, in bytes, looked at ten times a second."""

    def __init__(self) -> None:
        self.peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            for process in psutil.Process().children(recursive=True):
                try:
                    if process.name().startswith("ray::_search"):
                        memory = process.memory_info()
                        self.peak = max(self.peak, memory.rss - memory.shared)
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.1)


def compare(given: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn, after a short first search of each that loads what they need."""
    cores, rows, k = len(os.sched_getaffinity(0)), make_rows(given.rows, given.dim), given.neighbours
    faiss.omp_set_num_threads(cores)
    index = faiss.IndexFlatIP(given.dim)
    index.add(rows)
    cluster = ClusterSection(workers=cores)
    runs = []
    with connect(cluster, cores):
        memory, search = WorkerMemory(), NeighbourSearch(cluster, "cosine")
        search.search_within(rows[:2000], k)
        for _ in range(given.repeats):
            flat, (_, expected) = seconds(lambda: index.search(rows, k + 1))
            sharded, found = seconds(lambda: search.search_within(rows, k))
            same = np.mean([len(np.intersect1d(a[1:], b)) for a, b in zip(expected[:2000], found.ids, strict=False)])
            runs.append({"faiss_seconds": flat, "sharded_seconds": sharded, "ratio": flat / sharded, "same": same / k})
    ratios = sorted(run["ratio"] for run in runs)
    return {
        "case": "search",
        "rows": given.rows,
        "input_dim": given.dim,
        "neighbours": k,
        "cores": cores,
        "blas": os.environ.get("OPENBLAS_CORETYPE", "default"),
        "runs": runs,
        "ratio_median": float(np.median(ratios)),
        "ratio_spread": [ratios[0], ratios[-1]],
        "tflops": 2e-12 * given.rows**2 * given.dim / min(run["sharded_seconds"] for run in runs),
        "worker_private_bytes": memory.peak,
        "corpus_bytes": 4 * given.dim * given.rows,
    }


def on_gpu(given: argparse.Namespace) -> dict[str, Any] | None:
    """The search and its float32 half on a GPU, against the card's fastest product; None where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    rows, numbers = make_rows(given.rows, given.dim), np.arange(given.rows)
    square = torch.rand(8192, 8192, device="cuda")

    def product() -> None:
        square @ square
        torch.cuda.synchronize()

    product()
    peak = 2e-12 * 8192**3 / min(seconds(product)[0] for _ in range(10))
    operations = 2e-12 * given.rows**2 * given.dim
    figures = {"case": "gpu search", "device": torch.cuda.get_device_name(), "peak_tflops": peak}
    for name, work in (
        ("float32 half", lambda: candidates(rows, rows, given.neighbours + 16, "cosine")),
        ("exact", lambda: top_k(rows, rows, numbers, given.neighbours, "cosine", numbers)),
    ):
        figures[name] = operations / min(seconds(work)[0] for _ in range(given.repeats)) / peak
    if hasattr(faiss, "knn_gpu"):
        resources = faiss.StandardGpuResources()
        figures["faiss knn_gpu"] = (
            operations
            / peak
            / min(
                seconds(
                    lambda: faiss.knn_gpu(
                        resources, rows, rows, given.neighbours + 16, metric=faiss.METRIC_INNER_PRODUCT
                    )
                )[0]
                for _ in range(given.repeats)
            )
        )
    return figures


def main() -> int:
    """Measure, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--neighbours", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--blas", choices=("environment", "default"), default="environment")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.blas == "default" and "OPENBLAS_CORETYPE" in os.environ:
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode
    result = compare(given)
    print(f"{given.rows:,} x {given.dim}, k = {given.neighbours}, {result['cores']} cores, BLAS {result['blas']}")
    for run in result["runs"]:
        print("  ".join(f"{name} {value:8.3f}" for name, value in run.items()))
    print(
        f"ratio {result['ratio_median']:.2f} [{result['ratio_spread'][0]:.2f}, {result['ratio_spread'][1]:.2f}], "
        f"{result['tflops']:.3f} TFLOP/s, a worker holds {result['worker_private_bytes'] / 1e6:.0f} MB "
        f"beside the corpus of {result['corpus_bytes'] / 1e6:.0f} MB, which all share"
    )
    gpu = on_gpu(given)
    print("no GPU here: its search was not measured" if gpu is None else json.dumps(gpu))
    text = json.dumps([result] if gpu is None else [result, gpu])
    print(text)
    if given.json:
        given.json.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
