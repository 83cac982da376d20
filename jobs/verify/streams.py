"""Comparing streams of batches that are cut differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.rows import Floats
from jobs.encodings.encoding import Encoding
from jobs.sources.ids import id_strings


class RowPicker:
    """Picks rows (ascending numbers) out of batches of encoded vectors as they pass."""

    def __init__(self, rows: Sequence[int] | npt.NDArray[np.int64], encoding: Encoding) -> None:
        self._rows, self._encoding = np.asarray(rows, np.int64), encoding
        self._parts: list[Floats] = []

    def take(self, column: pa.Array, first: int) -> None:
        """EvalStep at a batch of vectors whose first row has the number `first`."""
        low, high = np.searchsorted(self._rows, (first, first + len(column)))
        if high > low:
            vectors = self._encoding.decode(column).vectors
            self._parts.append(vectors[self._rows[low:high] - first])

    @property
    def vectors(self) -> Floats:
        """float32 (k, m), the rows that have passed so far."""
        return np.concatenate(self._parts) if self._parts else np.empty((0, 0), np.float32)


def first_difference(
    source: Iterator[pa.Array], output: Iterator[pa.Array]
) -> tuple[int, str | None, str | None] | None:
    """Where two streams of texts, cut differently, differ first: row, text of each (None: it has ended); or None."""
    row = 0
    left = right = pa.array([], pa.large_string())
    while True:
        left, right = _refilled(left, source), _refilled(right, output)
        count = min(len(left), len(right))
        if not left[:count].equals(right[:count]):
            same = pc.fill_null(pc.equal(left[:count], right[:count]), False).to_numpy(zero_copy_only=False)
            at = int(np.argmin(same))
            return row + at, id_strings(left[at : at + 1])[0], id_strings(right[at : at + 1])[0]
        if count == 0:
            ends = [id_strings(part[:1])[0] if len(part) else None for part in (left, right)]
            return (row, ends[0], ends[1]) if len(left) or len(right) else None
        row += count
        left, right = left[count:], right[count:]


def _refilled(part: pa.Array, stream: Iterator[pa.Array]) -> pa.Array:
    while not len(part):
        coming = next(stream, None)
        if coming is None:
            break
        part = coming
    return part
