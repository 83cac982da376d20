"""The rows of one work item against their source: counts, ids and vectors, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.commits.context import VectorColumn
from jobs.outputs.quarantine import added_columns
from jobs.sources.fingerprints import fingerprints
from jobs.sources.ids import id_strings, id_texts
from jobs.sources.parquet_reader import read_batches, read_footer
from jobs.sources.vectors import Decoded
from jobs.verify.context import BATCH_ROWS, ItemContext
from jobs.verify.sample import check_sample

Integers = npt.NDArray[np.int64]


def check_rows(item: ItemContext) -> None:
    """Stream the output once, and the ids of its source beside it, if the shard is still there."""
    stored = [[np.empty((0, column.dim), np.float32)] for column in item.job.vector_columns]
    output_ids = _checked_ids(item, stored)
    rejected: Integers | None = None
    if item.task.in_source:
        try:
            rejected = _rejected_rows(item)
        except InputError as problem:  # which rows the output should hold is unknown
            item.report_finding("rows", str(problem))
    if rejected is not None:
        _check_counts(item, len(rejected))
        difference = first_difference(_source_ids(item, rejected), output_ids)
        if difference is not None:
            row, *texts = difference
            source, output = ("nothing" if text is None else repr(text) for text in texts)
            item.report_finding("ids", f"row {row} has id {output}, the source has {source}")
    for _ in output_ids:  # the rest after a difference, or everything when there is no source to compare with
        pass
    if rejected is not None and len(item.sampled):
        check_sample(item, rejected, [np.concatenate(parts) for parts in stored])
    if item.task.in_source:
        item.job.source.check_unchanged(item.shard)


def _rejected_rows(item: ItemContext) -> Integers:
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


def _check_counts(item: ItemContext, rejected: int) -> None:
    rows_in = sum(item.source_info.row_group_rows[group] for group in item.row_groups)
    if rows_in != item.record.rows_in:
        item.report_finding("rows", f"the source has {rows_in} rows, recorded are {item.record.rows_in}")
    if rejected != item.record.rows_quarantined:
        recorded = item.record.rows_quarantined
        item.report_finding("rows", f"its quarantine file has {rejected} rows, recorded are {recorded}")


def _source_ids(item: ItemContext, rejected: Integers) -> Iterator[pa.Array]:
    """Ids of the source as text, less those of the rejected rows."""
    for batch in item.job.source.read(item.shard, item.row_groups, BATCH_ROWS, [item.id_column]):
        good = np.ones(batch.table.num_rows, bool)
        good[item.source_info.rows_within(batch, rejected)] = False
        yield id_texts(batch.table.column(item.id_column)).filter(pa.array(good))


def _checked_ids(item: ItemContext, stored: list[list[Floats]]) -> Iterator[pa.Array]:
    """Ids of the output. On the way its vectors are checked, and the sampled ones of each column are added to its part
    of `stored`."""
    first, prints = 0, [np.empty(0, np.uint64)]
    for ids, columns in item.output_batches():
        low, high = np.searchsorted(item.sampled, (first, first + len(ids)))
        for kept, described, column in zip(stored, item.job.vector_columns, columns, strict=True):
            decoded = described.encoding.decode(column)
            _check_vectors(item, described, decoded, first)
            kept.append(decoded.vectors[item.sampled[low:high] - first])
        if item.task.wants_ids:
            prints.append(fingerprints(ids.drop_null()))
        first += len(ids)
        yield ids
    item.report.prints = np.concatenate(prints)


def _check_vectors(item: ItemContext, column: VectorColumn, decoded: Decoded, first: int) -> None:
    bad = {row: reason for row, reason in decoded.reasons.items() if reason != "zero vector"}
    if item.job.adaptor.metric == "cosine":
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(decoded.vectors, axis=1)
        for row in np.flatnonzero(np.abs(lengths - 1) > column.encoding.length_tolerance).tolist():
            bad.setdefault(row, f"length {lengths[row]:.6f}")
    if bad:
        row = min(bad)
        problem = f"{len(bad)} bad vectors in '{column.name}', the first in row {first + row}: {bad[row]}"
        item.report_finding("numbers", problem)


def first_difference(
    source: Iterator[pa.Array], output: Iterator[pa.Array]
) -> tuple[int, str | None, str | None] | None:
    """Where two streams of texts, cut differently, differ first: row, text of each (None: it has ended); or None."""
    left, right = (_refilled(pa.array([], pa.large_string()), stream) for stream in (source, output))
    row = 0
    while (count := min(len(left), len(right))) and left[:count].equals(right[:count]):
        row += count
        left, right = _refilled(left[count:], source), _refilled(right[count:], output)
    if count:
        same = pc.fill_null(pc.equal(left[:count], right[:count]), False).to_numpy(zero_copy_only=False)
        first = int(np.argmin(same))
        row, left, right = row + first, left[first:], right[first:]
    elif not len(left) and not len(right):
        return None
    source_text, output_text = (id_strings(part[:1])[0] if len(part) else None for part in (left, right))
    return row, source_text, output_text


def _refilled(part: pa.Array, stream: Iterator[pa.Array]) -> pa.Array:
    return part if len(part) else next((batch for batch in stream if len(batch)), part)
