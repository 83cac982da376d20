"""From a Parquet column of lists to a float32 matrix, with a reason for every row that is not a usable vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError, RunError
from jobs.sources import int96
from jobs.sources.fast_parquet.headers import NeedsArrowReader
from jobs.sources.fast_parquet.memory import BATCHES
from jobs.sources.fast_parquet.tables import OpenShard, read_directly
from jobs.sources.float16 import widened
from jobs.sources.parquet import Shard, is_outage, open_shard, unchanged
from jobs.sources.vector_types import is_vector_type
from jobs.storage.objects import Objects

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Decoded:
    """Vectors of one batch: `vectors` (n, d) float32, and `reasons` row → why it is unusable (such rows are zeros).

    `squares` (n,) float32 are the squared lengths; infinite where they overflow, which is no reason here. `vectors`
    may be a read-only view of the Arrow buffer. Reasons are stable words: "null vector", "wrong length 12 (expected
    384)", "null element", "NaN", "infinite" (beyond float32 included), "zero vector"; the first that holds counts.
    """

    vectors: Floats
    squares: Floats
    reasons: dict[int, str]


def decode(column: pa.Array | pa.ChunkedArray, dim: int | None) -> Decoded:
    """Decode `column` (list, large_list or fixed_size_list of float16/32/64) into (n, dim) float32.

    `dim` None takes the most common length (the smaller one on a tie). Zero-copy when the column is float32 and every
    row is good. Raises `InputError` for a column of another type.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if not is_vector_type(column.type):
        raise InputError(f"vectors are of type {column.type}: store them as a list of float16, float32 or float64")
    present, starts, lengths, values = _layout(column)
    if dim is None:
        dim = _common_length(lengths[present])
    reasons = {int(row): "null vector" for row in np.flatnonzero(~present)}
    expected = str(dim) if dim else "at least 1"
    wrong = present & ((lengths != dim) | (lengths == 0))
    reasons |= {int(row): f"wrong length {lengths[row]} (expected {expected})" for row in np.flatnonzero(wrong)}
    usable = present & ~wrong
    with np.errstate(over="ignore", invalid="ignore"):
        raw = _gather(_elements(values), starts, usable, dim)
        vectors = widened(raw) if raw.dtype == np.float16 else raw.astype(np.float32, copy=False)
        squares: Floats = np.einsum("nd,nd->n", vectors, vectors)
        nulls: Flags | None = None
        if values.null_count:
            nulls = np.any(_gather(_null_elements(values), starts, usable, dim), axis=1)
        reasons |= _unusable_numbers(vectors, squares, usable, nulls)
    if reasons:
        if not vectors.flags.writeable:  # a view of the Arrow buffer, which others still read
            vectors = vectors.copy()
        vectors[list(reasons)] = squares[list(reasons)] = 0
    return Decoded(vectors, squares, dict(sorted(reasons.items())))


def _layout(column: pa.Array) -> tuple[Flags, Integers, Integers, pa.Array]:
    """Per row: present or null, first element within `values`, number of elements; and the child array itself."""
    count = len(column)
    present = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else np.ones(count, dtype=bool)
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        starts = (np.arange(count, dtype=np.int64) + column.offset) * size
        return present, starts, np.full(count, size, dtype=np.int64), column.values
    offsets = column.offsets.to_numpy().astype(np.int64)  # already those of the slice
    return present, offsets[:-1], np.diff(offsets), column.values


def _common_length(lengths: Integers) -> int:
    if not len(lengths):
        return 0
    sizes, counts = np.unique(lengths, return_counts=True)
    return int(sizes[np.argmax(counts)])


def _elements(values: pa.Array) -> npt.NDArray[np.floating]:
    """The child's numbers as they lie in memory; what stands under a null is arbitrary."""
    kind = values.type.to_pandas_dtype()
    buffer = values.buffers()[1]
    if buffer is None:
        return np.zeros(len(values), dtype=kind)
    elements = np.frombuffer(buffer, dtype=kind)[values.offset : values.offset + len(values)]
    elements.flags.writeable = False
    return elements


def _null_elements(values: pa.Array) -> Flags:
    flags: Flags = values.is_null().to_numpy(zero_copy_only=False)
    return flags


