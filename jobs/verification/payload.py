"""The payload of sampled rows: what stands in the output has to be what stands in the source, type by type checked
before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from jobs.store.objects import Objects
from jobs.store.shards import Shard, open_parquet
from jobs.store.vectors import read_batches
from jobs.verification.subject import BATCH_ROWS, Subject

Integers = npt.NDArray[np.int64]


def first_changed(subject: Subject, output_rows: Integers, source_rows: Integers) -> str | None:
    """Compare all columns but the vectors of `output_rows` (n,) with `source_rows` (n,) of the shard, both ascending.

    Says what differs first, or None. Both files are streamed, and only the row groups that hold such rows.
    """
    vector = subject.place.config.store.vector_column
    output = Shard(subject.record.output, subject.record.output_bytes, "")
    with open_parquet(subject.place.generation, output.key) as file:
        there_names = set(file.schema_arrow.names)  # a missing column is a finding of its own
    columns = [name for name in subject.source.schema.names if name != vector and name in there_names]
    there = _rows(subject.place.generation, output, columns, output_rows)
    source = _rows(subject.place.store, subject.shard, columns, source_rows)
    for row, here, found in zip(output_rows, source, there, strict=True):
        for name, expected, stored in zip(columns, here, found, strict=True):
            # As text: in Python and Arrow a NaN differs from itself, in a payload it is as good a value as any.
            if repr(stored) != repr(expected):
                return f"row {row}: column '{name}' holds {_short(stored)}, the source has {_short(expected)}"
    return None


def _rows(objects: Objects, shard: Shard, columns: Sequence[str], rows: Integers) -> Iterator[tuple[object, ...]]:
    with open_parquet(objects, shard.key) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    first = 0
    for group, size in enumerate(sizes):
        wanted = rows[(rows >= first) & (rows < first + size)] - first
        first += size
        if not len(wanted):
            continue
        for batch in read_batches(objects, shard, range(group, group + 1), BATCH_ROWS, list(columns)):
            inside = wanted[(wanted >= batch.first_row) & (wanted < batch.first_row + batch.table.num_rows)]
            for row in (inside - batch.first_row).tolist():
                one = batch.table.slice(row, 1)
                yield tuple(one.column(name)[0].as_py() for name in columns)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
