"""How fast this machine compresses: the real `ShardCompressor` on a few row groups, on all cores at once.

All cores, because a core that has the memory bus for itself is faster than one in a busy machine. Outputs go to a local
scratch folder, so for an object store reading counts as it is here and writing as on local disk.
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
from jobs.plan.statistics import SampledStatistics
from jobs.runtime.scratch import scratch_folder

_REPEATS = 3
_SHARDS = 2


@dataclass(frozen=True)
class Timing:
    """One work item as it was measured; both bytes are those of files."""

    input_bytes: int
    rows: int
    output_bytes: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Rates:
    """What a work item costs: something for each, and something for each GB (10⁹ bytes of input). `processes` ran at
    once; `spread` is (slowest − fastest) / median of the same work item."""

    item_seconds: float
    gb_seconds: float
    item_cpu_seconds: float
    gb_cpu_seconds: float
    output_bytes_per_row: float
    processes: int
    spread: float


def choose_items(sample: SampledStatistics, most_bytes: int, suffix: str) -> list[WorkItem]:
    """Of the shards of middling size: the first row group, and as many as `most_bytes` hold (two at least)."""
    filled = [(shard, info) for shard, info in zip(sample.shards, sample.infos, strict=True) if info.rows]
    middling = sorted(filled, key=lambda pair: pair[0].size)[max(0, len(filled) // 2 - 1) :][:_SHARDS]
    items: dict[str, WorkItem] = {}
    for shard, info in middling:
        total = len(info.row_group_rows)
        share = np.cumsum(info.row_group_bytes) / max(1, sum(info.row_group_bytes)) * shard.size
        fitting = max(min(2, total), int(np.searchsorted(share, most_bytes, side="right")))
        for stop in (1, fitting):
            item = WorkItem(shard, RowGroups(0, stop, total), int(share[stop - 1]), suffix=suffix)
            items[item.record.key] = item
    return list(items.values())


def calibrate(config: CompressConfig, items: Sequence[WorkItem]) -> Rates:
    """Compress `items` a few times in as many processes as there are workers or cores, whichever are fewer."""
    processes = min(len(os.sched_getaffinity(0)) // config.cluster.cpus_per_worker or 1, config.cluster.workers)
    threads = {name: str(config.cluster.cpus_per_worker) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    with (
        scratch_folder() as scratch,
        environment(threads),
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        text = config.model_dump_json()
        running = [pool.submit(measure, text, items, f"{scratch}/{number}") for number in range(processes)]
        return fit_rates([timing for future in running for timing in future.result()], processes)


def measure(config_json: str, items: Sequence[WorkItem], scratch: str) -> list[Timing]:
    """Time every item `_REPEATS` times in this process, after one run that warms up."""
    given = CompressConfig.model_validate_json(config_json)
    cluster = given.cluster.model_copy(update={"gpus_per_worker": 0.0})  # this machine need not have one
    timings: list[Timing] = []
    for repeat in range(_REPEATS + 1):
        output = given.output.model_copy(update={"uri": f"{scratch}/{repeat}"})
        reading = given.reading.model_copy(update={"bad_rows": "quarantine"})
        compressor = ShardCompressor(
            given.model_copy(update={"output": output, "reading": reading, "cluster": cluster})
        )
        for item in items:
            began, cpu = time.perf_counter(), time.process_time()
            record = compressor.compress(item)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            if repeat:
                timings.append(Timing(item.input_bytes, record.rows_in, record.output_bytes, seconds, cpu))
    return timings


def fit_rates(timings: Sequence[Timing], processes: int) -> Rates:
    """Straight lines through the timings, neither part below zero."""
    gigabytes = np.array([timing.input_bytes for timing in timings]) / 1e9
    seconds = np.array([timing.seconds for timing in timings])
    item_seconds, gb_seconds = _line(gigabytes, seconds)
    item_cpu, gb_cpu = _line(gigabytes, np.array([timing.cpu_seconds for timing in timings]))
    rows = sum(timing.rows for timing in timings)
    largest = seconds[gigabytes == gigabytes.max()]
    return Rates(
        item_seconds=item_seconds,
        gb_seconds=gb_seconds,
        item_cpu_seconds=item_cpu,
        gb_cpu_seconds=gb_cpu,
        output_bytes_per_row=sum(timing.output_bytes for timing in timings) / max(1, rows),
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
