"""How fast this machine compresses: the `ShardCompressor` on a few row groups, on all cores at once.

A core that has the memory bus for itself is faster than one in a busy machine. Outputs go to a local scratch folder:
reads are measured as they are here, writes as on local disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from cluster.credentials import environment
from jobs.commits.names import RowGroups
from jobs.commits.work_items import WorkItem
from jobs.compress.shard import ShardCompressor
from jobs.config.compress import CompressConfig
from jobs.runtime.scratch import scratch_folder
from jobs.sources.source import Shard, ShardInfo

_REPEATS = 3


@dataclass(frozen=True)
class Timing:
    """One measured run of a work item; both bytes are those of files."""

    input_bytes: int
    rows: int
    output_bytes: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Rates:
    """What a work item costs: an amount for each, and one for each GB (10⁹ bytes) of input. `processes` ran at once;
    `spread` is (slowest − fastest) / median of one work item."""

    item_seconds: float
    gb_seconds: float
    item_cpu_seconds: float
    gb_cpu_seconds: float
    output_bytes_per_row: float
    processes: int
    spread: float


def choose_items(described: Sequence[tuple[Shard, ShardInfo]], most_bytes: int, suffix: str) -> list[WorkItem]:
    """Of the median shard with rows: its first row group, and as many as `most_bytes` hold (two at least)."""
    filled = sorted(((shard, info) for shard, info in described if info.rows), key=lambda pair: pair[0].size)
    if not filled:
        return []
    shard, info = filled[len(filled) // 2]
    total = len(info.row_group_rows)
    ends = np.cumsum(info.row_group_bytes) / max(1, sum(info.row_group_bytes)) * shard.size
    most = max(min(2, total), int(np.searchsorted(ends, most_bytes, side="right")))
    stops = sorted({1, most})
    return [WorkItem(shard, RowGroups(0, stop, total), int(ends[stop - 1]), suffix=suffix) for stop in stops]


def calibrate(config: CompressConfig, items: Sequence[WorkItem]) -> Rates:
    """Compress `items` a few times, in as many processes as there are workers and this machine has cores for."""
    processes = min(len(os.sched_getaffinity(0)) // config.cluster.cpus_per_worker or 1, config.cluster.max_workers)
    threads = {name: str(config.cluster.cpus_per_worker) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    with (
        scratch_folder() as scratch,
        environment(threads),
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        running = [pool.submit(measure, config, items, f"{scratch}/{number}") for number in range(processes)]
        return fit_rates([timing for future in running for timing in future.result()], processes)


def measure(config: CompressConfig, items: Sequence[WorkItem], scratch: str) -> list[Timing]:
    """Time every item `_REPEATS` times in this process, after one run that warms up."""
    cluster = config.cluster.model_copy(update={"gpus_per_worker": 0.0})  # this machine need not have one
    reading = config.reading.model_copy(update={"bad_rows": "quarantine"})
    timings: list[Timing] = []
    for repeat in range(_REPEATS + 1):
        output = config.output.model_copy(update={"uri": f"{scratch}/{repeat}"})
        sections = {"output": output, "reading": reading, "cluster": cluster}
        compressor = ShardCompressor(config.model_copy(update=sections))
        for item in items:
            started, cpu_started = time.perf_counter(), time.process_time()
            record = compressor.compress(item)
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
            if repeat:
                timings.append(Timing(item.input_bytes, record.rows_in, record.output_bytes, seconds, cpu_seconds))
    return timings


def fit_rates(timings: Sequence[Timing], processes: int) -> Rates:
    """Straight lines through the timings, neither part below zero."""
    gigabytes = np.array([timing.input_bytes for timing in timings]) / 1e9
    seconds = np.array([timing.seconds for timing in timings])
    item_seconds, gb_seconds = _line(gigabytes, seconds)
    item_cpu, gb_cpu = _line(gigabytes, np.array([timing.cpu_seconds for timing in timings]))
    largest = seconds[gigabytes == gigabytes.max()]
    rows, output_bytes = (sum(getattr(timing, name) for timing in timings) for name in ("rows", "output_bytes"))
    return Rates(
        item_seconds=item_seconds,
        gb_seconds=gb_seconds,
        item_cpu_seconds=item_cpu,
        gb_cpu_seconds=gb_cpu,
        output_bytes_per_row=output_bytes / max(1, rows),
        processes=processes,
        spread=float(np.ptp(largest) / np.median(largest)),
    )


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of the least-squares line, both at least 0."""
    if np.ptp(x) > 0:
        slope, intercept = np.polyfit(x, y, 1)
        if slope > 0 and intercept >= 0:
            return float(intercept), float(slope)
    return 0.0, float((x * y).sum() / (x * x).sum())
