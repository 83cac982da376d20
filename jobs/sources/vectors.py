"""From an Arrow column of lists to a float32 matrix, with a reason for every row that is not a usable vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.sources.vector_texts import is_text_type, parse_texts

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Numbers that are widened at once: they stay in the processor's cache for all steps.
_AT_ONCE = 1 << 16
_SIGN_AND_LOW_BITS = np.int32(-0x70000001)
_BEYOND_HALF = 65536
_BYTES = (pa.int8(), pa.uint8())


@dataclass(frozen=True)
class Decoded:
    """Vectors of one batch: `vectors` (n, d) float32, and `reasons` row → why it is unusable (such rows are zeros).

    `squares` (n,) float32 are the squared lengths; infinite on overflow, which is no reason here. `vectors` may be a
    read-only view of the Arrow buffer. Reasons, the first that holds: "null vector", "wrong length 12 (expected 384)",
    "no list of numbers: '…'" (texts), "null element", "NaN", "infinite" (beyond float32 included), "zero vector".
    """

    vectors: Floats
    squares: Floats
    reasons: dict[int, str]


def is_vector_type(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold vectors: a list of float16, float32, float64, int8 or uint8."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and (pa.types.is_floating(kind.value_type) or kind.value_type in _BYTES))


def number_bytes(kind: pa.DataType) -> int:
    """Bytes of one number of a column of vectors; 4 of vectors in texts, which become float32."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return 4 if is_text_type(kind) else int(kind.value_type.bit_width) // 8


def decode(column: pa.Array | pa.ChunkedArray, dim: int | None) -> Decoded:
    """Decode `column` (lists of float16/32/64, int8 or uint8; or texts such as `[0.1, 2]`) into (n, dim) float32.

    `dim` None takes the most common length (the smaller one on a tie). Zero-copy when the column is float32 and every
    row is good. Raises `InputError` for a column of another type.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    no_numbers: dict[int, str] = {}
    if is_text_type(column.type):
        column, no_numbers = parse_texts(column)
    if not is_vector_type(column.type):
        raise InputError(f"vectors are of type {column.type}: store them as a list of float16, float32 or float64")
    present, starts, lengths, values = _layout(column)
    if dim is None:
        sizes, counts = np.unique(lengths[present], return_counts=True)
        dim = int(sizes[np.argmax(counts)]) if len(sizes) else 0
    reasons = {int(row): "null vector" for row in np.flatnonzero(~present)} | no_numbers
    expected = str(dim) if dim else "at least 1"
    wrong = present & ((lengths != dim) | (lengths == 0))
    reasons |= {int(row): f"wrong length {lengths[row]} (expected {expected})" for row in np.flatnonzero(wrong)}
    usable = present & ~wrong
    with np.errstate(over="ignore", invalid="ignore"):
        raw = _gather(values.to_numpy(zero_copy_only=False), starts, usable, dim)
        vectors = widened(raw) if raw.dtype == np.float16 else raw.astype(np.float32, copy=False)
        squares: Floats = np.einsum("nd,nd->n", vectors, vectors)
        nulls = np.zeros(len(column), bool)
        if values.null_count:
            null_elements = values.is_null().to_numpy(zero_copy_only=False)
            nulls = np.any(_gather(null_elements, starts, usable, dim), axis=1)
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


def _gather(flat: npt.NDArray[Any], starts: Integers, usable: Flags, dim: int) -> npt.NDArray[Any]:
    """(n, dim) rows of `flat` from `starts` on, a view when they lie end to end; unusable rows are 0."""
    count = len(starts)
    if count and usable.all() and (starts == starts[0] + np.arange(count) * dim).all():
        return flat[starts[0] : starts[0] + count * dim].reshape(count, dim)
    rows = np.zeros((count, dim), dtype=flat.dtype)
    good = np.flatnonzero(usable)
    # A run is next to each other in the batch and in memory. An index array would need 8 bytes per number.
    breaks = np.flatnonzero((np.diff(good) != 1) | (np.diff(starts[good]) != dim)) + 1
    for run in np.split(good, breaks):
        if len(run):
            first = starts[run[0]]
            rows[run[0] : run[-1] + 1] = flat[first : first + len(run) * dim].reshape(len(run), dim)
    return rows


def _unusable_numbers(vectors: Floats, squares: Floats, usable: Flags, nulls: Flags) -> dict[int, str]:
    """Reasons of the rows whose numbers are unusable. Squared lengths single out the suspects."""
    reasons = {}
    for row in np.flatnonzero(usable & (~np.isfinite(squares) | (squares == 0) | nulls)).tolist():
        if nulls[row]:
            reasons[row] = "null element"
        elif np.isnan(vectors[row]).any():
            reasons[row] = "NaN"
        elif np.isinf(vectors[row]).any():
            reasons[row] = "infinite"
        elif not vectors[row].any():
            reasons[row] = "zero vector"
    return reasons


def widened(float16: npt.NDArray[np.float16]) -> Floats:
    """The same numbers as float32, in an array of the same shape, in a third of numpy's time.

    The bits of a float16 moved to where float32 has its exponent and fraction are the same number times 2^-112.
    """
    numbers = np.empty(float16.shape, np.float32)
    source, target = np.ascontiguousarray(float16).reshape(-1), numbers.reshape(-1)
    for start in range(0, len(source), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        bits = target[part].view(np.int32)
        np.copyto(bits, source[part].view(np.int16))  # the sign fills the upper half
        bits <<= 13
        bits &= _SIGN_AND_LOW_BITS
        target[part] *= np.float32(2.0**112)
        if not -_BEYOND_HALF < target[part].min(initial=0) <= target[part].max(initial=0) < _BEYOND_HALF:
            target[part] = source[part]  # infinity and NaN have an exponent of their own
    return numbers
