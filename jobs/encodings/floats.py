"""Numbers as they are, in 4 or 2 bytes each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.rows import Floats
from jobs.sources.vectors import Decoded, decode

_LARGEST_FLOAT16 = np.finfo(np.float16).max
#: Distance of neighbouring float16 numbers, relative to them and at the least.
_FLOAT16_STEP, _SMALLEST_FLOAT16 = 2.0**-10, 2.0**-24


class Float32:
    """float32, bit for bit; an `Encoding`."""

    length_tolerance = 1e-5
    _number = pa.float32()

    def __init__(self, _adaptor: Adaptor, dim: int) -> None:
        self._dim = dim
        self.arrow_type = pa.list_(self._number, dim)
        self.bytes_per_vector = dim * self._number.bit_width // 8

    def encode(self, vectors: Floats) -> pa.Array:
        """Float32 (n, dim) as `fixed_size_list`."""
        numbers = self.clip(vectors).astype(self._number.to_pandas_dtype(), copy=False)
        return pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), self._dim)

    def decode(self, column: pa.Array | pa.ChunkedArray) -> Decoded:
        """The same numbers as float32 (n, dim)."""
        return decode(column, self._dim)

    def saturated(self, vectors: Floats) -> int:
        """None."""
        return 0

    def tolerance(self, stored: Floats) -> Floats:
        """Nothing is rounded."""
        return np.zeros_like(stored)

    def clip(self, vectors: Floats) -> Floats:
        """All numbers fit."""
        return vectors


class Float16(Float32):
    """float16, rounded to nearest; what lies beyond ±65,504 becomes that."""

    length_tolerance = 1e-3
    _number = pa.float16()

    def saturated(self, vectors: Floats) -> int:
        """Numbers beyond ±65,504."""
        return int(np.count_nonzero(np.abs(vectors) > _LARGEST_FLOAT16))

    def tolerance(self, stored: Floats) -> Floats:
        """One step between neighbouring numbers."""
        return np.maximum(np.abs(stored) * np.float32(_FLOAT16_STEP), np.float32(_SMALLEST_FLOAT16))

    def clip(self, vectors: Floats) -> Floats:
        """Within ±65,504."""
        return np.clip(vectors, -_LARGEST_FLOAT16, _LARGEST_FLOAT16)
