"""A Parquet file of a folder target, and the columns that importers want."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.quantisers import Codes
from jobs.export.rows import Rows


class ParquetPart:
    """A `Part` of record batches, as `batch` makes them of rows."""

    def __init__(self, path: Path, schema: pa.Schema, batch: Callable[[Rows], pa.RecordBatch]) -> None:
        self._path, self._batch = path, batch
        self._writer = pq.ParquetWriter(str(path), schema)

    def write(self, rows: Rows) -> None:
        """Append a row group."""
        self._writer.write_batch(self._batch(rows))

    def size(self) -> int:
        """Bytes on the disk so far."""
        return self._path.stat().st_size

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def list_column(codes: Codes) -> pa.Array:
    """Codes (n, width) as a list of numbers without a fixed size."""
    offsets = np.arange(0, codes.size + 1, codes.shape[1] or 1, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(codes).reshape(-1)))
