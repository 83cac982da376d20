"""One output file: batches stream into a local scratch file while the caller works on, then it is published whole.

The bytes depend on the rows, the schema and the options only: row groups are cut by row count, whatever the batches
were, and nothing that varies (times, hosts) is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.errors import RunError
from adaptor.rows import Floats
from jobs.sources.fast_parquet.writing import VectorPages
from jobs.storage.objects import ObjectInfo, Objects

#: What every footer key of ours begins with.
STAMP = b"matryoshka."
#: Arrow types of the stored numbers, by the name that the configuration gives them.
NUMBERS = {"float32": pa.float32(), "float16": pa.float16()}
_LARGEST_HALF = np.finfo(np.float16).max


@dataclass(frozen=True)
class Layout:
    """How a file is written: rows per row group, Parquet compression, and the column of vectors (plain pages, no
    statistics: they cost time and say nothing). `short_vectors` tells that it is as `short_field` has it, without a
    null: where it is not compressed, it goes to the file directly."""

    row_group_rows: int
    compression: str
    vector_column: str
    short_vectors: bool = False

    @property
    def plain_vectors(self) -> bool:
        """Whether `VectorPages` writes the vectors."""
        return self.short_vectors and self.compression == "none"


@dataclass(frozen=True)
class Written:
    """A finished file: its rows, its size in bytes and the SHA-256 of its content."""

    rows: int
    bytes: int
    sha256: str


def short_field(field: pa.Field, dim: int, encoding: str) -> pa.Field:
    """The vector column of the output: `fixed_size_list<encoding>[dim]`; name, nullability and metadata stay."""
    kept = {key: value for key, value in (field.metadata or {}).items() if not key.startswith(b"ARROW:extension")}
    return pa.field(field.name, pa.list_(NUMBERS[encoding], dim), field.nullable, kept or None)


def short_schema(schema: pa.Schema, column: str, short: pa.Field, stamps: dict[str, str]) -> pa.Schema:
    """The schema of the output: `short` in place of `column`, all else as it was, `stamps` added to the footer."""
    index = schema.get_field_index(column)
    stamped = {STAMP + name.encode(): value.encode() for name, value in stamps.items()}
    return schema.set(index, short).with_metadata({**(schema.metadata or {}), **stamped})


def short_array(vectors: Floats, encoding: str) -> pa.FixedSizeListArray:
    """float32 (n, m) as an Arrow column. float16 rounds to nearest; what lies beyond its range becomes its extreme."""
    if encoding == "float16":
        vectors = np.clip(vectors, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def clipped(vectors: Floats, encoding: str) -> int:
    """How many numbers of float32 (n, m) are beyond the range of the type, so that `short_array` changes them."""
    return int(np.count_nonzero(np.abs(vectors) > _LARGEST_HALF)) if encoding == "float16" else 0


class ShardWriter:
    """Writes record batches of one schema to a local Parquet file. Use it as a context manager.

    A thread encodes one row group while the caller fills the next, so two row groups are held at most.
    """

    def __init__(self, path: Path, schema: pa.Schema, layout: Layout) -> None:
        self._path, self._schema, self._layout = path, schema, layout
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._total = 0
        self._encoding: Future[None] | None = None
        self._vectors: VectorPages | None = None

    def __enter__(self) -> Self:
        """Create the file."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write-behind")
        schema = self._schema
        with _scratch_errors(self._path):
            self._sink = pa.OSFile(str(self._path), "wb")
            if self._layout.plain_vectors:
                self._vectors = VectorPages(schema, self._layout.vector_column, self._sink)
                schema = self._vectors.others
            leaves = True if self._vectors else _payload_leaves(schema, self._layout.vector_column) or False
            self._file: Any = pq.ParquetWriter(
                self._sink,
                schema,
                compression=self._layout.compression,
                use_dictionary=leaves,
                write_statistics=leaves,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None
    ) -> None:
        """Stop the thread and close the file, finished or not."""
        self._thread.shutdown(wait=True)
        try:
            self._file.close()
            self._sink.close()
        except OSError:
            if kind is None:  # otherwise the first problem is the one to tell
                raise

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; full row groups go to the thread."""
        start = 0
        while start < batch.num_rows:
            take = min(batch.num_rows - start, self._layout.row_group_rows - self._rows)
            self._waiting.append(batch.slice(start, take))
            self._rows += take
            start += take
            if self._rows == self._layout.row_group_rows:
                self._encode()

    def finish(self) -> Written:
        """Write what is left and the footer. Raises `RunError` when the scratch disk is full."""
        if self._rows:
            self._encode()
        self.wait()
        with _scratch_errors(self._path):
            end = self._sink.tell()
            self._file.close()
            self._sink.close()
            if self._vectors is not None:
                self._vectors.amend(self._path, end)
        with open(self._path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Written(self._total, self._path.stat().st_size, digest)

    def _encode(self) -> None:
        self.wait()
        table = pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
        self._encoding = self._thread.submit(self._write, table)
        self._total += self._rows
        self._waiting, self._rows = [], 0

    def _write(self, table: pa.Table) -> None:
        """One row group."""
        others = table if self._vectors is None else self._vectors.without(table)
        self._file.write_table(others, max(1, len(table)))
        if self._vectors is not None:
            self._vectors.append(table)

    def wait(self) -> None:
        """Wait until what was handed to the thread is encoded: one row group is held then, not two."""
        if self._encoding is not None:
            with _scratch_errors(self._path):
                self._encoding.result()
            self._encoding = None


def publish(objects: Objects, key: str, local: Path, written: Written) -> None:
    """Upload a finished file as one object and check that it arrived whole; `RunError` when it did not."""
    objects.put_file(key, local)
    _check_arrived(objects, key, written)


def publish_over(objects: Objects, key: str, local: Path, written: Written, seen: ObjectInfo | None) -> bool:
    """The same, but only in place of what was `seen` there; False when something else stands there by now."""
    if not objects.replace_file(key, local, seen):
        return False
    _check_arrived(objects, key, written)
    return True


def _check_arrived(objects: Objects, key: str, written: Written) -> None:
    there = objects.stat(key)
    if there is None or there.size != written.bytes:
        found = "no object" if there is None else f"{there.size} bytes"
        raise RunError(f"{objects.uri}/{key}: {written.bytes} bytes were written, {found} arrived: run compress again")


def _payload_leaves(schema: pa.Schema, vector_column: str) -> list[str]:
    """Parquet paths of all leaf columns but those of the vector column, taken from an empty file of this schema."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    paths = [parquet.column(index).path for index in range(len(parquet))]
    return [path for path in paths if path != vector_column and not path.startswith(f"{vector_column}.")]


@contextmanager
def _scratch_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise RunError(
            f"scratch file {path} could not be written ({problem}): free space there or set TMPDIR"
        ) from problem