def _gather(flat: npt.NDArray[Any], starts: Integers, usable: Flags, dim: int) -> npt.NDArray[Any]:
    """(n, dim) rows of `flat` from `starts` on, a view when they lie end to end; rows that are not usable are 0."""
    count = len(starts)
    if count and usable.all() and (starts == starts[0] + np.arange(count) * dim).all():
        return flat[starts[0] : starts[0] + count * dim].reshape(count, dim)
    rows = np.zeros((count, dim), dtype=flat.dtype)
    good = np.flatnonzero(usable)
    # Copy run by run: rows next to each other in the batch and in memory. An index array would need 8 bytes per number.
    breaks = np.flatnonzero((np.diff(good) != 1) | (np.diff(starts[good]) != dim)) + 1
    for run in np.split(good, breaks):
        if len(run):
            first = starts[run[0]]
            rows[run[0] : run[-1] + 1] = flat[first : first + len(run) * dim].reshape(len(run), dim)
    return rows


def _unusable_numbers(vectors: Floats, squares: Floats, usable: Flags, nulls: Flags | None) -> dict[int, str]:
    """Reasons of the rows whose numbers are unusable. Squared lengths find the suspects; only those are looked at."""
    suspects = usable & (~np.isfinite(squares) | (squares == 0))
    if nulls is not None:
        suspects |= nulls
    reasons = {}
    for row in np.flatnonzero(suspects):
        reason = "null element" if nulls is not None and nulls[row] else _why(vectors[row])
        if reason:
            reasons[int(row)] = reason
    return reasons


def _why(vector: Floats) -> str | None:
    if np.isnan(vector).any():
        return "NaN"
    if np.isinf(vector).any():
        return "infinite"
    return None if vector.any() else "zero vector"


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of one row group: `table` holds the asked columns, `first_row` counts within the row group."""

    row_group: int
    first_row: int
    table: pa.RecordBatch


def read_batches(
    objects: Objects,
    shard: Shard,
    row_groups: Iterable[int],
    batch_rows: int | Callable[[], int],
    columns: Sequence[str] | None = None,
    *,
    direct: bool = True,
) -> Iterator[Batch]:
    """Stream the rows of `row_groups` in order, at most `batch_rows` at a time, never across a row group. A function is
    asked anew before each batch, and may ask for smaller ones.

    `columns` None reads all, with their types unchanged. Vectors are read directly from their pages where that is
    proven to give what pyarrow gives, else (or unless `direct`) by pyarrow. Memory is bounded by the batch and one read
    buffer per column, not by the row group. `InputError` names the shard and row group when its data cannot be decoded
    or has changed, `RunError` when the disk or the network failed.
    """
    asked = batch_rows if callable(batch_rows) else lambda: batch_rows
    with open_shard(objects, shard.key) as opened:
        times = int96.columns(opened.parquet) if columns is None else []
        for row_group in row_groups:
            first_row = 0
            try:
                if times:
                    int96.check_digits(objects, shard.key, opened.parquet, times, row_group, asked())
                for table in _row_group(opened, row_group, asked, columns, direct):
                    if table.num_rows:
                        yield Batch(row_group, first_row, table)
                    first_row += table.num_rows
                if first_row != (claimed := opened.parquet.metadata.row_group(row_group).num_rows):
                    raise pa.ArrowInvalid(f"its pages hold {first_row} rows, the footer says {claimed}")
            except (pa.ArrowException, OSError, MemoryError) as error:
                where = f"{objects.uri}: {shard.key}, row group {row_group}, after row {first_row}"
                if is_outage(error):
                    raise RunError(f"{where}: could not be read: {error}") from error
                unchanged(objects, shard)  # a file that was replaced meanwhile looks damaged, but is not
                or_memory = ", or this machine has too little memory" if isinstance(error, MemoryError) else ""
                raise InputError(f"{where}: the data is damaged, write the file again{or_memory} ({error})") from error


def _row_group(
    shard: OpenShard, row_group: int, batch_rows: Callable[[], int], columns: Sequence[str] | None, direct: bool
) -> Iterator[pa.RecordBatch]:
    """The batches of a row group: directly as far as that is proven, from there on by pyarrow. When batches are to be
    smaller from now on, reading begins anew, and what was given before is dropped."""
    wanted = None if columns is None else list(columns)
    done = 0
    while True:
        rows, again = batch_rows(), done
        try:
            if direct:
                tables = read_directly(shard, row_group, rows, columns)
            else:
                tables = shard.parquet.iter_batches(rows, row_groups=[row_group], columns=wanted, use_threads=False)
            with closing(tables):
                for table in tables:
                    known = min(again, table.num_rows)
                    again -= known
                    done += table.num_rows - known
                    yield table.slice(known)
                    if batch_rows() < rows:
                        break
                else:
                    return
        except (NeedsArrowReader, MemoryError):  # a damaged footer may claim vectors of any dimension
            if not direct:  # pyarrow, too: there is no other way to read them
                raise
            direct = False
            BATCHES.clear()
