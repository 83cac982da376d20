"""The rows of one work item against their source: counts, ids, vectors, and a sample computed again. All streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.outputs.quarantine import added_columns
from jobs.sources.fingerprints import fingerprints
from jobs.sources.ids import id_texts
from jobs.sources.parquet import Shard, open_parquet, unchanged
from jobs.sources.sampling import read_rows
from jobs.sources.vectors import decode, read_batches
from jobs.verify.checks import IDS, NUMBERS, ROWS, SAMPLE
from jobs.verify.context import BATCH_ROWS, Subject
from jobs.verify.payload import first_changed
from jobs.verify.streams import RowPicker, first_difference

Integers = npt.NDArray[np.int64]

#: How far the length of a vector of unit length may be from 1, by the type that it is stored in.
_LENGTH_TOLERANCE = {"float32": 1e-5, "float16": 1e-3}


#: Distance of neighbouring float16 numbers, relative to them and at the least.
_HALF_STEP, _SMALLEST_HALF = 2.0**-10, 2.0**-24


class RowChecker:
    """Streams the output of a work item once, and the ids of its source beside it."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self._place = subject, subject.place
        self._picked = RowPicker(subject.task.sampled)

    def check(self) -> None:
        """Check everything; of a shard that has left the source, only what the output itself can show."""
        output_ids = self._checked_ids()
        compared = self._subject.task.in_source and self._quarantine_can_be_read()
        if compared:
            self._check_counts()
            difference = first_difference(self._source_ids(), output_ids)
            if difference is not None:
                row, source, output = difference
                self._subject.found(IDS, f"row {row} has id {_shown(output)}, the source has {_shown(source)}")
        for _ in output_ids:  # the rest after a difference, or everything when there is no source to compare with
            pass
        if compared:
            self._check_sample()
        if self._subject.task.in_source:
            unchanged(self._place.source, self._subject.shard)

    def _quarantine_can_be_read(self) -> bool:
        """Without it, which rows of the source the output should hold is unknown."""
        try:
            _ = self._rejected
        except InputError as problem:
            self._subject.found(ROWS, str(problem))
            return False
        return True

    def _check_counts(self) -> None:
        subject, record = self._subject, self._subject.record
        rows_in = sum(subject.source.row_group_rows[group] for group in subject.groups)
        if rows_in != record.rows_in:
            subject.found(ROWS, f"the source has {rows_in} rows, recorded are {record.rows_in}")
        count = len(self._rejected)
        if count != record.rows_quarantined:
            subject.found(ROWS, f"its quarantine file has {count} rows, recorded are {record.rows_quarantined}")

    @cached_property
    def _rejected(self) -> Integers:
        """Quarantined rows as numbers within the work item, int64 (n,), ascending."""
        subject, key = self._subject, self._subject.record.quarantine
        if key is None:
            return np.empty(0, np.int64)
        names = added_columns(subject.source.schema)[1:]
        there = self._place.output_version
        info = there.stat(key)
        if info is None:
            raise InputError(f"its quarantine file {key} is missing")
        with open_parquet(there, key) as file:
            schema, groups = file.schema_arrow, range(file.num_row_groups)
        if any(schema.names.count(name) != 1 or schema.field(name).type != pa.int64() for name in names):
            raise InputError(f"its quarantine file {key} lacks the columns {' and '.join(names)}")
        shard, parts = Shard(info.key, info.size, info.version), [[np.empty(0, np.int64)] for _ in names]
        for batch in read_batches(there, shard, groups, BATCH_ROWS, names, direct=False):
            for name, part in zip(names, parts, strict=True):
                part.append(batch.table.column(name).drop_null().to_numpy())
        group, row = (np.concatenate(part) for part in parts)
        return placed(subject.groups, subject.source.row_group_rows, group, row, key)

    def _source_ids(self) -> Iterator[pa.Array]:
        """Ids of the source as text, less those of the quarantined rows."""
        first, rejected, subject = 0, self._rejected, self._subject
        columns = subject.columns[:1]
        for batch in read_batches(self._place.source, subject.shard, subject.groups, BATCH_ROWS, columns):
            good = np.ones(batch.table.num_rows, bool)
            low, high = np.searchsorted(rejected, (first, first + len(good)))
            good[rejected[low:high] - first] = False
            first += len(good)
            yield id_texts(batch.table.column(columns[0])).filter(pa.array(good))

    def _checked_ids(self) -> Iterator[pa.Array]:
        """Ids of the output; on the way its vectors are judged and the sampled ones picked out."""
        first, prints = 0, [np.empty(0, np.uint64)]
        for ids, column in self._subject.output_batches():
            self._check_vectors(column, first)
            self._picked.take(column, first)
            if self._subject.task.wants_ids:
                prints.append(fingerprints(ids.drop_null()))
            first += len(ids)
            yield ids
        self._subject.report.prints = np.concatenate(prints)

    def _check_vectors(self, column: pa.Array, first: int) -> None:
        config = self._place.config
        decoded = decode(column, config.output.dim)
        bad = {row: why for row, why in decoded.reasons.items() if why != "zero vector"}
        if self._place.adaptor.metric == "cosine":
            with np.errstate(over="ignore"):
                lengths = np.linalg.norm(decoded.vectors, axis=1)
            for row in np.flatnonzero(np.abs(lengths - 1) > _LENGTH_TOLERANCE[config.output.encoding]).tolist():
                bad.setdefault(row, f"length {lengths[row]:.6f}")
        if bad:
            row = min(bad)
            self._subject.found(NUMBERS, f"{len(bad)} bad vectors, the first in row {first + row}: {bad[row]}")

    def _check_sample(self) -> None:
        place, subject = self._place, self._subject
        chosen, stored = np.asarray(subject.task.sampled, np.int64), self._picked.vectors
        if not len(chosen):
            return
        if len(stored) != len(chosen):
            subject.found(SAMPLE, f"row {chosen[len(stored)]} is missing")
            return
        # The k-th good row stands behind every rejected row that has at most k good ones before it.
        good_before = self._rejected - np.arange(len(self._rejected))
        rows = chosen + np.searchsorted(good_before, chosen, side="right")
        rows += sum(subject.source.row_group_rows[: subject.groups.start])
        # By pyarrow alone, though compress reads directly: a check must not share what it checks.
        source, input_dim = place.config.source, place.adaptor.input_dim
        _, vectors, reasons = read_rows(place.source, subject.shard, source, rows, input_dim, direct=False)
        if reasons:
            position, why = next(iter(reasons.items()))
            subject.found(SAMPLE, f"row {chosen[position]} comes from an unusable vector: {why}")
            return
        self._compare(chosen, place.adaptor.transform(vectors, place.config.output.dim), stored)
        if (changed := first_changed(subject, chosen, rows)) is not None:
            subject.found(SAMPLE, changed)

    def _compare(self, chosen: Integers, expected: Floats, stored: Floats) -> None:
        config = self._place.config
        allowed = config.verification.tolerance * np.maximum(1, np.abs(expected).max(axis=1, keepdims=True))
        if config.output.encoding == "float16":
            limit = np.finfo(np.float16).max
            expected = np.clip(expected, -limit, limit)
            allowed = allowed + np.maximum(np.abs(stored) * _HALF_STEP, _SMALLEST_HALF)
        wrong = ~(np.abs(expected - stored) <= allowed)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            self._subject.found(
                SAMPLE,
                f"{int(wrong.any(axis=1).sum())} of {len(chosen)} sampled rows differ, the first is row {chosen[row]}: "
                f"number {column} is {stored[row, column]:.6g}, computed {expected[row, column]:.6g}",
            )


def placed(groups: range, row_group_rows: Sequence[int], group: Integers, row: Integers, key: str) -> Integers:
    """Rows given as (row group, row within it) as numbers within the work item, ascending.

    `InputError` naming the quarantine file `key` for a row that the work item does not have, or has twice.
    """
    sizes = np.asarray([row_group_rows[index] for index in groups], np.int64)
    place = group - groups.start
    if len(group) != len(row) or not np.isin(place, np.arange(len(sizes))).all():
        raise InputError(f"its quarantine file {key} names row groups that the work item does not have")
    numbers = np.sort((np.cumsum(sizes) - sizes)[place] + row)
    if ((row < 0) | (row >= sizes[place])).any() or (np.diff(numbers) == 0).any():
        raise InputError(f"its quarantine file {key} names rows that the work item does not have, or one twice")
    return numbers


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
