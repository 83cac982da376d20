"""What a compress run would take: arithmetic on counts, measured rates, the described cluster and its prices."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from jobs.config.plan import PlanConfig
from jobs.plan.calibration import Rates
from jobs.plan.requests import READS_IN_TURN, WRITES_IN_TURN, Requests, count_requests
from jobs.plan.statistics import Sizes, SourceStatistics
from jobs.sources.source import DESCRIBE_THREADS

#: Network of a machine of which nothing is said, in Gbit/s.
_USUAL_GBIT = 10.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes are those of files. `bound` says what sets the wall time; `longest_share` is the longest work item as part
    of the time that an even spread would take. `costs` are by name, in the currency of the prices."""

    shards: int
    work_items: int
    rows: float
    rows_error: float
    input_bytes: float
    output_bytes: float
    cpu_hours: float
    wall_seconds: float
    bound: str
    network_gbit: float | None
    longest_share: float
    requests: Requests
    costs: dict[str, float]


def estimate(source: SourceStatistics, rates: Rates, config: PlanConfig) -> Estimate:
    """What a run takes. Wall time is start-up, listing (with the footers of shards to be split), and the longer of two:
    the work items on the workers, and the bytes on the network, which carries reads and writes at the same time."""
    machines, workers, split_bytes = config.machines, config.cluster.max_workers, config.reading.split_bytes
    items = split_sizes(source.sizes, split_bytes)
    input_bytes, output_bytes = float(source.sizes.sum()), source.rows * rates.output_bytes_per_row
    requests, in_turn = Requests(), 0
    if not source.local:
        requests = count_requests(source, items, output_bytes, split_bytes, workers)
        in_turn = WRITES_IN_TURN if source.reads_measured else WRITES_IN_TURN + READS_IN_TURN
    seconds = rates.item_seconds + in_turn * machines.request_seconds + items / 1e9 * rates.gb_seconds
    working = makespan(sorted(seconds.tolist(), reverse=True), workers)
    gbit = machines.network_gbit or (None if source.local else _USUAL_GBIT)
    transferring = 0.0 if gbit is None else max(input_bytes, output_bytes) / (machines.count * gbit / 8 * 1e9)
    listing = (requests.list + 2 * requests.footers / DESCRIBE_THREADS) * machines.request_seconds
    wall = machines.startup_seconds + listing + max(working, transferring)
    return Estimate(
        shards=len(source.sizes),
        work_items=len(items),
        rows=source.rows,
        rows_error=source.rows_error,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        cpu_hours=(len(items) * rates.item_cpu_seconds + input_bytes / 1e9 * rates.gb_cpu_seconds) / 3600,
        wall_seconds=wall,
        bound="network" if transferring > working else "workers",
        network_gbit=gbit,
        longest_share=float(seconds.max() * workers / seconds.sum()),
        requests=requests,
        costs=_costs(config, wall, requests, input_bytes, output_bytes),
    )


def split_sizes(sizes: Sizes, split_bytes: int) -> Sizes:
    """Bytes of the work items: shards larger than `split_bytes` in equal parts."""
    parts = np.maximum(1, -(-sizes // split_bytes))
    return np.repeat(sizes // parts, parts)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Time until all is done when a free worker takes the next item: with the longest first, as compress has them, at
    most 4/3 − 1/(3·workers) of the best possible (Graham 1969)."""
    free = [0.0] * workers
    for length in seconds:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def _costs(
    config: PlanConfig, wall: float, requests: Requests, input_bytes: float, output_bytes: float
) -> dict[str, float]:
    """Machines are paid for as long as the run takes, busy or not."""
    prices, cores = config.prices, config.cluster.max_workers * config.cluster.cpus_per_worker
    costs = {
        "machines": math.ceil(wall) / 3600 * cores * prices.cpu_hour,
        "requests": ((requests.put + requests.list) * prices.put_per_1000 + requests.get * prices.get_per_1000) / 1000,
        "transfer": (input_bytes + output_bytes) / 1e9 * prices.transfer_gb,
    }
    return costs | {"total": sum(costs.values()), "output_per_month": output_bytes / 1e9 * prices.storage_gb_month}
