"""Rows left out while a file is read: what comes out is what deleting them before would have given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.sources.deleted_rows import live_counts, without_deleted
from jobs.sources.source import Batch


def batches(groups: list[int], size: int) -> Iterator[Batch]:
    """The numbers of all rows, in batches."""
    first = 0
    for group, rows in enumerate(groups):
        for start in range(0, rows, size):
            numbers = pa.array(range(first + start, first + min(rows, start + size)))
            yield Batch(group, start, pa.RecordBatch.from_arrays([numbers], names=["row"]))
        first += rows


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 12), max_size=5), st.integers(1, 7), st.integers(1, 7), st.randoms(use_true_random=False)
)
def test_as_if_they_had_never_been_there(groups: list[int], stored: int, asked: int, draws: object) -> None:
    total = sum(groups)
    deleted = np.array(sorted(draws.sample(range(total), draws.randint(0, total))), np.int64)  # type: ignore[attr-defined]
    starts = np.cumsum([0, *groups], dtype=np.int64)
    found = list(without_deleted(batches(groups, stored), starts, deleted, asked))
    live = live_counts(starts, deleted)
    by_group: dict[int, list[int]] = {}
    for batch in found:
        rows = by_group.setdefault(batch.row_group, [])
        assert batch.first_row == len(rows)
        assert 0 < batch.table.num_rows <= asked
        rows += batch.table.column("row").to_pylist()
        full = len(rows) < live[batch.row_group]
        assert batch.table.num_rows == asked or not full  # only the last of a row group is smaller
    kept = np.setdiff1d(np.arange(total), deleted)
    for group in range(len(groups)):
        own = kept[(kept >= starts[group]) & (kept < starts[group + 1])]
        assert by_group.get(group, []) == own.tolist()
        assert len(own) == live[group]
    assert list(by_group) == sorted(by_group)
