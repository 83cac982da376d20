"""What the programs of the throughput benchmark are told, and the few lines that all of them need."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

Floats = npt.NDArray[np.float32]

_SAMPLE_ROWS = 20_000


@dataclass(frozen=True)
class Job:
    """`source` and `output` are folders (with an endpoint: `bucket/prefix`); `models` is a local folder. `output_bytes`
    tells the floor how much to write for each file."""

    source: str
    output: str
    models: str
    dim: int
    workers: int
    endpoint: str | None
    output_bytes: dict[str, int]

    @property
    def filesystem(self) -> pafs.FileSystem:
        """Where both folders are; credentials come from the environment."""
        if self.endpoint is None:
            return pafs.LocalFileSystem()
        scheme, _, host = self.endpoint.partition("://")
        return pafs.S3FileSystem(endpoint_override=host, scheme=scheme, region="us-east-1")

    @property
    def files(self) -> list[str]:
        """Names of the source's files."""
        selector = pafs.FileSelector(self.source)
        return sorted(info.base_name for info in self.filesystem.get_file_info(selector) if info.is_file)

    def to_json(self) -> str:
        """As text, for the command line of another process."""
        return json.dumps(asdict(self))


def row_groups(file: pq.ParquetFile) -> Iterable[pa.Table]:
    """One table for each row group."""
    return (file.read_row_group(number, use_threads=False) for number in range(file.num_row_groups))


def vectors_of(column: pa.Array | pa.ChunkedArray, input_dim: int) -> Floats:
    """(n, d) float32, without a copy where the column is float32 in one piece; nulls are not thought of."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    vectors: Floats = flat.reshape(-1, input_dim).astype(np.float32, copy=False)
    return vectors


def column_of(vectors: Floats) -> pa.Array:
    """(n, m) as a `fixed_size_list`."""
    flat = np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1])


def matrix_of(job: Job) -> Floats:
    """The (input dimension, dim) matrix that the vectors are multiplied by."""
    matrix: Floats = np.load(f"{job.models}/matrix.npy", allow_pickle=False)
    return matrix


def sample_of(job: Job) -> Floats:
    """The first vectors of the source, for those that fit a PCA."""
    parts, rows = [], 0
    for name in job.files:
        with job.filesystem.open_input_file(f"{job.source}/{name}") as source:
            for table in row_groups(pq.ParquetFile(source, pre_buffer=False)):
                parts.append(vectors_of(table.column("vector"), len(matrix_of(job))))
                rows += len(parts[-1])
                if rows >= _SAMPLE_ROWS:
                    break
        if rows >= _SAMPLE_ROWS:
            break
    return np.concatenate(parts)[:_SAMPLE_ROWS]
