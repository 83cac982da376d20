"""What a width costs: bytes of one vector and of all, and arithmetic of one comparison."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from adaptor.settings import Metric
from jobs.outputs.parquet import NUMBERS


@dataclass(frozen=True)
class Prices:
    """Of a store: its rows, its dimension, the bytes of one of its numbers, and of one number that will be stored."""

    rows: int
    dim: int
    stored_bytes: int
    number_bytes: int
    metric: Metric

    @property
    def vector_bytes_now(self) -> int:
        """Bytes of one vector as the store holds it, uncompressed."""
        return self.dim * self.stored_bytes

    def vector_bytes(self, width: int) -> int:
        """Bytes of one short vector."""
        return width * self.number_bytes

    def total_bytes(self, width: int) -> int:
        """Bytes of all short vectors, without ids and payload."""
        return self.rows * self.vector_bytes(width)

    def flops(self, width: int) -> int:
        """Floating-point operations of one comparison: a multiplication and an addition per column, for l2 also a
        subtraction."""
        return (3 if self.metric == "l2" else 2) * width


def prices(rows: int, dim: int, column: pa.DataType, dtype: str, metric: Metric) -> Prices:
    """Prices of a store of `rows` vectors whose column has this Arrow type, for short vectors of `dtype`."""
    return Prices(rows, dim, column.value_type.bit_width // 8, NUMBERS[dtype].bit_width // 8, metric)
