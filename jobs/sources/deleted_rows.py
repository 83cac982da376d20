"""Rows that a table marks as deleted without rewriting their file: left out while the file is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from jobs.sources.source import Batch, BatchRows
from jobs.sources.vectors import Integers


def live_counts(starts: Integers, deleted: Integers) -> tuple[int, ...]:
    """Rows of each row group that are left: `starts` int64 (g + 1,) of the g groups, `deleted` ascending numbers."""
    gone = np.diff(np.searchsorted(deleted, starts))
    return tuple((np.diff(starts) - gone).tolist())


def without_deleted(
    batches: Iterable[Batch], starts: Integers, deleted: Integers, batch_rows: BatchRows
) -> Iterator[Batch]:
    """The batches of a file without its deleted rows, `first_row` counting those that are left.

    They are filled up again from the next ones of their row group: batches of one size give the same bytes whatever
    was deleted, and a row group whose rows are nearly all gone is not a thousand batches.
    """
    for_group: int | None = None
    waiting: list[pa.RecordBatch] = []
    given = 0
    for batch in batches:
        if batch.row_group != for_group:
            yield from _given(for_group, given, waiting)
            for_group, waiting, given = batch.row_group, [], 0
        first = int(starts[batch.row_group]) + batch.first_row
        low, high = np.searchsorted(deleted, (first, first + batch.table.num_rows))
        waiting.append(_kept(batch.table, deleted[low:high] - first))
        size = batch_rows() if callable(batch_rows) else batch_rows
        while sum(part.num_rows for part in waiting) >= size:
            whole = _joined(waiting)
            yield Batch(batch.row_group, given, whole.slice(0, size))
            given, waiting = given + size, [whole.slice(size)]
    yield from _given(for_group, given, waiting)


def _given(row_group: int | None, first_row: int, waiting: list[pa.RecordBatch]) -> Iterator[Batch]:
    """What is left of a row group."""
    if row_group is not None and any(part.num_rows for part in waiting):
        yield Batch(row_group, first_row, _joined(waiting))


def _kept(table: pa.RecordBatch, deleted: Integers) -> pa.RecordBatch:
    """The rows but for the deleted ones."""
    if not len(deleted):
        return table
    kept = np.delete(np.arange(table.num_rows), deleted)
    try:
        return table.take(pa.array(kept))
    except pa.ArrowNotImplementedError:  # string_view, among others
        runs = np.split(kept, np.flatnonzero(np.diff(kept) != 1) + 1)
        return pa.concat_batches([table.slice(run[0] if len(run) else 0, len(run)) for run in runs])


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    parts = [part for part in parts if part.num_rows] or parts[:1]
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)
