"""Sources and adaptors for the benchmarks: made from a seed, with vectors that are spread like real ones."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from adaptor.artefact import Adaptor, build, with_codes
from adaptor.code_fitting import fit_codes

Floats = npt.NDArray[np.float32]
VectorType = Literal["list", "fixed_size_list", "float16"]
VECTOR_TYPES: tuple[VectorType, ...] = get_args(VectorType)

#: Rows made at once.
_CHUNK_ROWS = 20_000
_WORDS = ("vector", "source", "short", "column", "search", "quality", "adaptor", "dim", "cosine", "shard", "row")


@dataclass(frozen=True)
class SourceShape:
    """What a source looks like: `file_rows` are the rows of each file, in order."""

    file_rows: tuple[int, ...]
    input_dim: int
    row_group_rows: int
    vectors: VectorType = "list"

    @classmethod
    def even(
        cls, rows: int, rows_per_file: int, input_dim: int, row_group_rows: int, vectors: VectorType
    ) -> SourceShape:
        """Files of `rows_per_file` rows, the last one shorter."""
        whole, rest = divmod(rows, rows_per_file)
        return cls((rows_per_file,) * whole + ((rest,) if rest else ()), input_dim, row_group_rows, vectors)

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(self.file_rows)

    def startup(self, workers: int) -> SourceShape:
        """The least source that needs everything a large one needs: one file of 64 rows for each worker."""
        return replace(self, file_rows=(64,) * workers)


class Embeddings:
    """Draws unit vectors that are spread like sentence embeddings: a common direction and a spectrum that falls."""

    def __init__(self, dim: int, seed: int = 0, part: int | None = None) -> None:
        """`part`: draws of its own, from the same distribution."""
        self._random = np.random.default_rng(seed)
        self._axes = np.linalg.qr(self._random.standard_normal((dim, dim)))[0].astype(np.float32)
        spectrum = np.arange(1, dim + 1, dtype=np.float32) ** -0.5  # of the standard deviations: variances fall as 1/i
        self._mixing = spectrum[:, None] * self._axes
        self._mean = 0.5 * np.linalg.norm(spectrum) * self._axes[0]
        if part is not None:
            self._random = np.random.default_rng([seed, part])

    def draw(self, rows: int) -> Floats:
        """(rows, dim) float32 of length 1."""
        dim = len(self._axes)
        vectors = self._random.standard_normal((rows, dim), dtype=np.float32) @ self._mixing + self._mean
        unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def make_source(folder: Path, shape: SourceShape, seed: int = 0) -> int:
    """Write the files `part-00000.parquet` … with columns `id`, `vector` and `text`; their bytes.

    Uncompressed and without dictionary, as vectors are best stored.
    """
    folder.mkdir(parents=True)
    embeddings = Embeddings(shape.input_dim, seed)
    for number in range(len(shape.file_rows)):
        _write_file(folder, shape, number, embeddings)
    return sum(path.stat().st_size for path in folder.iterdir())


def make_source_with_all_cores(folder: Path, shape: SourceShape, seed: int = 0) -> int:
    """The same with other numbers, each file by a process; for sources of many gigabytes."""
    folder.mkdir(parents=True)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as processes:
        files = range(len(shape.file_rows))
        list(processes.map(_write_alone, repeat(folder), repeat(shape), files, repeat(seed)))
    return sum(path.stat().st_size for path in folder.iterdir())


def _write_alone(folder: Path, shape: SourceShape, number: int, seed: int) -> None:
    with threadpool_limits(1):
        _write_file(folder, shape, number, Embeddings(shape.input_dim, seed, number))


def _write_file(folder: Path, shape: SourceShape, number: int, embeddings: Embeddings) -> None:
    schema = pa.schema([("id", pa.int64()), ("vector", _vector_type(shape)), ("text", pa.string())])
    first, rows = sum(shape.file_rows[:number]), shape.file_rows[number]
    path = folder / f"part-{number:05}.parquet"
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for table in _row_groups(embeddings, shape, schema, first, rows):
            writer.write_table(table, row_group_size=shape.row_group_rows)


def make_adaptor(folder: Path, input_dim: int, dims: Sequence[int]) -> Adaptor:
    """Write an adaptor that rotates at random: as much arithmetic as a fitted one."""
    folder.mkdir(parents=True)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(input_dim, input_dim)))[0].astype(np.float32)
    description = {
        "input_dim": input_dim,
        "dims": list(dims),
        "metric": "cosine",
        "architecture": "linear",
        "unit_input": False,
        "recipe": {"name": "default", "version": 1},
        "settings": {},
        "evidence": [],
    }
    bare = build(description, {"linear": rotation}, rotation)
    rows = np.random.default_rng(2).normal(size=(1000, input_dim)).astype(np.float32)
    adaptor = with_codes(bare, fit_codes(bare, rows, rows[:0], 0, [dim for dim in dims if dim % 8 == 0]))
    for name, content in adaptor.to_files().items():
        (folder / name).write_bytes(content)
    return adaptor


def _vector_type(shape: SourceShape) -> pa.DataType:
    if shape.vectors == "list":
        return pa.list_(pa.float32())
    return pa.list_(pa.float16() if shape.vectors == "float16" else pa.float32(), shape.input_dim)


def _row_groups(
    embeddings: Embeddings, shape: SourceShape, schema: pa.Schema, first: int, rows: int
) -> Iterator[pa.Table]:
    """Tables of one row group each; only the text of one and its vectors are held."""
    for start in range(first, first + rows, shape.row_group_rows):
        stop = min(first + rows, start + shape.row_group_rows)
        chunks = [
            _table(embeddings, shape, schema, range(chunk, min(stop, chunk + _CHUNK_ROWS)))
            for chunk in range(start, stop, _CHUNK_ROWS)
        ]
        yield pa.concat_tables(chunks)


def _table(embeddings: Embeddings, shape: SourceShape, schema: pa.Schema, ids: range) -> pa.Table:
    vectors = embeddings.draw(len(ids))
    flat = pa.array((vectors.astype(np.float16) if shape.vectors == "float16" else vectors).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, shape.input_dim)
    texts = [f"{_WORDS[row % 11]} {_WORDS[row % 7]} {_WORDS[row % 5]} of row {row}" for row in ids]
    return pa.table([pa.array(ids, pa.int64()), column.cast(schema.field("vector").type), texts], schema=schema)
