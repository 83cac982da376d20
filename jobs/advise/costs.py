"""What a dim costs: bytes of one vector and of all, and arithmetic of one comparison."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from adaptor.settings import Metric


@dataclass(frozen=True)
class Prices:
    """Of a source: its rows, its dimension, the bytes of one of its numbers, and of one number that will be stored."""

    rows: int
    input_dim: int
    stored_bytes: int
    number_bytes: int
    metric: Metric

    @property
    def vector_bytes_now(self) -> int:
        """Bytes of one vector as the source holds it, uncompressed."""
        return self.input_dim * self.stored_bytes

    def vector_bytes(self, dim: int) -> int:
        """Bytes of one short vector."""
        return dim * self.number_bytes

    def total_bytes(self, dim: int) -> int:
        """Bytes of all short vectors, without ids and payload."""
        return self.rows * self.vector_bytes(dim)

    def flops(self, dim: int) -> int:
        """Floating-point operations of one comparison: a multiplication and an addition per column, for l2 also a
        subtraction."""
        return (3 if self.metric == "l2" else 2) * dim


def prices(rows: int, input_dim: int, column: pa.DataType, number_bytes: int, metric: Metric) -> Prices:
    """Prices of a source of `rows` vectors whose column has this Arrow type, for short vectors of
    `number_bytes` each number."""
    return Prices(rows, input_dim, column.value_type.bit_width // 8, number_bytes, metric)
