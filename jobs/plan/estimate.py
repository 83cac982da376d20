"""What a compress run would take: arithmetic on counts, measured rates, the described cluster and its prices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jobs.config.plan import MachinesSection, PricesSection
from jobs.plan.calibration import Rates
from jobs.plan.requests import Requests, Traffic, count_requests
from jobs.plan.schedule import makespan
from jobs.plan.statistics import Sizes
from jobs.sources.source import DESCRIBE_THREADS

#: Network of a machine of which nothing is said, in Gbit/s.
_USUAL_GBIT = 10.0


@dataclass(frozen=True)
class SourceStatistics:
    """A source in numbers: `sizes` of its shards in bytes, `rows` ± `rows_error`; row groups of an average shard and
    columns; share of the vectors in the bytes; `buffer_bytes` of one buffered read. Without `object_store` there are no
    requests; with `reads_measured` the waiting for reads is in the measured rates. The disk of a `local` source is,
    too: nothing goes over a network."""

    sizes: Sizes
    rows: float
    rows_error: float
    row_groups: float
    columns: int
    vector_share: float
    object_store: bool
    reads_measured: bool
    buffer_bytes: int
    local: bool = False


@dataclass(frozen=True)
class Cluster:
    """`workers` with `cpus_per_worker` cores each, on `machines`."""

    workers: int
    cpus_per_worker: int
    machines: MachinesSection


@dataclass(frozen=True)
class Estimate:
    """Bytes are those of files. `bound` names what the time goes by; `longest_share` is the longest work item as part
    of the time that an even spread would take. `costs` by name, in the currency of the prices."""

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


def estimate(
    statistics: SourceStatistics, rates: Rates, cluster: Cluster, split_bytes: int, prices: PricesSection
) -> Estimate:
    """Put the parts together.

    Wall time is start-up, listing (and footers of the shards to be split, 16 at a time), and the longer of two: the
    schedule of the work items, longest first, on the workers, and the bytes on the network of the machines, where
    reading and writing go on at the same time.
    """
    machines = cluster.machines
    items = split_sizes(statistics.sizes, split_bytes)
    output_bytes = statistics.rows * rates.output_bytes_per_row
    traffic = Traffic(
        shards=statistics.sizes,
        items=items,
        row_groups=statistics.row_groups,
        columns=statistics.columns,
        vector_share=statistics.vector_share,
        buffer_bytes=statistics.buffer_bytes,
        shrinkage=output_bytes / max(1.0, float(statistics.sizes.sum())),
    )
    requests = (
        count_requests(traffic, split_bytes, cluster.workers) if statistics.object_store else Requests(0, 0, 0, 0, 0, 0)
    )
    in_turn = requests.writes_in_turn + (0 if statistics.reads_measured else requests.reads_in_turn)
    seconds = rates.item_seconds + in_turn * machines.request_seconds + items / 1e9 * rates.gb_seconds
    working = makespan(seconds, cluster.workers)
    gbit = machines.network_gbit or (None if statistics.local else _USUAL_GBIT)
    transferring = 0.0 if gbit is None else max(float(items.sum()), output_bytes) / (machines.count * gbit / 8 * 1e9)
    listing = (requests.list + 2 * requests.driver_footers / DESCRIBE_THREADS) * machines.request_seconds
    cpu_seconds = len(items) * rates.item_cpu_seconds + float(items.sum()) / 1e9 * rates.gb_cpu_seconds
    wall = machines.startup_seconds + listing + max(working, transferring)
    return Estimate(
        shards=len(statistics.sizes),
        work_items=len(items),
        rows=statistics.rows,
        rows_error=statistics.rows_error,
        input_bytes=float(statistics.sizes.sum()),
        output_bytes=output_bytes,
        cpu_hours=cpu_seconds / 3600,
        wall_seconds=wall,
        bound="network" if transferring > working else "workers",
        network_gbit=gbit,
        longest_share=float(seconds.max() * cluster.workers / seconds.sum()),
        requests=requests,
        costs=_costs(statistics, output_bytes, wall, cluster, requests, prices),
    )


def split_sizes(sizes: Sizes, split_bytes: int) -> Sizes:
    """Bytes of the work items: shards larger than `split_bytes` in equal parts."""
    parts = np.maximum(1, -(-sizes // split_bytes))
    return np.repeat(sizes // parts, parts)


def _costs(
    statistics: SourceStatistics,
    output_bytes: float,
    wall: float,
    cluster: Cluster,
    requests: Requests,
    prices: PricesSection,
) -> dict[str, float]:
    """Machines are paid for as long as the run takes, busy or not."""
    gigabytes = (float(statistics.sizes.sum()) + output_bytes) / 1e9
    costs = {
        "machines": math.ceil(wall) / 3600 * cluster.workers * cluster.cpus_per_worker * prices.cpu_hour,
        "requests": ((requests.put + requests.list) * prices.put_per_1000 + requests.get * prices.get_per_1000) / 1000,
        "transfer": gigabytes * prices.transfer_gb,
    }
    return costs | {"total": sum(costs.values()), "storage_month": output_bytes / 1e9 * prices.storage_gb_month}
