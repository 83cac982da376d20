"""Parquet output: batches stream into a local scratch file, which is then published whole.

Row groups are cut by row count, whatever the batches were, so the bytes depend on rows, schema and layout only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.errors import RunError
from jobs.outputs.output_format import Layout, Written, finished
from jobs.sources import parquet_reader
from jobs.sources.source import Batch, ShardInfo
from jobs.storage.objects import Objects


class ParquetFormat:
    """An `OutputFormat`."""

    suffix = ".parquet"

    @contextmanager
    def writer(self, path: Path, schema: pa.Schema, layout: Layout) -> Iterator[ParquetWriter]:
        """Start a file at `path`."""
        payload, bytes_each = _leaves(schema, layout.vector_columns)
        options = {
            "compression": layout.compression,
            # Parquet has no type below 32 bits: a dictionary makes one byte of an 8-bit number.
            "use_dictionary": [*payload, *bytes_each] or False,
            "write_statistics": payload or False,
        }
        with _scratch_errors(path):
            file = pq.ParquetWriter(str(path), schema, **options)
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="write-behind") as thread:
                yield ParquetWriter(path, file, layout.row_group_rows, thread)
        finally:
            with suppress(OSError):  # either `finish` has closed the file, or an earlier error counts
                file.close()

    def describe(self, objects: Objects, key: str) -> ShardInfo:
        """What the footer says."""
        return parquet_reader.read_footer(objects, key)

    def read(
        self,
        objects: Objects,
        key: str,
        columns: Sequence[str],
        batch_rows: int,
        row_groups: Iterable[int] | None = None,
    ) -> Iterator[Batch]:
        """Stream the columns of a file."""
        groups = range(len(self.describe(objects, key).row_group_rows)) if row_groups is None else row_groups
        return parquet_reader.read_batches(objects, key, groups, batch_rows, columns)


class ParquetWriter:
    """Writes record batches of one schema to a local Parquet file; an `OutputWriter`.

    A thread encodes one row group while the caller fills the next, so two row groups are held at most.
    """

    def __init__(self, path: Path, file: pq.ParquetWriter, row_group_rows: int, thread: ThreadPoolExecutor) -> None:
        self._path, self._file, self._row_group_rows, self._thread = path, file, row_group_rows, thread
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._rows = 0
        self._encoding: Future[None] | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; full row groups go to the thread."""
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, self._row_group_rows - self._waiting_rows)
            self._waiting.append(part)
            self._waiting_rows += part.num_rows
            start += part.num_rows
            if self._waiting_rows == self._row_group_rows:
                self._encode()

    def finish(self) -> Written:
        """Write what is left and the footer. Raises `RunError` when the scratch disk is full."""
        if self._waiting_rows:
            self._encode()
        self.wait()
        with _scratch_errors(self._path):
            self._file.close()
        return finished(self._path, self._rows)

    def wait(self) -> None:
        """Wait until the thread is idle: one row group is held then, not two."""
        if self._encoding is not None:
            with _scratch_errors(self._path):
                self._encoding.result()
            self._encoding = None

    def _encode(self) -> None:
        self.wait()
        table = pa.Table.from_batches(self._waiting, self._file.schema).unify_dictionaries()
        self._encoding = self._thread.submit(self._file.write_table, table, len(table))
        self._rows += self._waiting_rows
        self._waiting, self._waiting_rows = [], 0


def _leaves(schema: pa.Schema, vector_columns: Collection[str]) -> tuple[list[str], list[str]]:
    """Parquet paths of all leaf columns but the vectors', and of vectors of 8-bit numbers; taken from an empty file of
    this schema."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    paths = [parquet.column(index).path for index in range(len(parquet))]
    payload = [path for path in paths if path.partition(".")[0] not in vector_columns]
    small = [name for name in vector_columns if _number_bits(schema.field(name).type) == 8]
    return payload, [path for path in paths if path.partition(".")[0] in small]


def _number_bits(kind: pa.DataType) -> int:
    """Bits of a number in a list; 0 where the column is none."""
    return int(kind.value_type.bit_width) if pa.types.is_fixed_size_list(kind) else 0


@contextmanager
def _scratch_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise RunError(
            f"scratch file {path} could not be written ({problem}): free space there or set TMPDIR"
        ) from problem
