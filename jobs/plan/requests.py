"""How many requests a compress run sends to an object store, by the classes that are billed.

The constants follow the code; tests/jobs/plan/test_requests.py compares the counts with what a server saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jobs.plan.statistics import Sizes, SourceStatistics
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
#: Requests of a work item that nothing else is done beside: opening and checking the shard; the output, a look whether
#: it arrived, and the record.
READS_IN_TURN, WRITES_IN_TURN = _OPEN * _OPENS + 1, 3


@dataclass(frozen=True)
class Requests:
    """`get` counts HEADs too, as bills do; DELETEs are free. The driver opens `footers` of shards that are split."""

    list: int = 0
    get: int = 0
    put: int = 0
    footers: int = 0


def count_requests(
    source: SourceStatistics, items: Sizes, output_bytes: float, split_bytes: int, workers: int
) -> Requests:
    """All requests of a run over an empty output, without retries; `items` are the bytes of the work items."""
    footers = int((source.sizes > split_bytes).sum())
    input_bytes = max(1.0, float(source.sizes.sum()))
    row_groups = source.row_groups * len(source.sizes)
    # One read for each column of a row group, more for the vectors, which are nearly all of it.
    vector_reads = max(1.0, input_bytes / max(1.0, row_groups) / source.buffer_bytes)
    reads = row_groups * (source.columns - 1 + vector_reads)
    outputs = items * output_bytes / input_bytes
    multipart = outputs[outputs > PART_BYTES]  # begin, parts and end; looked at once more before the end
    puts = len(items) + int((np.ceil(multipart / PART_BYTES) + 1).sum())
    opened = len(items) * (_OPEN * _OPENS + _CHECKS) + footers * _OPEN + len(multipart)
    return Requests(
        list=math.ceil(len(source.sizes) / _PAGE) + _OUTPUT_LISTS,
        get=round(reads + opened + _ADAPTOR * (workers + 1)),
        put=puts + len(items) + _DRIVER_PUTS,
        footers=footers,
    )
