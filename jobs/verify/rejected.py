"""The rejected rows of one work item, read from its quarantine file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from jobs.outputs.quarantine import added_columns
from jobs.sources.parquet_reader import read_batches, read_footer
from jobs.verify.context import BATCH_ROWS, ItemContext


def rejected_rows(item: ItemContext) -> npt.NDArray[np.int64]:
    """Quarantined rows as numbers within the shard, int64 (n,), ascending. `InputError` when the file is missing,
    damaged or of another work item."""
    key, output_version, source = item.record.quarantine, item.job.output_version, item.source_info
    if key is None:
        return np.empty(0, np.int64)
    if output_version.stat(key) is None:
        raise InputError(f"its quarantine file {key} is missing")
    names = added_columns(source.schema)[1:]
    info = read_footer(output_version, key)
    if any(info.schema.names.count(name) != 1 or info.schema.field(name).type != pa.int64() for name in names):
        raise InputError(f"its quarantine file {key} lacks the columns {' and '.join(names)}")
    columns = {name: [np.empty(0, np.int64)] for name in names}
    row_groups = range(len(info.row_group_rows))
    for batch in read_batches(output_version, key, row_groups, BATCH_ROWS, names, fast=False):
        for name, parts in columns.items():
            parts.append(batch.table.column(name).drop_null().to_numpy())
    groups, rows = (np.concatenate(parts) for parts in columns.values())
    if len(groups) != len(rows) or not np.isin(groups, item.row_groups).all():
        raise InputError(f"its quarantine file {key} names row groups that the work item does not have")
    starts = source.row_group_starts
    numbers = np.sort(starts[groups] + rows)
    if ((rows < 0) | (rows >= np.diff(starts)[groups])).any() or (np.diff(numbers) == 0).any():
        raise InputError(f"its quarantine file {key} names rows that the work item does not have, or one twice")
    return numbers
