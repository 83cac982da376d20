"""Several numbers a byte: int4, int2 and binary, as `fixed_size_binary`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.rows import Floats
from jobs.encodings.coded import Coded
from jobs.encodings.stored import stored_codes
from jobs.sources.vectors import Decoded


class Packed(Coded):
    """An `Encoding` with the bytes of a code; each subclass names one of adaptor/codec.py."""

    #: A decoded vector is as long as its levels make it; searches divide that out.
    length_tolerance = float("inf")

    def __init__(self, adaptor: Adaptor, dim: int) -> None:
        super().__init__(adaptor, dim)
        self.arrow_type = pa.binary(self.bytes_per_vector)

    def encode(self, vectors: Floats) -> pa.Array:
        """Float32 (n, dim) as bytes."""
        codes = self.quantiser.quantise(vectors)
        return pa.Array.from_buffers(self.arrow_type, len(codes), [None, pa.py_buffer(codes)])

    def decode(self, column: pa.Array | pa.ChunkedArray) -> Decoded:
        """The levels that the bytes stand for, float32 (n, dim)."""
        vectors, reasons = self.quantiser.reconstruct(stored_codes(column)), {}
        if column.null_count:
            nulls = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
            vectors[nulls] = 0
            reasons = dict.fromkeys(nulls.tolist(), "null vector")
        return Decoded(vectors, np.einsum("nd,nd->n", vectors, vectors), reasons)


class Int4(Packed):
    """Sixteen levels a number."""

    name = "int4"


class Int2(Packed):
    """Four levels a number."""

    name = "int2"


class Binary(Packed):
    """The sign of each number."""

    name = "binary"
