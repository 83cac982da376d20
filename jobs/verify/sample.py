"""Sampled rows of one work item: their vectors computed again from the source, and their payload compared with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.rows import Floats
from jobs.commits.context import VectorColumn
from jobs.sources.sampling import read_rows
from jobs.sources.source import Batch, ShardInfo
from jobs.verify.context import BATCH_ROWS, ItemContext

Integers = npt.NDArray[np.int64]


def check_sample(item: ItemContext, rejected: Integers, stored: Sequence[Floats]) -> None:
    """Compare the sampled rows with those of the source: vectors, `stored` float32 (k, m) of each column, and payload.
    `rejected` are rows of the shard, int64 (n,), ascending."""
    job, sampled = item.job, item.sampled
    if len(stored[0]) != len(sampled):
        item.report_finding("sample", f"row {sampled[len(stored[0])]} is missing")
        return
    # The k-th good row stands behind every rejected row that has at most k good ones before it.
    start = item.source_info.row_group_starts[item.row_groups.start]
    good_before = rejected - start - np.arange(len(rejected))
    rows = start + sampled + np.searchsorted(good_before, sampled, side="right")
    # Plainly, though compress reads the fast way: a check must not share what it checks.
    section, input_dim = job.config.source, job.adaptor.input_dim
    _, vectors, reasons = read_rows(job.source, item.shard, section, rows, input_dim, plain=True)
    if reasons:
        position, reason = next(iter(reasons.items()))
        item.report_finding("sample", f"row {sampled[position]} comes from an unusable vector: {reason}")
        return
    for column, decoded in zip(job.vector_columns, stored, strict=True):
        _compare_vectors(item, column, vectors, decoded)
    _compare_payload(item, rows)


def _compare_vectors(item: ItemContext, column: VectorColumn, vectors: Floats, stored: Floats) -> None:
    """Compute the sampled `vectors` (k, d) again and compare them with what is `stored` (k, m).

    A code stands for all numbers nearer to it than half a step: one that is computed again lies there, or within the
    tolerance of its border.
    """
    encoding, tolerance = column.encoding, item.job.config.verification.tolerance
    expected = encoding.projection.transform_rows(vectors)
    sizes = np.abs(expected).max(axis=1, keepdims=True)
    unit = item.job.adaptor.metric == "cosine"
    rounding = tolerance * np.maximum(sizes, 1 if unit else np.abs(vectors).max(axis=1, keepdims=True))
    cell = encoding.tolerance(stored)
    # Near a border of its cell a number may have either code; a border is thin beside a cell.
    allowed = cell + np.where(cell > 0, np.minimum(rounding, cell / 50), rounding)
    expected = encoding.clip(expected)
    wrong = ~(np.abs(expected - stored) <= allowed)
    if wrong.any():
        row, number = np.argwhere(wrong)[0]
        item.report_finding(
            "sample",
            f"{wrong.any(axis=1).sum()} of {len(stored)} sampled rows differ, the first is row {item.sampled[row]}: "
            f"number {number} of '{column.name}' is {stored[row, number]:.6g}, computed {expected[row, number]:.6g}",
        )


def _compare_payload(item: ItemContext, source_rows: Integers) -> None:
    """Report the first difference in any column but the vectors. Only row groups with sampled rows are streamed."""
    job, output, source = item.job, item.output_info, item.source_info
    stored_names = set(output.schema.names)  # a missing column is a finding of its own
    columns = sorted({name for name in source.schema.names if name != item.vector_column and name in stored_names})
    output_batches = job.output_format.read(
        job.output_version, item.record.output, columns, BATCH_ROWS, output.row_groups_of(item.sampled)
    )
    source_batches = job.source.read(item.shard, source.row_groups_of(source_rows), BATCH_ROWS, columns)
    expected_rows = _rows(source, source_batches, source_rows)
    stored_rows = _rows(output, output_batches, item.sampled)
    for row, expected_row, stored_row in zip(item.sampled, expected_rows, stored_rows, strict=True):
        for (name, expected), (_, stored) in zip(expected_row, stored_row, strict=False):  # names may be doubled
            if not stored.equals(expected) and _text(stored) != _text(expected):
                problem = f"column '{name}' holds {_text(stored):.60}, the source has {_text(expected):.60}"
                item.report_finding("sample", f"row {row}: {problem}")
                return


def _rows(info: ShardInfo, batches: Iterable[Batch], rows: Integers) -> Iterator[list[tuple[str, pa.Array]]]:
    """The given rows as arrays of one value, each beside the name of its column, in the order of the names."""
    for batch in batches:
        for row in info.rows_within(batch, rows).tolist():
            values = batch.table.slice(row, 1)
            yield sorted(zip(values.schema.names, values.columns, strict=True), key=itemgetter(0))


def _text(value: pa.Array) -> str:
    """As text: in Arrow a NaN differs from itself, in a payload it is as good a value as any."""
    try:
        return repr(value[0].as_py())
    except UnicodeDecodeError as problem:  # the writer called it a string, but it is no UTF-8
        return repr(problem.object)
