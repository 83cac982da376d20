"""The payload of sampled rows: what stands in the output has to be what stands in the source, type by type checked
before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.sources.parquet import Shard, open_parquet
from jobs.sources.vectors import read_batches
from jobs.storage.objects import Objects
from jobs.verify.context import BATCH_ROWS, Subject

Integers = npt.NDArray[np.int64]


def first_changed(subject: Subject, output_rows: Integers, source_rows: Integers) -> str | None:
    """Compare all columns but the vectors of `output_rows` (n,) with `source_rows` (n,) of the shard, both ascending.

    Says what differs first, or None. Both files are streamed, and only the row groups that hold such rows.
    """
    vector = subject.place.config.source.vector_column
    output = Shard(subject.record.output, subject.record.output_bytes, "")
    with open_parquet(subject.place.output_version, output.key) as file:
        there_names = set(file.schema_arrow.names)  # a missing column is a finding of its own
    columns = sorted({name for name in subject.source.schema.names if name != vector and name in there_names})
    there = _rows(subject.place.output_version, output, columns, output_rows)
    source = _rows(subject.place.source, subject.shard, columns, source_rows)
    for row, here, found in zip(output_rows, source, there, strict=True):
        for (name, expected), (_, stored) in zip(here, found, strict=False):  # two columns may have one name
            if not stored.equals(expected) and _text(stored) != _text(expected):
                shown = [text if len(text) <= 60 else text[:57] + "…" for text in (_text(stored), _text(expected))]
                return f"row {row}: column '{name}' holds {shown[0]}, the source has {shown[1]}"
    return None


def _rows(
    objects: Objects, shard: Shard, columns: Sequence[str], rows: Integers
) -> Iterator[list[tuple[str, pa.Array]]]:
    """The given rows, each as arrays of one value beside the names of their columns, in the order of the names."""
    with open_parquet(objects, shard.key) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    ends = np.cumsum(np.asarray(sizes, np.int64))
    groups = np.unique(np.searchsorted(ends, rows, side="right")).tolist()
    for batch in read_batches(objects, shard, groups, BATCH_ROWS, columns):
        start = ends[batch.row_group] - sizes[batch.row_group] + batch.first_row
        low, high = np.searchsorted(rows, (start, start + batch.table.num_rows))
        for row in (rows[low:high] - start).tolist():
            one = batch.table.slice(row, 1)
            yield sorted(zip(one.schema.names, one.columns, strict=True), key=itemgetter(0))


def _text(one: pa.Array) -> str:
    """The value as text: in Arrow a NaN differs from itself, in a payload it is as good a value as any."""
    try:
        return repr(one[0].as_py())
    except UnicodeDecodeError as problem:  # what the writer called a string is none
        return repr(problem.object)
