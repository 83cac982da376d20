"""Small Parquet sources for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def vectors(rows: int, dim: int = 4, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(rows, dim) float32, no zeros, no bad numbers."""
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32) + np.float32(0.001)


def table(rows: int, dim: int = 4, seed: int = 0) -> pa.Table:
    """id (string), vector (fixed_size_list<float>[dim]) and a payload column."""
    flat = pa.array(vectors(rows, dim, seed).ravel())
    return pa.table(
        {
            "id": [f"row-{row}" for row in range(rows)],
            "vector": pa.FixedSizeListArray.from_arrays(flat, dim),
            "title": [f"title {row}" for row in range(rows)],
        }
    )


def write(path: Path, content: pa.Table, **options: Any) -> Path:
    """Write a Parquet file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, **options)
    return path
