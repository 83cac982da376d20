"""The rows of one work item against their source: counts, ids, vectors, and a sample computed again. All streamed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.sources.fingerprints import fingerprints
from jobs.sources.ids import id_texts
from jobs.sources.sampling import read_rows
from jobs.verify.checks import IDS, NUMBERS, ROWS, SAMPLE
from jobs.verify.context import BATCH_ROWS, ItemContext
from jobs.verify.payload import first_changed
from jobs.verify.rejected import rejected_rows
from jobs.verify.streams import RowPicker, first_difference

Integers = npt.NDArray[np.int64]


class RowChecker:
    """Streams the output of a work item once, and the ids of its source beside it."""

    def __init__(self, item: ItemContext, tolerance: float) -> None:
        self._item, self._job = item, item.job
        self._tolerance = tolerance
        self._picked = RowPicker(item.task.sampled, item.job.encoding)

    def check(self) -> None:
        """Check everything; of a shard that has left the source, only what the output itself can show."""
        output_ids = self._checked_ids()
        compared = self._item.task.in_source and self._quarantine_can_be_read()
        if compared:
            self._check_counts()
            difference = first_difference(self._source_ids(), output_ids)
            if difference is not None:
                row, source, output = difference
                self._item.report_finding(IDS, f"row {row} has id {_shown(output)}, the source has {_shown(source)}")
        for _ in output_ids:  # the rest after a difference, or everything when there is no source to compare with
            pass
        if compared:
            self._check_sample()
        if self._item.task.in_source:
            self._job.source.check_unchanged(self._item.shard)

    def _quarantine_can_be_read(self) -> bool:
        """Without it, which rows of the source the output should hold is unknown."""
        try:
            _ = self._rejected
        except InputError as problem:
            self._item.report_finding(ROWS, str(problem))
            return False
        return True

    def _check_counts(self) -> None:
        item, record = self._item, self._item.record
        rows_in = sum(item.source_info.row_group_rows[group] for group in item.groups)
        if rows_in != record.rows_in:
            item.report_finding(ROWS, f"the source has {rows_in} rows, recorded are {record.rows_in}")
        count = len(self._rejected)
        if count != record.rows_quarantined:
            item.report_finding(ROWS, f"its quarantine file has {count} rows, recorded are {record.rows_quarantined}")

    @cached_property
    def _rejected(self) -> Integers:
        """Quarantined rows as numbers within the work item, int64 (n,), ascending."""
        return rejected_rows(self._item)

    def _source_ids(self) -> Iterator[pa.Array]:
        """Ids of the source as text, less those of the quarantined rows."""
        first, rejected, item = 0, self._rejected, self._item
        columns = item.columns[:1]
        for batch in self._job.source.read(item.shard, item.groups, BATCH_ROWS, columns):
            good = np.ones(batch.table.num_rows, bool)
            low, high = np.searchsorted(rejected, (first, first + len(good)))
            good[rejected[low:high] - first] = False
            first += len(good)
            yield id_texts(batch.table.column(columns[0])).filter(pa.array(good))

    def _checked_ids(self) -> Iterator[pa.Array]:
        """Ids of the output; on the way its vectors are judged and the sampled ones picked out."""
        first, prints = 0, [np.empty(0, np.uint64)]
        for ids, column in self._item.output_batches():
            self._check_vectors(column, first)
            self._picked.take(column, first)
            if self._item.task.wants_ids:
                prints.append(fingerprints(ids.drop_null()))
            first += len(ids)
            yield ids
        self._item.report.prints = np.concatenate(prints)

    def _check_vectors(self, column: pa.Array, first: int) -> None:
        encoding = self._job.encoding
        decoded = encoding.decode(column)
        bad = {row: why for row, why in decoded.reasons.items() if why != "zero vector"}
        if self._job.adaptor.metric == "cosine":
            with np.errstate(over="ignore"):
                lengths = np.linalg.norm(decoded.vectors, axis=1)
            for row in np.flatnonzero(np.abs(lengths - 1) > encoding.length_tolerance).tolist():
                bad.setdefault(row, f"length {lengths[row]:.6f}")
        if bad:
            row = min(bad)
            self._item.report_finding(NUMBERS, f"{len(bad)} bad vectors, the first in row {first + row}: {bad[row]}")

    def _check_sample(self) -> None:
        job, item = self._job, self._item
        chosen, stored = np.asarray(item.task.sampled, np.int64), self._picked.vectors
        if not len(chosen):
            return
        if len(stored) != len(chosen):
            item.report_finding(SAMPLE, f"row {chosen[len(stored)]} is missing")
            return
        # The k-th good row stands behind every rejected row that has at most k good ones before it.
        good_before = self._rejected - np.arange(len(self._rejected))
        rows = chosen + np.searchsorted(good_before, chosen, side="right")
        rows += sum(item.source_info.row_group_rows[: item.groups.start])
        # Plainly, though compress reads the fast way: a check must not share what it checks.
        section, input_dim = job.config.source, job.adaptor.input_dim
        _, vectors, reasons = read_rows(job.source, item.shard, section, rows, input_dim, plain=True)
        if reasons:
            position, why = next(iter(reasons.items()))
            item.report_finding(SAMPLE, f"row {chosen[position]} comes from an unusable vector: {why}")
            return
        self._compare(chosen, job.adaptor.transform(vectors, dim=job.config.output.dim), stored)
        if (changed := first_changed(item, chosen, rows)) is not None:
            item.report_finding(SAMPLE, changed)

    def _compare(self, chosen: Integers, expected: Floats, stored: Floats) -> None:
        encoding = self._job.encoding
        allowed = self._tolerance * np.maximum(1, np.abs(expected).max(axis=1, keepdims=True))
        expected, allowed = encoding.clip(expected), allowed + encoding.tolerance(stored)
        wrong = ~(np.abs(expected - stored) <= allowed)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            self._item.report_finding(
                SAMPLE,
                f"{int(wrong.any(axis=1).sum())} of {len(chosen)} sampled rows differ, the first is row {chosen[row]}: "
                f"number {column} is {stored[row, column]:.6g}, computed {expected[row, column]:.6g}",
            )


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
