"""An encoding in one file: thousandths in int16."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.rows import Floats
from jobs.sources.vectors import Decoded

_MOST = 32_767


class Thousandths:
    """Numbers up to ±32.767."""

    length_tolerance = 0.05

    def __init__(self, adaptor: Adaptor, dim: int) -> None:
        self.projection, self._dim = adaptor.projection(dim), dim
        self.arrow_type = pa.list_(pa.int16(), dim)
        self.bytes_per_vector = 2 * dim

    def encode(self, vectors: Floats) -> pa.Array:
        """Rounded and clipped."""
        codes = np.clip(np.rint(vectors * 1000), -_MOST, _MOST).astype(np.int16)
        return pa.FixedSizeListArray.from_arrays(pa.array(codes.reshape(-1)), self._dim)

    def decode(self, column: pa.Array | pa.ChunkedArray) -> Decoded:
        """Thousandths of the codes."""
        flat = column.flatten().to_numpy(zero_copy_only=False)
        vectors = (flat.reshape(-1, self._dim) / np.float32(1000)).astype(np.float32)
        return Decoded(vectors, np.einsum("nd,nd->n", vectors, vectors), {})

    def saturated(self, vectors: Floats) -> int:
        """Numbers beyond the largest code."""
        return int(np.count_nonzero(np.abs(vectors * 1000) > _MOST))

    def tolerance(self, stored: Floats) -> Floats:
        """Half a thousandth."""
        return np.full_like(stored, 0.0005001)

    def clip(self, vectors: Floats) -> Floats:
        """Within the codes."""
        return np.clip(vectors, -_MOST / 1000, _MOST / 1000)
