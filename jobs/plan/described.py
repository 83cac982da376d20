"""A small source like one that is only described, to measure this machine on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import build, with_codes
from adaptor.code_fitting import fit_codes
from jobs.config.plan import DescribeSection
from jobs.plan.statistics import SourceStatistics
from jobs.storage.s3 import S3Objects

_ID_BYTES = 8
#: Rows that the codes are fitted on: what they are does not matter.
_CODED_ROWS = 64
#: Ids, vectors and payload.
_COLUMNS = 3


def row_bytes(described: DescribeSection) -> int:
    """Bytes of one row in the source."""
    return described.dim * np.dtype(described.vectors).itemsize + described.payload_bytes + _ID_BYTES


def write_like(described: DescribeSection, folder: Path, most_bytes: int) -> dict[str, Any]:
    """Write one shard of about `most_bytes` (two row groups at least) and an adaptor below `folder`; the sections
    `source`, `adaptor` and `output` of a compress run over them."""
    draws = np.random.default_rng(0)
    groups = max(2, most_bytes // described.row_group_bytes)
    group_rows = max(1, min(described.row_group_bytes, most_bytes // groups) // row_bytes(described))
    (folder / "source").mkdir()
    pq.write_table(
        _table(described, groups * group_rows, draws),
        folder / "source" / "part.parquet",
        row_group_size=group_rows,
        compression="none",
        use_dictionary=False,
    )
    _write_adaptor(described, folder / "adaptor", draws)
    output = {"uri": f"{folder}/output", "dim": described.output_dim, "encoding": described.output_encoding}
    return {"source": {"uri": f"{folder}/source"}, "adaptor": {"uri": f"{folder}/adaptor"}, "output": output}


def statistics_of(described: DescribeSection, rows: int) -> SourceStatistics:
    """The source of `rows` rows in numbers, in an object store."""
    bytes_per_row = row_bytes(described)
    rows_per_shard = max(1, described.shard_bytes // bytes_per_row)
    full_shards, rest = divmod(rows, rows_per_shard)
    sizes = np.full(full_shards + (rest > 0), rows_per_shard * bytes_per_row, np.int64)
    sizes[full_shards:] = rest * bytes_per_row
    return SourceStatistics(
        sizes=sizes,
        rows=rows,
        rows_error=0.0,
        row_groups=max(1.0, min(rows, rows_per_shard) * bytes_per_row / described.row_group_bytes),
        columns=_COLUMNS,
        buffer_bytes=S3Objects.buffer_bytes,
        local=False,
        reads_measured=False,
    )


def _table(described: DescribeSection, rows: int, draws: np.random.Generator) -> pa.Table:
    vectors = draws.standard_normal((rows, described.dim), dtype=np.float32).astype(described.vectors)
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * described.dim)
    payload = [draws.bytes(described.payload_bytes).hex()[: described.payload_bytes] for _ in range(rows)]
    columns = {"id": np.arange(rows), "vector": pa.ListArray.from_arrays(offsets, vectors.reshape(-1))}
    return pa.table(columns | {"payload": payload})


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
    adaptor = build(description, {"linear": matrix}, matrix)
    if described.output_dim % 8 == 0:  # others have no codes
        rows = draws.standard_normal((_CODED_ROWS, described.dim), dtype=np.float32)
        adaptor = with_codes(adaptor, fit_codes(adaptor, rows, rows[:0], 0, [described.output_dim]))
    for name, content in adaptor.to_files().items():
        (folder / name).write_bytes(content)
