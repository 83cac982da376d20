"""The rows of one work item against their source: counts, ids, vectors, and a sample computed again. All streamed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.sources.fingerprints import fingerprints
from jobs.sources.ids import id_texts
from jobs.sources.sampling import read_rows
from jobs.sources.vectors import Decoded
from jobs.verify.context import BATCH_ROWS, ItemContext
from jobs.verify.payload import first_changed
from jobs.verify.rejected import rejected_rows
from jobs.verify.streams import first_difference

Integers = npt.NDArray[np.int64]


def check_rows(item: ItemContext) -> None:
    """Check everything; of a shard that has left the source, only what the output itself can show.

    Streams the output once, and the ids of its source beside it.
    """
    stored = [np.empty((0, item.job.config.output.dim), np.float32)]
    output_ids = _checked_ids(item, stored)
    rejected = _rejected(item) if item.task.in_source else None
    if rejected is not None:
        _check_counts(item, len(rejected))
        difference = first_difference(_source_ids(item, rejected), output_ids)
        if difference is not None:
            row, source, output = difference
            item.report_finding("ids", f"row {row} has id {_shown(output)}, the source has {_shown(source)}")
    for _ in output_ids:  # the rest after a difference, or everything when there is no source to compare with
        pass
    if rejected is not None and len(item.sampled):
        _check_sample(item, rejected, np.concatenate(stored))
    if item.task.in_source:
        item.job.source.check_unchanged(item.shard)


def _rejected(item: ItemContext) -> Integers | None:
    """Quarantined rows, or None: without them, which rows of the source the output should hold is unknown."""
    try:
        return rejected_rows(item)
    except InputError as problem:
        item.report_finding("rows", str(problem))
        return None


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


def _checked_ids(item: ItemContext, stored: list[Floats]) -> Iterator[pa.Array]:
    """Ids of the output. On the way its vectors are checked, and the sampled ones are added to `stored`."""
    first, prints = 0, [np.empty(0, np.uint64)]
    for ids, column in item.output_batches():
        decoded = item.job.encoding.decode(column)
        _check_vectors(item, decoded, first)
        low, high = np.searchsorted(item.sampled, (first, first + len(ids)))
        stored.append(decoded.vectors[item.sampled[low:high] - first])
        if item.task.wants_ids:
            prints.append(fingerprints(ids.drop_null()))
        first += len(ids)
        yield ids
    item.report.prints = np.concatenate(prints)


def _check_vectors(item: ItemContext, decoded: Decoded, first: int) -> None:
    bad = {row: reason for row, reason in decoded.reasons.items() if reason != "zero vector"}
    if item.job.adaptor.metric == "cosine":
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(decoded.vectors, axis=1)
        for row in np.flatnonzero(np.abs(lengths - 1) > item.job.encoding.length_tolerance).tolist():
            bad.setdefault(row, f"length {lengths[row]:.6f}")
    if bad:
        row = min(bad)
        item.report_finding("numbers", f"{len(bad)} bad vectors, the first in row {first + row}: {bad[row]}")


def _check_sample(item: ItemContext, rejected: Integers, stored: Floats) -> None:
    """Compute the sampled rows again and compare them with those `stored`, float32 (k, m)."""
    job, sampled = item.job, item.sampled
    if len(stored) != len(sampled):
        item.report_finding("sample", f"row {sampled[len(stored)]} is missing")
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
    _compare(item, job.adaptor.transform(vectors, dim=job.config.output.dim), stored)
    if (changed := first_changed(item, sampled, rows)) is not None:
        item.report_finding("sample", changed)


def _compare(item: ItemContext, expected: Floats, stored: Floats) -> None:
    encoding, tolerance = item.job.encoding, item.job.config.verification.tolerance
    allowed = tolerance * np.maximum(1, np.abs(expected).max(axis=1, keepdims=True)) + encoding.tolerance(stored)
    expected = encoding.clip(expected)
    wrong = ~(np.abs(expected - stored) <= allowed)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        item.report_finding(
            "sample",
            f"{wrong.any(axis=1).sum()} of {len(stored)} sampled rows differ, the first is row {item.sampled[row]}: "
            f"number {column} is {stored[row, column]:.6g}, computed {expected[row, column]:.6g}",
        )


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
