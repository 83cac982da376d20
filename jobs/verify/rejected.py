"""The rejected rows of one work item, read from its quarantine file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from jobs.outputs.quarantine import added_columns
from jobs.sources.parquet_reader import read_batches, read_footer
from jobs.verify.context import BATCH_ROWS, ItemContext

Integers = npt.NDArray[np.int64]


def rejected_rows(item: ItemContext) -> Integers:
    """Quarantined rows as numbers within the work item, int64 (n,), ascending. `InputError` when the file is missing,
    damaged or of another work item."""
    key, output_version = item.record.quarantine, item.job.output_version
    if key is None:
        return np.empty(0, np.int64)
    names = added_columns(item.source_info.schema)[1:]
    if output_version.stat(key) is None:
        raise InputError(f"its quarantine file {key} is missing")
    info = read_footer(output_version, key)
    if any(info.schema.names.count(name) != 1 or info.schema.field(name).type != pa.int64() for name in names):
        raise InputError(f"its quarantine file {key} lacks the columns {' and '.join(names)}")
    parts: list[list[Integers]] = [[np.empty(0, np.int64)] for _ in names]
    groups = range(len(info.row_group_rows))
    for batch in read_batches(output_version, key, groups, BATCH_ROWS, names, fast=False):
        for name, part in zip(names, parts, strict=True):
            part.append(batch.table.column(name).drop_null().to_numpy())
    row_groups, rows = (np.concatenate(part) for part in parts)
    return item_rows(item.groups, item.source_info.row_group_rows, row_groups, rows, key)


def item_rows(groups: range, row_group_rows: Sequence[int], group: Integers, row: Integers, key: str) -> Integers:
    """Rows given as (row group, row within it) as numbers within the work item, ascending.

    `InputError` naming the quarantine file `key` for a row that the work item does not have, or has twice.
    """
    sizes = np.asarray([row_group_rows[index] for index in groups], np.int64)
    place = group - groups.start
    if len(group) != len(row) or not np.isin(place, np.arange(len(sizes))).all():
        raise InputError(f"its quarantine file {key} names row groups that the work item does not have")
    numbers = np.sort((np.cumsum(sizes) - sizes)[place] + row)
    if ((row < 0) | (row >= sizes[place])).any() or (np.diff(numbers) == 0).any():
        raise InputError(f"its quarantine file {key} names rows that the work item does not have, or one twice")
    return numbers
