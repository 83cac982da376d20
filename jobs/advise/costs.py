"""What a dim costs: bytes of one vector and of all, and arithmetic of one comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from adaptor.settings import Metric


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of a source: its rows, the Arrow type of its vectors, their dimension, and bytes of a short one by its dim."""

    rows: int
    input_dim: int
    vector_type: pa.DataType
    vector_bytes: Callable[[int], int]
    metric: Metric

    @property
    def vector_bytes_now(self) -> int:
        """Bytes of one vector as the source holds it, uncompressed."""
        return self.input_dim * int(self.vector_type.value_type.bit_width) // 8

    def total_bytes(self, dim: int) -> int:
        """Bytes of all short vectors, without ids and payload."""
        return self.rows * self.vector_bytes(dim)

    def flops(self, dim: int) -> int:
        """Floating-point operations of one comparison: a multiplication and an addition per column, for l2 also a
        subtraction."""
        return (3 if self.metric == "l2" else 2) * dim
