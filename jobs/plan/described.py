"""A small source like one that is only described, to measure this machine on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import build
from jobs.config.compress import CompressConfig
from jobs.config.plan import DescribeSection, PlanConfig
from jobs.plan.estimate import SourceStatistics
from jobs.storage.s3 import S3Objects

_NUMBERS = {"float32": pa.float32(), "float16": pa.float16()}
_ID_BYTES = 8
_COLUMNS = 3


def row_bytes(described: DescribeSection) -> int:
    """Bytes of one row in the source."""
    number_bytes: int = _NUMBERS[described.vectors].bit_width // 8
    return described.dim * number_bytes + described.payload_bytes + _ID_BYTES


def write_like(described: DescribeSection, folder: Path, most_bytes: int) -> None:
    """Write one shard of about `most_bytes` (two row groups at least) to `folder`/source and an adaptor to
    `folder`/adaptor."""
    draws = np.random.default_rng(0)
    groups = max(2, most_bytes // described.row_group_bytes)
    rows = max(1, min(described.row_group_bytes, most_bytes // groups) // row_bytes(described))
    (folder / "source").mkdir()
    vectors = pa.list_(_NUMBERS[described.vectors])
    schema = pa.schema([("id", pa.int64()), ("vector", vectors), ("payload", pa.string())])
    with pq.ParquetWriter(folder / "source" / "part.parquet", schema, compression="none", use_dictionary=False) as file:
        for group in range(groups):
            file.write_table(_rows(described, schema, group * rows, rows, draws))
    _write_adaptor(described, folder / "adaptor", draws)


def config_of(described: DescribeSection, plan: PlanConfig, scratch: Path) -> CompressConfig:
    """Compress the source that `write_like` wrote, as the plan has it."""
    return CompressConfig.model_validate(
        {
            "source": {"uri": str(scratch / "source")},
            "adaptor": {"uri": str(scratch / "adaptor")},
            "output": {
                "uri": str(scratch / "output"),
                "dim": described.output_dim,
                "encoding": described.output_encoding,
            },
            "reading": plan.reading.model_dump(),
            "cluster": plan.cluster.model_dump(),
        }
    )


def statistics_of(described: DescribeSection, rows: int) -> SourceStatistics:
    """The source of `rows` rows in numbers, in an object store."""
    bytes_per_row = row_bytes(described)
    rows_per_shard = max(1, described.shard_bytes // bytes_per_row)
    whole, rest = divmod(rows, rows_per_shard)
    sizes = np.full(whole + (rest > 0), rows_per_shard * bytes_per_row, np.int64)
    sizes[whole:] = rest * bytes_per_row
    return SourceStatistics(
        sizes=sizes,
        rows=rows,
        rows_error=0.0,
        row_groups=max(1.0, min(rows, rows_per_shard) * bytes_per_row / described.row_group_bytes),
        columns=_COLUMNS,
        vector_share=1 - (described.payload_bytes + _ID_BYTES) / bytes_per_row,
        object_store=True,
        reads_measured=False,
        buffer_bytes=S3Objects.buffer_bytes,
    )


def _rows(
    described: DescribeSection, schema: pa.Schema, first: int, count: int, draws: np.random.Generator
) -> pa.Table:
    numbers = draws.standard_normal((count, described.dim), dtype=np.float32)
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    flat = pa.array(numbers.astype(_NUMBERS[described.vectors].to_pandas_dtype()).reshape(-1))
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * described.dim)
    letters = draws.integers(97, 123, size=count * described.payload_bytes, dtype=np.uint8).tobytes()
    ends = np.arange(count + 1, dtype=np.int32) * described.payload_bytes
    payload = pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(letters))
    ids = pa.array(np.arange(first, first + count))
    return pa.table([ids, pa.ListArray.from_arrays(offsets, flat), payload], schema=schema)


def _write_adaptor(described: DescribeSection, folder: Path, draws: np.random.Generator) -> None:
    """As much arithmetic as a fitted one of the linear architecture; its numbers mean nothing."""
    folder.mkdir()
    matrix = draws.standard_normal((described.dim, described.dim), dtype=np.float32)
    description = {
        "input_dim": described.dim,
        "dims": [described.output_dim],
        "metric": "cosine",
        "architecture": "linear",
        "unit_input": False,
        "recipe": {"name": "default", "version": 1},
        "settings": {},
        "evidence": [],
    }
    for name, content in build(description, {"linear": matrix}, matrix).to_files().items():
        (folder / name).write_bytes(content)
