"""A number each: float32, float16, int8 and uint8, as lists that every reader knows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.rows import Floats
from jobs.encodings.coded import Coded
from jobs.sources.vectors import Decoded, decode

#: How far from 1 the length of a vector may be that only float rounding has touched, and what a clipped number may add.
_ROUNDING, _CLIPPING = {"float32": 1e-5, "float16": 1e-3}, 0.05


class Numbers(Coded):
    """An `Encoding` with a list of `dim` numbers; each subclass names one of adaptor/codec.py."""

    def __init__(self, adaptor: Adaptor, dim: int) -> None:
        super().__init__(adaptor, dim)
        self.arrow_type = pa.list_(pa.from_numpy_dtype(self.quantiser.dtype), dim)

    @property
    def length_tolerance(self) -> float:
        """What rounding can do to a length, half a step in every number; and clipping, where a number lies beyond those
        of the sample."""
        half_step = float(self.quantiser.tolerance(np.ones((1, 1), np.float32))[0, 0])
        return _ROUNDING.get(self.name, half_step * float(np.sqrt(self.dim)) + _CLIPPING)

    def encode(self, vectors: Floats) -> pa.Array:
        """Float32 (n, dim) as `fixed_size_list`."""
        return pa.FixedSizeListArray.from_arrays(pa.array(self.quantiser.quantise(vectors).reshape(-1)), self.dim)

    def decode(self, column: pa.Array | pa.ChunkedArray) -> Decoded:
        """What the numbers stand for, float32 (n, dim)."""
        whole = pa.types.is_integer(self.arrow_type.value_type)
        decoded = decode(column.cast(pa.list_(pa.float32(), self.dim)) if whole else column, self.dim)
        vectors = self.quantiser.reconstruct(decoded.vectors)
        if decoded.reasons:
            vectors[list(decoded.reasons)] = 0
        return Decoded(vectors, np.einsum("nd,nd->n", vectors, vectors), decoded.reasons)


class Float32(Numbers):
    """Bit for bit."""

    name = "float32"


class Float16(Numbers):
    """Half the bytes of float32, rounded to nearest."""

    name = "float16"


class Int8(Numbers):
    """Whole numbers that databases compare as they are."""

    name = "int8"


class Uint8(Numbers):
    """int8 plus 128, for databases that know no negative bytes; Euclidean distance only."""

    name = "uint8"
