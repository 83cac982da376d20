"""The payload of sampled rows: the output must hold what the source holds. Types are checked elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.sources.source import Batch, ShardInfo
from jobs.verify.context import BATCH_ROWS, ItemContext

Integers = npt.NDArray[np.int64]


def first_changed(item: ItemContext, output_rows: Integers, source_rows: Integers) -> str | None:
    """Compare all columns but the vectors of `output_rows` (n,) with `source_rows` (n,) of the shard, both ascending.

    Says what differs first, or None. Both files are streamed, and only the row groups that hold such rows.
    """
    job, output, source = item.job, item.output_info, item.source_info
    stored_names = set(output.schema.names)  # a missing column is a finding of its own
    columns = sorted({name for name in source.schema.names if name != item.vector_column and name in stored_names})
    output_batches = job.output_format.read(
        job.output_version, item.record.output, columns, BATCH_ROWS, output.row_groups_of(output_rows)
    )
    source_batches = job.source.read(item.shard, source.row_groups_of(source_rows), BATCH_ROWS, columns)
    expected_rows = _rows(source, source_batches, source_rows)
    stored_rows = _rows(output, output_batches, output_rows)
    for row, expected_row, stored_row in zip(output_rows, expected_rows, stored_rows, strict=True):
        for (name, expected), (_, stored) in zip(expected_row, stored_row, strict=False):  # names may be doubled
            if not stored.equals(expected) and _text(stored) != _text(expected):
                return f"row {row}: column '{name}' holds {_text(stored):.60}, the source has {_text(expected):.60}"
    return None


def _rows(info: ShardInfo, batches: Iterable[Batch], rows: Integers) -> Iterator[list[tuple[str, pa.Array]]]:
    """The given rows as arrays of one value, each beside the name of its column, in the order of the names."""
    for batch in batches:
        for row in info.rows_within(batch, rows).tolist():
            one = batch.table.slice(row, 1)
            yield sorted(zip(one.schema.names, one.columns, strict=True), key=itemgetter(0))


def _text(one: pa.Array) -> str:
    """The value as text: in Arrow a NaN differs from itself, in a payload it is as good a value as any."""
    try:
        return repr(one[0].as_py())
    except UnicodeDecodeError as problem:  # the writer called it a string, but it is no UTF-8
        return repr(problem.object)
