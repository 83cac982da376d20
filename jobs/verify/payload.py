"""The payload of sampled rows: what stands in the output has to be what stands in the source, type by type checked
before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    columns = sorted({name for name in source.schema.names if name != item.columns[1] and name in stored_names})
    output_batches = job.output_format.read(
        job.output_version, item.record.output, columns, BATCH_ROWS, _groups(output, output_rows)
    )
    source_batches = job.source.read(item.shard, _groups(source, source_rows), BATCH_ROWS, columns)
    pairs = zip(
        output_rows,
        _rows(source, source_batches, source_rows),
        _rows(output, output_batches, output_rows),
        strict=True,
    )
    for row, source_row, output_row in pairs:
        for (name, expected), (_, stored) in zip(source_row, output_row, strict=False):  # two columns may have one name
            if not stored.equals(expected) and _text(stored) != _text(expected):
                return f"row {row}: column '{name}' holds {_short(stored)}, the source has {_short(expected)}"
    return None


def _ends(info: ShardInfo) -> Integers:
    return np.cumsum(np.asarray(info.row_group_rows, np.int64))


def _groups(info: ShardInfo, rows: Integers) -> Sequence[int]:
    """The row groups that hold the rows."""
    groups: list[int] = np.unique(np.searchsorted(_ends(info), rows, side="right")).tolist()
    return groups


def _rows(info: ShardInfo, batches: Iterable[Batch], rows: Integers) -> Iterator[list[tuple[str, pa.Array]]]:
    """The given rows, each as arrays of one value beside the names of their columns, in the order of the names."""
    ends = _ends(info)
    for batch in batches:
        start = ends[batch.row_group] - info.row_group_rows[batch.row_group] + batch.first_row
        low, high = np.searchsorted(rows, (start, start + batch.table.num_rows))
        for row in (rows[low:high] - start).tolist():
            one = batch.table.slice(row, 1)
            yield sorted(zip(one.schema.names, one.columns, strict=True), key=itemgetter(0))


def _short(one: pa.Array) -> str:
    text = _text(one)
    return text if len(text) <= 60 else text[:57] + "…"


def _text(one: pa.Array) -> str:
    """The value as text: in Arrow a NaN differs from itself, in a payload it is as good a value as any."""
    try:
        return repr(one[0].as_py())
    except UnicodeDecodeError as problem:  # what the writer called a string is none
        return repr(problem.object)
