"""How many requests a compress run sends to an object store, by the classes that are billed.

What is counted is what the code does, and `tests/jobs/plan/test_requests.py` compares it with what a server saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jobs.plan.statistics import Sizes
from jobs.storage.s3 import PART_BYTES

#: Objects of one page of a listing.
_PAGE = 1000
#: Listings of the output: ledger, data, quarantine, failures and attempts before the work, attempts and quarantine
#: after it.
_OUTPUT_LISTS = 7
#: Opening a shard is a HEAD and a GET of its end; it is done twice for a work item, once for a shard to be split.
_OPEN, _OPENS = 2, 2
#: What stands where the output goes, is the shard still the same, did the output arrive: one HEAD each.
_CHECKS = 3
#: The adaptor is three files, by every worker and the driver: each is looked for, then read (two HEADs, a GET).
_ADAPTOR = 12
#: Driver: probe, output_version.json, config.json, summary.json.
_DRIVER_PUTS = 4


@dataclass(frozen=True)
class Traffic:
    """What the requests depend on: bytes of the shards and of the work items, row groups of an average shard, columns,
    share of the vectors in the bytes, bytes of one buffered read, and output bytes per input byte."""

    shards: Sizes
    items: Sizes
    row_groups: float
    columns: int
    vector_share: float
    buffer_bytes: int
    shrinkage: float


@dataclass(frozen=True)
class Requests:
    """`get` counts HEADs too, as bills do; DELETEs are free. `reads_in_turn` and `writes_in_turn` are those of a work
    item that nothing else is done beside; `driver_footers` are opened by the driver."""

    list: int
    get: int
    put: int
    reads_in_turn: int
    writes_in_turn: int
    driver_footers: int


def count_requests(traffic: Traffic, split_bytes: int, workers: int) -> Requests:
    """All requests of a run over an empty output, without those that fail and are tried again."""
    items, footers = len(traffic.items), int((traffic.shards > split_bytes).sum())
    row_groups = traffic.row_groups * len(traffic.shards)
    chunk = float(traffic.shards.sum()) / max(1.0, row_groups)
    data = row_groups * (
        _reads(chunk * traffic.vector_share, traffic.buffer_bytes)
        + (traffic.columns - 1)
        * _reads(chunk * (1 - traffic.vector_share) / max(1, traffic.columns - 1), traffic.buffer_bytes)
    )
    puts = np.vectorize(_puts, otypes=[np.int64])(np.unique(outputs := traffic.items * traffic.shrinkage))
    counts = np.unique(outputs, return_counts=True)[1]
    multipart = int((outputs > PART_BYTES).sum())  # looked at once more before the upload is completed
    return Requests(
        list=math.ceil(len(traffic.shards) / _PAGE) + _OUTPUT_LISTS,
        get=round(data + items * (_OPEN * _OPENS + _CHECKS) + multipart + footers * _OPEN + _ADAPTOR * (workers + 1)),
        put=int((puts * counts).sum()) + items + _DRIVER_PUTS,
        reads_in_turn=_OPEN * _OPENS + 1,
        writes_in_turn=round(float((puts * counts).sum()) / max(1, items)) + 2,
        driver_footers=footers,
    )


def _reads(column_chunk: float, buffer_bytes: int) -> int:
    return max(1, math.ceil(column_chunk / buffer_bytes))


def _puts(output_bytes: float) -> int:
    """One PUT, or begin, parts and end of a multipart upload."""
    return 1 if output_bytes <= PART_BYTES else math.ceil(output_bytes / PART_BYTES) + 2
